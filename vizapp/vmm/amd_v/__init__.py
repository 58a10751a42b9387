"""The monitor on AMD-V: one VMCB for each virtual machine."""
