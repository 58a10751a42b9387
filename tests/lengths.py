"""How much of what is long is run: a sample in the ordinary run, all of it under ``make oracle``."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

FULL = os.environ.get("VIZAPP_ORACLE") == "full"
"""Whether this is ``make oracle``."""

AT_LENGTH = (pytest.mark.oracle, pytest.mark.skipif(not FULL, reason="needs make oracle"))
"""The marks of a test of which there is no sample: it takes minutes."""


def at_length(test: Callable[..., None]) -> Callable[..., None]:
    """A test with these marks."""
    for mark in AT_LENGTH:
        test = mark(test)
    return test
