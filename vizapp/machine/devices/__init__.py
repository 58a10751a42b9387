"""The devices of the PC, one module each."""
