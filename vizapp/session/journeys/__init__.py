"""Packets and blocks followed through the machine: which doors each has passed, and when."""
