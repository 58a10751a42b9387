"""VMX as silicon: the VMCS, the instructions, what exits, and the ways from root to non-root and back."""
