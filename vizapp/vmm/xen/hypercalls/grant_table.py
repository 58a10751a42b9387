"""grant_table_op: requests one after the other, each of which tells its own status.

Source: Xen's public header grant_table.h; Xen 3.1, common/grant_table.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SHIFT
from vizapp.vmm.xen import abi, address_spaces, grants, lifecycle
from vizapp.vmm.xen.continuation import BATCH, Continuation
from vizapp.vmm.xen.grants import GrantError, Piece
from vizapp.vmm.xen.hypercalls.arguments import Structure

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor


def grant_table_op(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """``count`` requests of one command."""
    command, requests, count = a[0], a[1], a[2]
    if command not in _COMMANDS or (xen.domain.hvm is not None and command not in _OF_HVM):
        return -abi.ENOSYS
    size, offset, serve = _COMMANDS[command]
    if count > _MOST_REQUESTS or (command in _SINGLE and count != 1):
        return -abi.EINVAL
    if requests + count * size > xen.format.hole:
        return -abi.EFAULT
    done = 0
    while done < min(count, BATCH):
        request = Structure(xen, requests + done * size & M32, size)
        xen.pay("grant")
        try:
            status = serve(xen, request)
        except GrantError as error:
            status = error.status
        request.put(offset, 2, status)
        done += 1
    if command in _UNMAPS:
        # What was unmapped may be given to somebody else now.
        address_spaces.flush(xen)
    if done < count:
        return Continuation((command, requests + done * size & M32, count - done))
    return 0


def _domain(xen: Hypervisor, number: int) -> Domain:
    domain = xen.by_id(number)
    if domain is None:
        raise GrantError(abi.GNTST_BAD_DOMAIN)
    return domain


def _map(xen: Hypervisor, request: Structure) -> int:
    flags = request[8, 4]
    if not flags & (abi.GNTMAP_DEVICE_MAP | abi.GNTMAP_HOST_MAP):
        raise GrantError(abi.GNTST_BAD_GNTREF)
    owner = _domain(xen, request[16, 2])
    handle, frame = grants.map_grant(xen, owner, request[12, 4], flags, request[0, 8])
    request.put(20, 4, handle)
    request.put(24, 8, frame << PAGE_SHIFT)
    return abi.GNTST_OKAY


def _unmap(xen: Hypervisor, request: Structure) -> int:
    grants.unmap_grant(xen, request[16, 4], request[0, 8], request[8, 8])
    return abi.GNTST_OKAY


def _unmap_and_replace(xen: Hypervisor, request: Structure) -> int:
    """End a mapping and put in its place the entry of another address, which is then empty."""
    form, memory, root = xen.format, xen.memory, xen.domain.page_directory
    new = request[8, 8]
    where = form.last_entry(memory, root, new) if new < form.hole else None
    if where is None:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    value = memory.read(where, form.entry_bytes)
    grants.unmap_grant(xen, request[16, 4], request[0, 8], 0, value)
    xen.types.write_entry(where, 0, xen.domain.id)
    return abi.GNTST_OKAY


def _setup(xen: Hypervisor, request: Structure) -> int:
    """Make the table so long, and tell which frames it is in."""
    domain, wanted = _allowed(xen, request[0, 2]), request[4, 4]
    if wanted > grants.MOST_FRAMES:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    if lifecycle.grow_grants(xen, domain, wanted) is None:
        raise GrantError(abi.GNTST_GENERAL_ERROR)
    frames = b"".join(frame.to_bytes(4, "little") for frame in domain.grants[:wanted])
    xen.space.copy_to(request[12, 4], frames)
    return abi.GNTST_OKAY


def _allowed(xen: Hypervisor, number: int) -> Domain:
    """A domain that the current one may ask about: itself as DOMID_SELF, or the initial one any."""
    if number != abi.DOMID_SELF and not xen.domain.privileged:
        raise GrantError(abi.GNTST_PERMISSION_DENIED)
    return _domain(xen, number)


def _dump(xen: Hypervisor, request: Structure) -> int:
    """For the hypervisor's own console; here the grants are in sight anyway."""
    _allowed(xen, request[0, 2])
    return abi.GNTST_OKAY


def _query(xen: Hypervisor, request: Structure) -> int:
    domain = _allowed(xen, request[0, 2])
    request.put(4, 4, len(domain.grants))
    request.put(8, 4, grants.MOST_FRAMES)
    return abi.GNTST_OKAY


def _transfer(xen: Hypervisor, request: Structure) -> int:
    grants.transfer(xen, request[0, 4], _domain(xen, request[4, 2]), request[8, 4])
    return abi.GNTST_OKAY


def _copy(xen: Hypervisor, request: Structure) -> int:
    flags = request[18, 2]
    source = Piece(
        _domain(xen, request[4, 2]), request[0, 4], request[6, 2], bool(flags & abi.GNTCOPY_SOURCE_GREF)
    )
    target = Piece(
        _domain(xen, request[12, 2]), request[8, 4], request[14, 2], bool(flags & abi.GNTCOPY_DEST_GREF)
    )
    grants.copy(xen, source, target, request[16, 2])
    return abi.GNTST_OKAY


# Bytes of a request, where its status is, and what serves it.
_COMMANDS: Final[dict[int, tuple[int, int, Callable[[Hypervisor, Structure], int]]]] = {
    abi.GNTTABOP_MAP_GRANT_REF: (32, 18, _map),
    abi.GNTTABOP_UNMAP_GRANT_REF: (24, 20, _unmap),
    abi.GNTTABOP_SETUP_TABLE: (16, 8, _setup),
    abi.GNTTABOP_DUMP_TABLE: (4, 2, _dump),
    abi.GNTTABOP_TRANSFER: (16, 12, _transfer),
    abi.GNTTABOP_COPY: (24, 20, _copy),
    abi.GNTTABOP_QUERY_SIZE: (16, 12, _query),
    abi.GNTTABOP_UNMAP_AND_REPLACE: (24, 20, _unmap_and_replace),
}
_MOST_REQUESTS: Final = 512
_SINGLE: Final = (abi.GNTTABOP_SETUP_TABLE, abi.GNTTABOP_QUERY_SIZE)
_UNMAPS: Final = (
    abi.GNTTABOP_UNMAP_GRANT_REF, abi.GNTTABOP_UNMAP_AND_REPLACE, abi.GNTTABOP_TRANSFER,
)  # fmt: skip
_OF_HVM: Final = (abi.GNTTABOP_SETUP_TABLE, abi.GNTTABOP_COPY, abi.GNTTABOP_QUERY_SIZE)
"""What does not map anything: an HVM guest's tables are its own, where the hypervisor maps nothing."""
HYPERCALLS = {"grant_table_op": grant_table_op}
