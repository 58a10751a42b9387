"""The hosted architecture of VMware Workstation: a host operating system's world beside the VMM's."""
