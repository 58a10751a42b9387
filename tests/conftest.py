"""What holds for all tests: the same random cases every time, and no verdict by a busy machine's clock."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("oracle", deadline=None)
settings.load_profile("oracle" if os.environ.get("VIZAPP_ORACLE") == "full" else "steady")
