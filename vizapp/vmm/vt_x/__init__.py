"""The monitor on Intel's VT-x: one VMCS for each virtual machine."""
