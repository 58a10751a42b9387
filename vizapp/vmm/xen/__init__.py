"""Paravirtual: a hypervisor with the Xen x86-32 interface, and the guests that were ported to it."""
