"""The archive from which domain 0 makes the other domains: its ramdisk, as ``dom0_archive.inc`` reads it.

    + 0   "XDOM"    + 4  domains    + 8  timed orders    + 12  0
    + 16  the domains, 64 bytes each
    ...   the orders, 16 bytes each, by time
    ...   the images

All numbers are 32-bit and little-endian. A ported image is flat, from the address on at which it is linked.
One that was not ported is made for a PC (``dom0_hvm.inc``):

    + 0   EBX ECX EDX ESI EDI EBP EAX CR0 at the start
    + 32  parts    + 36  each: address, length, place in the image; whole pages, but for the end of the last
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from vizapp.isa.registers import CR0_ET, CR0_PE
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.machine.image import Image

MAGIC: Final = b"XDOM"
HEADER_BYTES: Final = 16
ENTRY_BYTES: Final = 64
ORDER_BYTES: Final = 16
NAME_BYTES: Final = 16
MOST_DOMAINS: Final = 8
MOST_MEMORY: Final = 64 << 20  # bytes, of one domain
ORDERS: Final = ("create", "pause", "resume", "kill", "balloon")
_MICROSECONDS: Final = 1_000_000
_LATER: Final = 1 << 0
_HVM: Final = 1 << 1
MEGABYTE: Final = 1 << 20
TOP: Final = 1 << 32
ROM_SEGMENT_BYTES: Final = 1 << 16
RESET_OFFSET: Final = 0xFFF0
_REGISTERS: Final = ("ebx", "ecx", "edx", "esi", "edi", "ebp", "eax")


class ArchivedDomain(NamedTuple):
    """A domain that domain 0 is to make.

    Attributes:
        memory: in bytes.
        adapter: whether it gets a virtual network adapter.
        sectors: (first, count) of the machine's disk that are its virtual disk; None: it has none.
        later: it is made when an order says so.
    """

    image: Image
    name: str
    memory: int
    weight: int
    adapter: bool = False
    sectors: tuple[int, int] | None = None
    later: bool = False

    @property
    def hvm(self) -> bool:
        """Whether it was not ported, and so gets a whole processor and a device model."""
        return self.image.build != "xen"


class Order(NamedTuple):
    """Something that domain 0 does to domain ``domain`` (from 0) after ``seconds``; ``value`` in KB."""

    seconds: float
    kind: str
    domain: int
    value: int = 0


def make_archive(domains: Sequence[ArchivedDomain], orders: Sequence[Order] = ()) -> bytes:
    """The archive.

    Raises:
        ScenarioError: there are too many domains, or one is too large.
    """
    if len(domains) > MOST_DOMAINS:
        sentence = N_("domain 0 makes at most {most} domains, and {count} are asked for")
        raise ScenarioError(Message(sentence, {"most": MOST_DOMAINS, "count": len(domains)}))
    for domain in domains:
        if domain.memory > MOST_MEMORY:
            sentence = N_("domain 0 makes domains of at most {most} MB, and {name} is to have {given} MB")
            size = domain.memory >> 20
            raise ScenarioError(
                Message(sentence, {"most": MOST_MEMORY >> 20, "name": domain.name, "given": size})
            )
    start = HEADER_BYTES + len(domains) * ENTRY_BYTES + len(orders) * ORDER_BYTES
    entries, images = [], b""
    for domain in domains:
        data = for_pc(domain.image) if domain.hvm else flat(domain.image)
        entries.append(_entry(domain, start + len(images), len(data)))
        images += data.ljust(-(-len(data) // 16) * 16, b"\0")
    header = MAGIC + pack("<3I", len(domains), len(orders), 0)
    by_time = sorted(orders, key=lambda order: order.seconds)
    return header + b"".join(entries) + b"".join(map(_order, by_time)) + images


def flat(image: Image) -> bytes:
    """The bytes of a Xen build from its virtual base on."""
    size = max([address + len(data) for address, data in image.segments] + [image.size])
    memory = bytearray(size)
    for address, data in image.segments:
        memory[address : address + len(data)] = data
    return bytes(memory)


def for_pc(image: Image) -> bytes:
    """A native build with the registers that it starts with, its memory in runs of whole pages.

    A ROM ends with the first megabyte, and with the address space.
    """
    pages: dict[int, bytearray] = {}
    rom = [(top - len(image.rom), image.rom) for top in (MEGABYTE, TOP) if image.rom]
    for start, data in (*image.segments, *rom):
        at, rest = int(start), data
        while rest:
            inside = at & PAGE_MASK
            part, rest = rest[: PAGE_SIZE - inside], rest[PAGE_SIZE - inside :]
            pages.setdefault(at >> PAGE_SHIFT, bytearray(PAGE_SIZE))[inside : inside + len(part)] = part
            at += len(part)
    runs: list[tuple[int, bytearray]] = []
    for frame, page in sorted(pages.items()):
        if runs and runs[-1][0] + len(runs[-1][1]) == frame << PAGE_SHIFT:
            runs[-1][1].extend(page)
        else:
            runs.append((frame << PAGE_SHIFT, bytearray(page)))
    values = dict(image.registers)
    cr0 = CR0_PE if image.bits == 32 else CR0_ET
    head = pack("<7I", *(values.get(name, 0) for name in _REGISTERS)) + pack("<2I", cr0, len(runs))
    place = len(head) + 12 * len(runs)
    for address, run in runs:
        head += pack("<3I", address, len(run), place)
        place += len(run)
    return head + b"".join(bytes(run) for _, run in runs)


def _entry(domain: ArchivedDomain, offset: int, length: int) -> bytes:
    image = domain.image
    first, count = domain.sectors or (0, 0)
    name = domain.name.encode("ascii", "replace")[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0")
    entry, base = _start(image) if domain.hvm else (image.entry, image.virtual_base)
    return name + pack(
        "<12I",
        domain.memory >> 10, domain.weight, offset, length, entry, base,
        image.hypercall_page or 0, domain.adapter, domain.sectors is not None, first, count,
        domain.later * _LATER | domain.hvm * _HVM,
    )  # fmt: skip


def _start(image: Image) -> tuple[int, int]:
    """EIP at the start, and where CS lies, which is not 0 in real mode: at the reset vector with a ROM."""
    if image.bits == 32:
        return image.entry, 0
    base = MEGABYTE - ROM_SEGMENT_BYTES if image.rom else image.code_segment << 4
    return (RESET_OFFSET if image.rom else image.entry - base), base


def _order(order: Order) -> bytes:
    microseconds = round(order.seconds * _MICROSECONDS)
    return pack("<4I", microseconds, ORDERS.index(order.kind), order.domain + 1, order.value)
