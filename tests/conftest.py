"""What holds for all tests: the same random cases every time, and no verdict by a busy machine's clock."""

from __future__ import annotations

import gc
import os

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("oracle", deadline=None)
settings.load_profile("oracle" if os.environ.get("VIZAPP_ORACLE") == "full" else "steady")


def pytest_collection_finish() -> None:
    """What has been collected stays to the end: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()
