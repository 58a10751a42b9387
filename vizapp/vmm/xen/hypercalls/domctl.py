"""domctl: what the initial domain asks to make, run and end the others.

Source: Xen's public header domctl.h; Xen 3.1, common/domctl.c and arch/x86/domctl.c.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.machine import events
from vizapp.vmm.xen import abi, lifecycle, switching, timekeeping, vcpu_context
from vizapp.vmm.xen import control_abi as c
from vizapp.vmm.xen.frame_info import PageType
from vizapp.vmm.xen.guest_ports import PORTS
from vizapp.vmm.xen.hvm.abi import CDF_HVM_GUEST, DOMINF_HVM_GUEST
from vizapp.vmm.xen.hvm.state import HvmState
from vizapp.vmm.xen.hypercalls.arguments import Structure
from vizapp.vmm.xen.hypercalls.hvm import give_virtual_cpu
from vizapp.vmm.xen.physical_irqs import OWN
from vizapp.vmm.xen.places import HYPERVISOR
from vizapp.vmm.xen.ranges import with_range, without_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

_MOST_VCPUS: Final = 1  # virtual SMP is not there
_CAP_AS_IT_IS: Final = 0xFFFF
_OP: Final = 16  # where what belongs to the command begins


def domctl(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """One command about one domain; for the initial domain alone."""
    if not xen.domain.privileged:
        return -abi.EPERM
    request = Structure(xen, a[0], c.DOMCTL_BYTES)
    if request[c.DOMCTL_VERSION] != c.DOMCTL_INTERFACE_VERSION:
        return -abi.EACCES
    name = c.DOMCTL_NAMES.get(request[c.DOMCTL_COMMAND], "")
    if name == "createdomain":
        return _create(xen, request)
    if name == "getdomaininfo":
        return _info(xen, request)
    serve = _COMMANDS.get(name)
    if serve is None:
        return -abi.ENOSYS
    domain = xen.by_id(request[c.DOMCTL_DOMAIN])
    return -abi.ESRCH if domain is None else serve(xen, domain, request)


def _create(xen: Hypervisor, request: Structure) -> int:
    """{ssidref, handle, flags}: a new domain, paused, without memory."""
    hvm = request[36, 4] == CDF_HVM_GUEST
    if request[36, 4] and (not hvm or xen.hvm is None):
        return -abi.EINVAL  # a domain without a ported kernel, which this processor does not run
    number = request[c.DOMCTL_DOMAIN]
    used = {domain.id for domain in xen.domains} | set(xen.types.owners.values())
    if 0 < number < abi.FIRST_RESERVED_DOMID:
        if number in used:
            return -abi.EINVAL
    else:
        number = max(used) + 1
    index = len(xen.domains)
    name, weight = xen.names[index] if index < len(xen.names) else ("", None)
    domain = lifecycle.create(xen, number, name, weight)
    if domain is None:
        return -abi.ENOMEM
    if hvm:
        assert xen.hvm is not None
        domain.hvm = HvmState()
        try:
            xen.hvm.create(domain)
        except ScenarioError:
            domain.hvm = None
            lifecycle.destroy(xen, domain)
            return -abi.ENOMEM
    domain.handle, domain.paused = request.bytes(20, 16), True
    timekeeping.set_wall_clock(xen, domain)
    request.put(*c.DOMCTL_DOMAIN, number)
    payload = {"vm": index, "domain": number}
    xen.pc.emit(events.DOMAIN_CREATED, domain.name, payload, HYPERVISOR, HYPERVISOR)
    return 0


def _destroy(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    if domain is xen.domain or domain.privileged:
        return -abi.EINVAL
    lifecycle.destroy(xen, domain)
    return 0


def _pause(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    if domain is xen.domain:
        return -abi.EINVAL
    lifecycle.pause(xen, domain)
    return 0


def _unpause(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    lifecycle.unpause(xen, domain)
    return 0


def _info(xen: Hypervisor, request: Structure) -> int:
    """About the first domain from the given id on: state, memory, time."""
    wanted = request[c.DOMCTL_DOMAIN]
    living = sorted((d for d in xen.domains if not d.dying and d.id >= wanted), key=lambda d: d.id)
    if not living:
        return -abi.ESRCH
    domain = living[0]
    flags = c.DOMINF_PAUSED if domain.paused else 0
    flags |= DOMINF_HVM_GUEST if domain.hvm is not None else 0
    if domain.stopped is not None:
        reason = 3 if domain.shutdown is None else domain.shutdown
        flags |= c.DOMINF_SHUTDOWN | reason << c.DOMINF_SHUTDOWN_SHIFT
    elif domain.blocked:
        flags |= c.DOMINF_BLOCKED
    elif domain.on_processor:
        flags |= c.DOMINF_RUNNING
    nanoseconds = switching.processor_time(xen, domain)
    request.put(*c.DOMCTL_DOMAIN, domain.id)
    request.put(_OP, 2, domain.id)
    request.put(20, 4, flags)
    for offset, value in (
        (24, domain.pages), (32, domain.max_pages), (40, domain.shared_frame), (48, nanoseconds),
    ):  # fmt: skip
        request.put(offset, 8, value)
    request.put(56, 4, int(domain.ready))
    request.put(60, 4, 0)
    request.put(64, 4, 0)
    request.put(68, 16, int.from_bytes(domain.handle, "little"))
    return 0


def _frames(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{max_pfns, start_pfn, buffer; num_pfns}: the machine frames of its memory, in order."""
    special = {domain.shared_frame, *domain.grants}
    frames = [frame for frame in xen.types.owned_by(domain.id) if frame not in special]
    wanted = frames[request[24, 8] :][: request[_OP, 8]]
    xen.space.copy_to(request[32, 8], pack(f"<{len(wanted)}Q", *wanted))
    xen.pay_references(2 * len(wanted))
    request.put(40, 8, len(wanted))
    return 0


def _type_of(xen: Hypervisor, domain: Domain, frame: int) -> int:
    if xen.types.owner(frame) != domain.id:
        return c.PFINFO_INVALID
    info = xen.types.info(frame)
    found = c.PFINFO_TYPES.get(info.type.value, 0) if info.uses else 0
    return found | (c.PFINFO_PINNED if info.pinned else 0)


def _frame_info(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{gmfn; type}."""
    found = _type_of(xen, domain, request[_OP, 8])
    if found == c.PFINFO_INVALID:
        return -abi.EINVAL
    request.put(24, 4, found)
    return 0


def _frame_infos(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{num, array}: each frame number is replaced by itself with its type."""
    count, array = request[_OP, 8], request[24, 8]
    if count > 1024:
        return -abi.EINVAL
    raw = xen.space.copy_from(array, count * 4)
    made = b""
    for at in range(0, len(raw), 4):
        frame = int.from_bytes(raw[at : at + 4], "little") & 0x0FFF_FFFF
        made += (frame | _type_of(xen, domain, frame)).to_bytes(4, "little")
    xen.space.copy_to(array, made)
    return 0


def _max_mem(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{max_memkb}."""
    pages = request[_OP, 8] >> PAGE_SHIFT - 10
    if pages < domain.pages:
        return -abi.EINVAL
    domain.max_pages = pages
    return 0


def _set_context(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{vcpu, context}."""
    if request[_OP, 4] >= _MOST_VCPUS:
        return -abi.EINVAL
    address = request[24, 8]
    if not address:
        return -abi.EINVAL
    raw = xen.space.copy_from(address, c.CONTEXT_BYTES)
    xen.pay_references(2 * c.CONTEXT_BYTES // 4)
    vm = xen.machine_of(domain)
    return vcpu_context.take(xen, domain, raw) if vm is None else vcpu_context.take_hvm(xen, vm, raw)


def _get_context(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    if request[_OP, 4] >= _MOST_VCPUS or domain is xen.domain:
        return -abi.EINVAL
    if not domain.ready or domain.hvm is not None:
        return -abi.ENODATA
    xen.space.copy_to(request[24, 8], vcpu_context.give(xen, domain))
    xen.pay_references(2 * c.CONTEXT_BYTES // 4)
    return 0


def _vcpu_info(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{vcpu; online, blocked, running, cpu_time, cpu}."""
    if request[_OP, 4] >= _MOST_VCPUS or not domain.ready:
        return -abi.ESRCH
    for offset, value in ((20, domain.ready), (21, domain.blocked), (22, domain.on_processor)):
        request.put(offset, 1, int(value))
    request.put(24, 8, switching.processor_time(xen, domain))
    request.put(32, 4, 0)
    return 0


def _max_vcpus(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    if request[_OP, 4] != _MOST_VCPUS:
        return -abi.EINVAL
    vm = xen.machine_of(domain)
    return 0 if vm is None else give_virtual_cpu(xen, vm)


def _scheduler(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{scheduler, command, {weight, cap}}."""
    if request[_OP, 4] != c.SCHEDULER_CREDIT:
        return -abi.EINVAL
    if request[20, 4] == c.SCHEDOP_GET_INFO:
        request.put(24, 2, domain.weight)
        request.put(26, 2, xen.scheduler.account_of(domain.index).cap)
        return 0
    weight, cap = request[24, 2], request[26, 2]
    if request[20, 4] != c.SCHEDOP_PUT_INFO:
        return -abi.EINVAL
    if weight:
        domain.weight = weight
        xen.scheduler.set_weight(domain.index, weight)
    if cap != _CAP_AS_IT_IS:
        xen.scheduler.set_cap(domain.index, cap)
        timekeeping.program(xen)
    return 0


def _handle(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    domain.handle = request.bytes(_OP, 16)
    return 0


def _irq_permission(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{pirq, allow}."""
    line, allow = request[_OP, 1], request[17, 1]
    if line >= abi.PIRQS or line in OWN:
        return -abi.EINVAL
    kept = tuple(number for number in domain.lines if number != line)
    domain.lines = (*kept, line) if allow else kept
    return 0


def _iomem_permission(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{first, count, allow} of frames of devices; memory is nobody's to give away so."""
    first, count, allow = request[_OP, 8], request[24, 8], request[32, 1]
    if not count or not _outside_memory(xen, first, count):
        return -abi.EINVAL
    change = with_range if allow else without_range
    domain.devices = change(domain.devices, range(first, first + count))
    return 0


def _outside_memory(xen: Hypervisor, first: int, count: int) -> bool:
    whole = [device for domain in xen.domains if domain.privileged for device in domain.devices]
    return any(first in device and first + count <= device.stop for device in whole)


def _ioport_permission(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{first, count, allow}."""
    first, count, allow = request[_OP, 4], request[20, 4], request[24, 1]
    mine = any(first in part and first + count <= part.stop for part in xen.domain.ports)
    if not count or first + count > PORTS or not mine:
        return -abi.EINVAL
    change = with_range if allow else without_range
    domain.ports = change(domain.ports, range(first, first + count))
    return 0


def _hypercall_page(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """{gmfn}: fill a frame of the domain with the stubs of the hypercalls."""
    frame = request[_OP, 8]
    xen.types.take(frame, PageType.WRITABLE, domain.id)
    xen.memory.load(HostPhysical(frame << PAGE_SHIFT), abi.hypercall_page())
    xen.pay_references(PAGE_SIZE // 4)
    xen.types.give_back(frame)
    return 0


def _nothing(xen: Hypervisor, domain: Domain, request: Structure) -> int:
    """A domain with a ported kernel needs no such setting."""
    return 0


_COMMANDS: Final[dict[str, Callable[[Hypervisor, Domain, Structure], int]]] = {
    "destroydomain": _destroy,
    "pausedomain": _pause,
    "unpausedomain": _unpause,
    "getmemlist": _frames,
    "getpageframeinfo": _frame_info,
    "getpageframeinfo2": _frame_infos,
    "max_mem": _max_mem,
    "setvcpucontext": _set_context,
    "getvcpucontext": _get_context,
    "getvcpuinfo": _vcpu_info,
    "max_vcpus": _max_vcpus,
    "scheduler_op": _scheduler,
    "setdomainhandle": _handle,
    "irq_permission": _irq_permission,
    "iomem_permission": _iomem_permission,
    "ioport_permission": _ioport_permission,
    "hypercall_init": _hypercall_page,
    "arch_setup": _nothing,
}
HYPERCALLS = {"domctl": domctl}
