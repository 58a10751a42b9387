"""Three kinds of address that must never mix.

    segment:offset --segmentation--> Linear --paging--> GuestPhysical --monitor--> HostPhysical

On the bare machine a guest-physical address is the host-physical one; under a monitor they differ, and
Xen calls the second a machine address. All count bytes.
"""

from __future__ import annotations

from typing import NewType

Linear = NewType("Linear", int)
GuestPhysical = NewType("GuestPhysical", int)
HostPhysical = NewType("HostPhysical", int)

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = PAGE_SIZE - 1
M32 = 0xFFFF_FFFF
