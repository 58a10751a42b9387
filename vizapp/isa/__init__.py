"""The instruction set: one opcode table, its decoder and encoder, and the layouts of the manuals."""
