"""A virtual machine's whole state as data: taken from one machine, put into another, the technique the same.

What it has learnt of its processor goes with it (which vendor's instructions there are, how fast its counter
is), and no monitor can change that underneath a guest that runs: so a machine saved on Intel is refused on
AMD, and the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, GuestPhysical, HostPhysical
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.identity import Identity
    from vizapp.machine.pc import Pc
    from vizapp.vmm.virtual_machines import VirtualMachines

_MOST_STEPS = 1 << 20  # until a line that asks for the monitor has brought it in


class Hosting(Protocol):
    """A monitor with virtual machines."""

    @property
    def machines(self) -> VirtualMachines[Any]:
        """The machines with their scheduler."""
        ...


@dataclass(frozen=True, slots=True)
class SavedVm:
    """A virtual machine off every processor; plain data.

    Attributes:
        technique: under which it ran.
        paging: shadow or nested; it may go on under either.
        vendor: what CPUID said of its processor, ``features`` EDX of leaf 1, ``hertz`` its cycles a second.
        memory: bytes of guest-physical memory.
        pages: by guest frame; those that are all zeros are left out.
        state: what else it is, by ``VirtualMachine.take_out``.
    """

    technique: str
    vendor: str
    features: int
    hertz: int
    name: str
    memory: int
    pages: Mapping[int, bytes]
    state: Mapping[str, Any]


def save_vm(pc: Pc, monitor: Hosting, technique: str, vm: int = 0) -> SavedVm:
    """Pause a virtual machine and take its state; it stays paused.

    The machine runs on until the monitor has been brought in and holds all of the virtual CPU.

    Raises:
        ScenarioError: it has stopped.
    """
    machines = monitor.machines
    machine = machines.vms[vm]
    if machine.stopped is None and not (machine.paused and machine.is_held):
        machines.ask_to_pause(machine)
        for _ in range(_MOST_STEPS):
            if pc.stopped is not None or (machine.paused and machine.is_held):
                break
            pc.step()
    if machine.stopped is not None:
        sentence = N_("{vm} has stopped, and there is nothing to save: {detail}")
        raise ScenarioError(Message(sentence, {"vm": machine.name, "detail": machine.stopped[1]}))
    assert machine.paused
    pages = {}
    for frame in range(machine.memory.size >> PAGE_SHIFT):
        host = machine.memory.where(GuestPhysical(frame << PAGE_SHIFT))
        assert host is not None
        page = pc.memory.dump(HostPhysical(host), PAGE_SIZE)
        if any(page):
            pages[frame] = page
    identity = pc.cpu.identity
    return SavedVm(
        technique,
        vendor(identity),
        identity.leaf(1).edx,
        pc.hertz,
        machine.name,
        machine.memory.size,
        pages,
        machine.take_out(),
    )


def restore_vm(pc: Pc, monitor: Hosting, technique: str, saved: SavedVm, vm: int = 0) -> None:
    """Put a saved state into a virtual machine of a new PC, before its first step.

    Raises:
        ScenarioError: it cannot go on there, with the reason.
    """
    machine = monitor.machines.vms[vm]
    reason = _obstacle(pc, technique, saved, machine.memory.size, machine.devices.save().keys())
    if reason is not None:
        raise ScenarioError(
            Message(N_("{vm} cannot go on here: {reason}"), {"vm": saved.name, "reason": reason})
        )
    if pc.position:
        raise ValueError("the machine has begun to run")
    for frame in range(machine.memory.size >> PAGE_SHIFT):
        machine.memory.load(frame << PAGE_SHIFT, saved.pages.get(frame, bytes(PAGE_SIZE)))
    machine.put_in(saved.state)
    monitor.machines.enter_again(machine)


def vendor(identity: Identity) -> str:
    """The twelve letters of CPUID leaf 0."""
    leaf = identity.leaf(0)
    return b"".join(word.to_bytes(4, "little") for word in (leaf.ebx, leaf.edx, leaf.ecx)).decode("ascii")


def _obstacle(pc: Pc, technique: str, saved: SavedVm, memory: int, devices: Any) -> Message | None:
    """Why a saved state cannot go on in a machine; None if it can."""
    identity = pc.cpu.identity
    here = vendor(identity)
    if here != saved.vendor:
        return Message(
            N_(
                "it was saved on a processor by {saved} and this one is by {here}; its guest has found out "
                "which instructions its processor has, and would meet #UD"
            ),
            {"saved": saved.vendor, "here": here},
        )
    if technique != saved.technique:
        return Message(
            N_("it was saved under {saved}, and this is {here}"),
            {"saved": saved.technique, "here": technique},
        )
    missing = saved.features & ~identity.leaf(1).edx
    if missing:
        return Message(
            N_("its processor had features that this one lacks (CPUID leaf 1, EDX {bits})"),
            {"bits": f"{missing:#010x}"},
        )
    if pc.hertz != saved.hertz:
        return Message(
            N_("its counter ran at {saved} Hz and this processor's runs at {here} Hz"),
            {"saved": saved.hertz, "here": pc.hertz},
        )
    if memory != saved.memory:
        return Message(
            N_("it has {saved} MB of memory, and {here} MB are here for it"),
            {"saved": saved.memory >> 20, "here": memory >> 20},
        )
    if set(saved.state["devices"]) != set(devices):
        return Message(N_("it has other devices than are here for it"))
    return None
