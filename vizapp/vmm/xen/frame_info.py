"""What the hypervisor notes of one machine frame, and how it refuses what a guest asks of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from vizapp.messages import N_, Message


class PageType(StrEnum):
    """The uses of a frame that exclude one another."""

    NONE = "none"
    WRITABLE = "writable"
    L1 = "page-table"
    L2 = "page-directory"
    XEN_L2 = "page-directory-with-xen"  # under PAE the fourth, which reaches the hypervisor
    L3 = "page-directory-pointers"
    SEGMENTS = "descriptors"


TABLES: Final = (PageType.L1, PageType.L2, PageType.XEN_L2, PageType.L3)
VALIDATED: Final = (*TABLES, PageType.SEGMENTS)
"""The types that a frame takes only after its contents were checked."""


class FrameInfo(NamedTuple):
    """Type of a frame, uses of that type, all references, and whether the guest pinned it.

    A frame whose ``uses`` are 0 may take any type; ``type`` is then what it was last.
    """

    type: PageType = PageType.NONE
    uses: int = 0
    references: int = 0
    pinned: bool = False


UNUSED: Final = FrameInfo()


class RefusedError(Exception):
    """The hypervisor refuses what the guest asked for; caught at the hypercall, never seen by the machine."""

    def __init__(self, reason: Message) -> None:
        super().__init__(reason.text)
        self.reason = reason


def refuse(text: str, **parameters: int | str) -> RefusedError:
    """A refusal with its sentence; numbers are shown in hexadecimal."""
    shown = {k: f"{v:#x}" if isinstance(v, int) else v for k, v in parameters.items()}
    return RefusedError(Message(text, shown))


def refuse_foreign(frame: int) -> RefusedError:
    """The refusal of a frame that the guest named and does not own."""
    return refuse(N_("machine frame {frame} does not belong to the domain"), frame=frame)
