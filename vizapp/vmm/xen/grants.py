"""Grant tables: a domain lets another use one of its frames, or take a frame, or copy into one.

    entry of a grant table    flags (16 bits)  domain (16 bits)  machine frame (32 bits)
    flags                     1 permit access, 2 accept transfer
                              bit 2 read-only, 3 in use, 4 for writing; of a transfer 2 committed, 3 done

The tables are pages that the granting domain writes; the hypervisor sets what tells that a grant is in use.
While one is, the frame is held: it cannot become a page table or be given up.

Source: Xen's public header grant_table.h; Xen 3.1, common/grant_table.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_U, PTE_W
from vizapp.machine import events
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.domain import Granted, Mapped
from vizapp.vmm.xen.frame_info import PageType, RefusedError
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

ENTRY_BYTES: Final = 8
PER_FRAME: Final = PAGE_SIZE // ENTRY_BYTES
MOST_FRAMES: Final = 4
MOST_MAPPED: Final = 1024


class GrantError(Exception):
    """What went wrong, as a status of grant_table.h."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Shared(NamedTuple):
    """An entry of a grant table as it is in memory, at a machine address."""

    address: HostPhysical
    flags: int
    domain: int
    frame: int


def entry(xen: Hypervisor, domain: Domain, reference: int) -> Shared:
    """A domain's grant; GrantError if its table does not reach so far."""
    page, index = divmod(reference, PER_FRAME)
    if page >= len(domain.grants):
        raise GrantError(abi.GNTST_BAD_GNTREF)
    address = HostPhysical((domain.grants[page] << PAGE_SHIFT) + index * ENTRY_BYTES)
    xen.pay_references(2)
    return Shared(
        address, xen.memory.read(address, 2), xen.memory.read(address + 2, 2), xen.memory.read(address + 4, 4)
    )


def acquire(xen: Hypervisor, owner: Domain, user: Domain, reference: int, *, write: bool) -> int:
    """Hold a frame that a domain has granted to another, and mark the grant as in use: the frame.

    Raises:
        GrantError: it has not granted that, or not such a frame.
    """
    shared = entry(xen, owner, reference)
    if shared.flags & abi.GTF_TYPE_MASK != abi.GTF_PERMIT_ACCESS or shared.domain != user.id:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    if write and shared.flags & abi.GTF_READONLY:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    use = owner.granted.get(reference, Granted(xen.frame_of(owner, shared.frame)))
    try:
        if write:
            xen.types.take(use.frame, PageType.WRITABLE, owner.id)
        else:
            xen.types.reference(use.frame, owner.id)
    except RefusedError as refusal:
        xen.refused("grant_table_op", refusal)
        raise GrantError(abi.GNTST_BAD_PAGE) from None
    owner.granted[reference] = Granted(use.frame, use.mappings + 1, use.writes + write)
    in_use = abi.GTF_READING | (abi.GTF_WRITING if write else 0)
    xen.memory.write(shared.address, 2, shared.flags | in_use)
    return use.frame


def release(xen: Hypervisor, owner: Domain, reference: int, *, write: bool) -> None:
    """End one use of a grant."""
    use = owner.granted[reference]
    if write:
        xen.types.give_back(use.frame)
    else:
        xen.types.release(use.frame)
    left = Granted(use.frame, use.mappings - 1, use.writes - write)
    if left.mappings:
        owner.granted[reference] = left
    else:
        del owner.granted[reference]
    if owner.dying:
        return
    shared = entry(xen, owner, reference)
    over = (0 if left.writes else abi.GTF_WRITING) | (0 if left.mappings else abi.GTF_READING)
    xen.memory.write(shared.address, 2, shared.flags & ~over)


def map_grant(xen: Hypervisor, owner: Domain, reference: int, flags: int, address: int) -> tuple[int, int]:
    """Map a grant where the current domain wants it: the handle of the mapping, and the machine frame.

    Raises:
        GrantError: it cannot be.
    """
    domain = xen.domain
    if len(domain.mapped) >= MOST_MAPPED:
        raise GrantError(abi.GNTST_NO_DEVICE_SPACE)
    write = not flags & abi.GNTMAP_READONLY
    frame = acquire(xen, owner, domain, reference, write=write)
    where = 0
    if flags & abi.GNTMAP_HOST_MAP:
        try:
            where = _entry_of(xen, flags, address)
            bits = PTE_P | PTE_A | (PTE_W | PTE_D if write else 0)
            bits |= PTE_U if flags & abi.GNTMAP_APPLICATION_MAP else 0
            value = frame << PAGE_SHIFT | bits
            xen.types.write_entry(HostPhysical(where), value, domain.id, foreign=owner.id)
        except (GrantError, RefusedError) as error:
            release(xen, owner, reference, write=write)
            if isinstance(error, RefusedError):
                xen.refused("grant_table_op", error)
            raise GrantError(abi.GNTST_GENERAL_ERROR) from None
    handle = next(number for number in range(MOST_MAPPED) if number not in domain.mapped)
    domain.mapped[handle] = Mapped(owner.id, reference, frame, where, flags)
    _tell(xen, events.GRANT_MAPPED, owner, reference, handle, frame)
    return handle, frame


def unmap_grant(xen: Hypervisor, handle: int, address: int, device_address: int, new: int = 0) -> None:
    """End a mapping of the current domain; ``new`` is the entry that comes into its place.

    Raises:
        GrantError: it is none, or not there.
    """
    domain = xen.domain
    mapped = domain.mapped.get(handle)
    if mapped is None:
        raise GrantError(abi.GNTST_BAD_HANDLE)
    flags = mapped.flags
    if device_address and flags & abi.GNTMAP_DEVICE_MAP:
        if device_address >> PAGE_SHIFT != mapped.frame:
            raise GrantError(abi.GNTST_GENERAL_ERROR)
        flags &= ~abi.GNTMAP_DEVICE_MAP
    if address and flags & abi.GNTMAP_HOST_MAP:
        form = xen.format
        where = _entry_of(xen, mapped.flags, address)
        now = xen.memory.read(where, form.entry_bytes)
        if where != mapped.entry or not now & PTE_P or form.frame(now) != mapped.frame:
            raise GrantError(abi.GNTST_GENERAL_ERROR)
        try:
            xen.types.write_entry(HostPhysical(where), new, domain.id)
        except RefusedError as refusal:
            xen.refused("grant_table_op", refusal)
            raise GrantError(abi.GNTST_GENERAL_ERROR) from None
        flags &= ~abi.GNTMAP_HOST_MAP
    if flags & (abi.GNTMAP_HOST_MAP | abi.GNTMAP_DEVICE_MAP):
        domain.mapped[handle] = mapped._replace(flags=flags)
        return
    _forget(xen, domain, handle)


def transfer(xen: Hypervisor, frame: int, receiver: Domain, reference: int) -> None:
    """Give a frame of the current domain to another that has said it would take one.

    Raises:
        GrantError: it is not its to give, or the other has no use for it.
    """
    domain, types = xen.domain, xen.types
    special = frame == domain.shared_frame or frame in domain.grants or frame in types.condemned
    if types.owner(frame) != domain.id or special or types.info(frame).references:
        raise GrantError(abi.GNTST_BAD_PAGE)
    shared = entry(xen, receiver, reference)
    if receiver.hvm is not None:
        raise GrantError(abi.GNTST_GENERAL_ERROR)  # it would not know where to find it
    if shared.flags != abi.GTF_ACCEPT_TRANSFER or shared.domain != domain.id:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    if receiver.pages >= receiver.max_pages:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    types.let_go(frame)
    types.owners[frame] = receiver.id
    xen.frames.give(frame, 1, f"vm{receiver.index}")
    domain.pages -= 1
    receiver.pages += 1
    xen.memory.write(shared.address + 4, 4, frame)
    done = abi.GTF_TRANSFER_COMMITTED | abi.GTF_TRANSFER_COMPLETED
    xen.memory.write(shared.address, 2, shared.flags | done)
    xen.pay_references(2)
    payload = {"pages": 1, "frame": frame, "vm": receiver.index, "from": domain.index}
    xen.pc.emit(events.MEMORY_MOVED, "transfer", payload, HYPERVISOR, HYPERVISOR)


class Piece(NamedTuple):
    """One side of a copy: a grant of a domain, or a machine frame of the caller's; and the offset in it."""

    domain: Domain
    number: int
    offset: int
    by_grant: bool


def copy(xen: Hypervisor, source: Piece, target: Piece, count: int) -> None:
    """Copy bytes within a page each.

    Raises:
        GrantError: they are not within pages that the current domain may use so.
    """
    if source.offset + count > PAGE_SIZE or target.offset + count > PAGE_SIZE:
        raise GrantError(abi.GNTST_BAD_COPY_ARG)
    read = _hold(xen, source, write=False)
    try:
        written = _hold(xen, target, write=True)
        data = xen.memory.dump(HostPhysical(read << PAGE_SHIFT | source.offset), count)
        xen.memory.load(HostPhysical(written << PAGE_SHIFT | target.offset), data)
        xen.pay_references(2 * -(-count // 4))
        _let_go(xen, target, written, write=True)
    finally:
        _let_go(xen, source, read, write=False)
    granted = source if source.by_grant else target
    payload = {
        "bytes": count,
        "from": source.domain.index,
        "to": target.domain.index,
        "offset": granted.offset,
    }
    if granted.by_grant:
        payload["reference"] = granted.number
    payload["frame"] = read if granted is source else written
    xen.pc.emit(events.GRANT_COPIED, "copy", payload, HYPERVISOR, HYPERVISOR)


def release_all(xen: Hypervisor, domain: Domain) -> None:
    """A domain dies: what it has mapped of others' is unmapped, and what others have of its goes on."""
    for handle in sorted(domain.mapped):
        mapped = domain.mapped[handle]
        if mapped.entry:
            now = xen.memory.read(mapped.entry, xen.format.entry_bytes)
            if now & PTE_P and xen.format.frame(now) == mapped.frame:
                xen.types.write_entry(HostPhysical(mapped.entry), 0, domain.id)
        _forget(xen, domain, handle)


def _forget(xen: Hypervisor, domain: Domain, handle: int) -> None:
    mapped = domain.mapped.pop(handle)
    owner = next(d for d in xen.domains if d.id == mapped.domain and mapped.reference in d.granted)
    release(xen, owner, mapped.reference, write=not mapped.flags & abi.GNTMAP_READONLY)
    _tell(xen, events.GRANT_UNMAPPED, owner, mapped.reference, handle, mapped.frame, domain)


def _hold(xen: Hypervisor, piece: Piece, *, write: bool) -> int:
    if piece.by_grant:
        return acquire(xen, piece.domain, xen.domain, piece.number, write=write)
    if piece.domain is not xen.domain:
        raise GrantError(abi.GNTST_PERMISSION_DENIED)
    frame = xen.frame_of(piece.domain, piece.number)
    try:
        if write:
            xen.types.take(frame, PageType.WRITABLE, piece.domain.id)
        else:
            xen.types.reference(frame, piece.domain.id)
    except RefusedError as refusal:
        xen.refused("grant_table_op", refusal)
        raise GrantError(abi.GNTST_GENERAL_ERROR) from None
    return frame


def _let_go(xen: Hypervisor, piece: Piece, frame: int, *, write: bool) -> None:
    if piece.by_grant:
        release(xen, piece.domain, piece.number, write=write)
    elif write:
        xen.types.give_back(frame)
    else:
        xen.types.release(frame)


def _entry_of(xen: Hypervisor, flags: int, address: int) -> int:
    """The machine address of the page-table entry that a mapping is to be in; GrantError if there is none."""
    form = xen.format
    if flags & abi.GNTMAP_CONTAINS_PTE:
        where: int | None = address & ~(form.entry_bytes - 1)
    elif address & PAGE_MASK or address >= form.hole:
        where = None
    else:
        where = form.last_entry(xen.memory, xen.domain.page_directory, address)
        xen.pay_references(form.levels - 1)
    if where is None:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    info = xen.types.info(where >> PAGE_SHIFT)
    if xen.types.owner(where >> PAGE_SHIFT) != xen.domain.id or info.type is not PageType.L1 or not info.uses:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    return where


def _tell(
    xen: Hypervisor,
    kind: str,
    owner: Domain,
    reference: int,
    handle: int,
    frame: int,
    user: Domain | None = None,
) -> None:
    payload = {
        "reference": reference, "handle": handle, "frame": frame, "from": owner.index,
        "vm": (user or xen.domain).index,
    }  # fmt: skip
    xen.pc.emit(kind, owner.name, payload, HYPERVISOR, HYPERVISOR)
