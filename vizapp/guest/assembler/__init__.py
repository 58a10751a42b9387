"""An assembler for a subset of NASM's language, which makes NASM's bytes (``nasm -f bin``).

The text goes through a preprocessor (%define, %macro, %if, %rep, %include and their kin), a parser, and
passes that repeat until all addresses and jump sizes have settled. All problems are told at once, each with
its place. Sections other than .text, structures, floating point and 64-bit code are refused.
"""

from vizapp.guest.assembler.assembler import Assembly, assemble

__all__ = ["Assembly", "assemble"]
