"""From semantics to speed: the specifications of ``machine.semantics`` become Python functions.

Reading order: ``shapes`` (what instructions have in common), ``generator`` (the way through), ``expansion``
and ``access`` (how a word becomes Python), ``commitment`` (the rule that makes faults exact). Instructions
in a row are compiled together by ``blocks``: ``block_source`` (what changes then), ``copies`` and
``liveness`` (what is not needed), ``postponed`` (flags that nobody may ask for), ``deopt`` (the way back to
single instructions). ``machine.hot_blocks`` says when.
"""
