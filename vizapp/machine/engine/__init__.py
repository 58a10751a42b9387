"""From semantics to speed: the specifications of ``machine.semantics`` become Python functions.

Reading order: ``shapes`` (what instructions have in common), ``generator`` (the way through), ``expansion``
and ``access`` (how a word becomes Python), ``commitment`` (the rule that makes faults exact).
"""
