"""A two-pass assembler for a subset of NASM's language that makes NASM's bytes."""

from vizapp.guest.assembler.assembler import Assembly, assemble

__all__ = ["Assembly", "assemble"]
