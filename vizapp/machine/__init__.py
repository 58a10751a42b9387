"""The PC: processor, memory management, interrupts and devices; owns the cycle counter."""
