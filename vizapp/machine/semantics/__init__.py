"""What each instruction does, written once: the source of these functions is the processor's semantics."""
