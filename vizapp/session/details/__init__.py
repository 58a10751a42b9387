"""What single panels want to know beyond the frame: computed only while one of them can be seen.

A detail is a name here, which the window asks by, and in ``registry`` a function that looks at the machine.
Naming one loads no machine.
"""

from __future__ import annotations

from typing import Final

EXITS: Final = "exits"
WALK: Final = "walk"
MAPPINGS: Final = "mappings"
MEMORY_MAP: Final = "memory-map"
CONTROL_STRUCTURE: Final = "control-structure"
TRANSLATION: Final = "translation"
TRANSLATION_CACHE: Final = "translation-cache"
CACHE_BYTES: Final = "cache-bytes"
PORTING: Final = "porting"
DOMAINS: Final = "domains"
PAGE_TYPES: Final = "page-types"
HYPERCALLS: Final = "hypercalls"
PAGE_FAULTS: Final = "page-faults"
RINGS: Final = "rings"
PATH: Final = "path"
SCHEDULE: Final = "schedule"
