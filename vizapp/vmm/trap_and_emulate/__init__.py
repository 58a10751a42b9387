"""The classical monitor of CP-67 and VM/370: guest kernel in ring 1, privileged instructions trapped."""
