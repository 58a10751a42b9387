"""VMware's full virtualization: guest kernel code translated on demand, applications by direct execution."""
