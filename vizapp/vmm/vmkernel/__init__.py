"""The VMkernel: what a monitor on bare metal has drivers, a switch and a file system for virtual disks in."""
