"""hvm_op: parameters of HVM domains, and their interrupt lines, for the device model and for the guests.

Source: Xen's public headers hvm/hvm_op.h and hvm/params.h; Xen 3.1, arch/x86/hvm/hvm.c (do_hvm_op).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical
from vizapp.vmm.xen import abi, event_channels
from vizapp.vmm.xen.domain import Channel
from vizapp.vmm.xen.hvm import abi as h
from vizapp.vmm.xen.hvm import lines
from vizapp.vmm.xen.hypercalls.arguments import Structure

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.hvm.vm import HvmVm
    from vizapp.vmm.xen.hypervisor import Hypervisor

_DOMAIN_0: Final = 0  # where device models are
_INDEX, _VALUE = (4, 4), (8, 8)


def hvm_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Set or ask a parameter, or drive a line, of a domain."""
    serve = _COMMANDS.get(a[0])
    if serve is None:
        return -abi.ENOSYS
    size, function = serve
    request = Structure(xen, a[1], size)
    number = request[0, 2]
    own = number in (abi.DOMID_SELF, xen.domain.id)
    if not own and not xen.domain.privileged:
        return -abi.EPERM
    domain = xen.by_id(number)
    if domain is None:
        return -abi.ESRCH
    vm = xen.machine_of(domain)
    return -abi.EINVAL if vm is None else function(xen, vm, request)


def give_virtual_cpu(xen: Hypervisor, vm: HvmVm) -> int:
    """A domain gets its virtual CPU, and with it the channel to its device model; 0 or an error."""
    state = vm.state_of_hvm
    if state.port:
        return 0
    port = event_channels.bind(vm.domain, Channel("unbound", _DOMAIN_0))
    if port is None:
        return -abi.ENOSPC
    vm.domain.hvm = state._replace(port=port)
    _publish(xen, vm)
    return 0


def _publish(xen: Hypervisor, vm: HvmVm) -> None:
    """Tell the port in the page for requests, once there are both."""
    state = vm.state_of_hvm
    frame = vm.physmap.host_frame(state.params[h.PARAM_IOREQ_PFN])
    if state.port and state.params[h.PARAM_IOREQ_PFN] and frame is not None:
        xen.memory.write(HostPhysical((frame << PAGE_SHIFT) + h.IO_PORT), 4, state.port)
        xen.pay_references(1)


def _set(xen: Hypervisor, vm: HvmVm, request: Structure) -> int:
    """{domid, index, value}."""
    index, value = request[_INDEX], request[_VALUE]
    if index >= h.PARAMS:
        return -abi.EINVAL
    if index in (h.PARAM_IOREQ_PFN, h.PARAM_BUFIOREQ_PFN):
        if not xen.domain.privileged:
            return -abi.EPERM  # the guest would choose where its own requests go
        if vm.physmap.host_frame(value) is None:
            return -abi.EINVAL
    if index == h.PARAM_CALLBACK_IRQ and value >> h.CALLBACK_SHIFT > h.CALLBACK_INTX:
        return -abi.EINVAL
    state = vm.state_of_hvm.with_param(index, value)
    if index == h.PARAM_CALLBACK_IRQ:
        lines.change(xen, vm, state)
        lines.follow_events(xen, vm)
        return 0
    vm.domain.hvm = state
    if index == h.PARAM_IOREQ_PFN:
        _publish(xen, vm)
    return 0


def _get(xen: Hypervisor, vm: HvmVm, request: Structure) -> int:
    """{domid, index; value}."""
    index = request[_INDEX]
    if index >= h.PARAMS:
        return -abi.EINVAL
    request.put(*_VALUE, vm.state_of_hvm.params[index])
    return 0


def _set_line(xen: Hypervisor, vm: HvmVm, request: Structure) -> int:
    """{domid, isa_irq, level}."""
    line, level = request[2, 1], request[3, 1]
    if vm.domain is xen.domain:
        return -abi.EPERM
    if line >= h.ISA_LINES:
        return -abi.EINVAL
    state = vm.state_of_hvm
    lines.change(xen, vm, state._replace(lines=state.lines & ~(1 << line) | bool(level) << line))
    return 0


def _set_wire(xen: Hypervisor, vm: HvmVm, request: Structure) -> int:
    """{domid, domain, bus, device, intx, level}."""
    device, pin, level = request[4, 1], request[5, 1], request[6, 1]
    if vm.domain is xen.domain:
        return -abi.EPERM
    if request[2, 1] or request[3, 1] or device > 31 or pin > 3:
        return -abi.EINVAL
    state, wire = vm.state_of_hvm, device * 4 + pin
    lines.change(xen, vm, state._replace(wires=state.wires & ~(1 << wire) | bool(level) << wire))
    return 0


def _set_route(xen: Hypervisor, vm: HvmVm, request: Structure) -> int:
    """{domid, link, isa_irq}."""
    link, line = request[2, 1], request[3, 1]
    if vm.domain is xen.domain:
        return -abi.EPERM
    if link >= h.LINKS or line >= h.ISA_LINES:
        return -abi.EINVAL
    state = vm.state_of_hvm
    lines.change(xen, vm, state._replace(links=(*state.links[:link], line, *state.links[link + 1 :])))
    return 0


_COMMANDS: Final[dict[int, tuple[int, Callable[[Hypervisor, HvmVm, Structure], int]]]] = {
    h.HVMOP_SET_PARAM: (16, _set),
    h.HVMOP_GET_PARAM: (16, _get),
    h.HVMOP_SET_PCI_INTX_LEVEL: (8, _set_wire),
    h.HVMOP_SET_ISA_IRQ_LEVEL: (4, _set_line),
    h.HVMOP_SET_PCI_LINK_ROUTE: (4, _set_route),
}
HYPERCALLS = {"hvm_op": hvm_op}
