"""VMX as silicon: VMCS, the instructions, what exits, and the passages between root and non-root operation."""
