"""What runs in the machine: assembler, image loaders and the guest library."""
