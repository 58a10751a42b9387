"""Events: what happened, in the past tense, as small immutable records.

An event stands for a passage through one of the hardware's doors or an act of a monitor. What replay can
rebuild (every retired instruction) is not an event. The kinds that the machine itself emits stand first;
a technique adds its own in the same way, and ``CLI_NAMES`` gives those that ``--until`` and ``--json`` use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeAlias

from vizapp.machine.places import Place

Payload: TypeAlias = Mapping[str, int | str]

# The machine.
EXCEPTION_DELIVERED = "ExceptionDelivered"  # vector, error, address; through an IDT gate
INTERRUPT_DELIVERED = "InterruptDelivered"  # vector; from the interrupt controller
SOFTWARE_INTERRUPT_DELIVERED = "SoftwareInterruptDelivered"  # vector; by INT n, INT3, INTO
RETURNED = "Returned"  # IRET or far RET to another ring
GATE_CALLED = "GateCalled"  # far CALL or JMP through a gate or to another ring
ADDRESS_SPACE_SWITCHED = "AddressSpaceSwitched"  # CR3 written by the code that owns it
MARK_PASSED = "MarkPassed"  # a mark_* label retired; payload: label, instructions
MACHINE_STOPPED = "MachineStopped"  # payload: reason
# Devices that act by themselves, as who looks at the board sees it; payload: vm, if the device is virtual.
FRAME_SENT = "FrameSent"  # an adapter took a frame out of memory; payload: bytes, check, address
FRAME_RECEIVED = "FrameReceived"  # an adapter put a frame into memory; payload: the same
BLOCKS_ASKED = "BlocksAsked"  # a drive was told to ``read`` or ``write``; payload: block, count
# Monitors that deprivilege.
INSTRUCTION_EMULATED = "InstructionEmulated"  # a privileged or sensitive one, on the virtual CPU
FAULT_REFLECTED = "FaultReflected"  # a guest exception handed to the guest's own handler
SYSTEM_CALL_REFLECTED = "SystemCallReflected"  # INT n of an application handed to the guest kernel
INTERRUPT_INJECTED = "InterruptInjected"  # a virtual interrupt delivered through the guest's IDT
PAGE_SHADOWED = "PageShadowed"  # a hidden fault filled the shadow table
PAGE_SWAPPED_OUT = "PageSwappedOut"  # a page was taken from a guest; payload: vm, guest_frame, host_frame
PAGE_SWAPPED_IN = "PageSwappedIn"  # and gave one back; the cause is ``guest-disk`` where it is paged twice
SHADOW_FLUSHED = "ShadowFlushed"  # the shadow was dropped: virtual CR3 load or INVLPG
SHADOW_SWITCHED = (
    "ShadowSwitched"  # virtual CR3 load: the shadow of another address space; payload: root, pages
)
VIRTUAL_CPU_HALTED = "VirtualCpuHalted"  # the guest has nothing to do until an interrupt
VM_STOPPED = "VmStopped"  # the guest ended or died; payload: reason, detail
# Binary translation.
UNIT_TRANSLATED = "UnitTranslated"  # guest code put into the cache; payload: address, instructions, by kind,
# and "lines": of each the distance from the first in hexadecimal, and its kind
CHAIN_PATCHED = "ChainPatched"  # a jump of the cache leads to a unit now, not to the monitor
INSTRUCTION_RETRANSLATED = "InstructionRetranslated"  # payload: address, from, to (a form), faults
UNITS_DROPPED = "UnitsDropped"  # the guest wrote to code, or mapped another page there; payload: units
CACHE_FLUSHED = "CacheFlushed"  # the cache was full; payload: units
ENGINE_SELECTED = "EngineSelected"  # direct execution, translation or interpretation from here on; the cause
# Paravirtual.
HYPERCALL_MADE = "HypercallMade"  # payload: name, number, arguments, result
EVENT_SENT = "EventSent"  # an event channel became pending
REQUEST_REFUSED = "RequestRefused"  # the hypervisor protected something; payload: name, reason
UPCALL_DELIVERED = "UpcallDelivered"  # the event callback of a domain entered
DOMAIN_CREATED = "DomainCreated"  # domain 0 has made one; payload: vm, domain
DOMAIN_DESTROYED = "DomainDestroyed"  # and taken all from it that it had; payload: vm, domain
MEMORY_MOVED = "MemoryMoved"  # pages given to a domain, or taken from one; payload: pages, vm, from
GRANT_MAPPED = "GrantMapped"  # payload: reference, handle, frame, from, vm
GRANT_UNMAPPED = "GrantUnmapped"  # the same
GRANT_COPIED = "GrantCopied"  # payload: bytes, from, to; reference, frame and offset of what was granted
IO_REQUESTED = "IoRequested"  # of a device model; payload: vm, address, size, read, data, count, pointer
IO_ANSWERED = "IoAnswered"  # and by it; the same
# Hardware virtualization.
VM_ENTERED = "VmEntered"  # VMLAUNCH, VMRESUME, VMRUN; payload: vm-entry's injected event, if any
VM_EXITED = "VmExited"  # payload: reason, name, qualification, ...; cause: the reason in kebab-case
VM_ENTRY_FAILED = "VmEntryFailed"  # VMfail, or an entry that ended in its exit; payload: error
NESTED_PAGE_MAPPED = "NestedPageMapped"  # the monitor filled an entry of EPT or NPT
# Several virtual machines.
VM_SCHEDULED = "VmScheduled"  # the scheduler gave the processor to another one; payload: vm, from
# Bare metal.
FRAME_SWITCHED = "FrameSwitched"  # by the monitor's own switch; payload: from, to (numbers of ports), bytes
# Hosted.
WORLD_SWITCHED = "WorldSwitched"  # MOV CR3 of the switch page; cause: why the VMM left, or run
# The session.
DIVERGED = "Diverged"  # the run stopped being equivalent to the bare machine

CHANGES_OF_HANDS = frozenset({PAGE_SWAPPED_OUT, MEMORY_MOVED, GRANT_UNMAPPED, DOMAIN_DESTROYED})
"""After these somebody may no longer use what he could use before."""

TRAPS = frozenset({EXCEPTION_DELIVERED, SOFTWARE_INTERRUPT_DELIVERED})

CLI_NAMES = {
    EXCEPTION_DELIVERED: "trap",
    SOFTWARE_INTERRUPT_DELIVERED: "software-interrupt",
    INTERRUPT_DELIVERED: "interrupt",
    RETURNED: "return",
    GATE_CALLED: "gate-call",
    ADDRESS_SPACE_SWITCHED: "address-space-switch",
    MARK_PASSED: "mark",
    MACHINE_STOPPED: "stop",
    FRAME_SENT: "frame-sent",
    FRAME_RECEIVED: "frame-received",
    BLOCKS_ASKED: "blocks-asked",
    INSTRUCTION_EMULATED: "emulate",
    FAULT_REFLECTED: "reflect",
    SYSTEM_CALL_REFLECTED: "reflect-syscall",
    INTERRUPT_INJECTED: "inject",
    PAGE_SHADOWED: "shadow-fill",
    PAGE_SWAPPED_OUT: "page-swapped-out",
    PAGE_SWAPPED_IN: "page-swapped-in",
    SHADOW_FLUSHED: "shadow-flush",
    SHADOW_SWITCHED: "shadow-switch",
    VIRTUAL_CPU_HALTED: "vm-halt",
    VM_STOPPED: "vm-stop",
    UNIT_TRANSLATED: "unit-translated",
    CHAIN_PATCHED: "chain-patched",
    INSTRUCTION_RETRANSLATED: "retranslated",
    UNITS_DROPPED: "units-dropped",
    CACHE_FLUSHED: "cache-flushed",
    ENGINE_SELECTED: "engine-selected",
    HYPERCALL_MADE: "hypercall",
    EVENT_SENT: "event-send",
    REQUEST_REFUSED: "refuse",
    UPCALL_DELIVERED: "upcall",
    DOMAIN_CREATED: "domain-create",
    DOMAIN_DESTROYED: "domain-destroy",
    MEMORY_MOVED: "memory-move",
    GRANT_MAPPED: "grant-map",
    GRANT_UNMAPPED: "grant-unmap",
    GRANT_COPIED: "grant-copy",
    IO_REQUESTED: "io-request",
    IO_ANSWERED: "io-answer",
    VM_ENTERED: "vm-entry",
    VM_EXITED: "vm-exit",
    VM_ENTRY_FAILED: "vm-entry-failed",
    NESTED_PAGE_MAPPED: "nested-fill",
    VM_SCHEDULED: "vm-switch",
    FRAME_SWITCHED: "frame-switched",
    WORLD_SWITCHED: "world-switch",
    DIVERGED: "diverge",
}


class Event(NamedTuple):
    """One thing that happened.

    ``position`` counts instructions retired, deliveries and monitor phases from the start of the run;
    ``cycle`` is the machine's counter after it. ``cause`` is short and stable, for people who filter
    (``#GP``, ``mov cr3``, ``mmu_update``). ``charges`` are (input, count)
    pairs, see ``vizapp.machine.meter``.
    """

    position: int
    cycle: int
    kind: str
    source: Place
    target: Place
    cause: str
    payload: Payload
    charges: tuple[tuple[str, int], ...] = ()


_Fields: TypeAlias = "tuple[int, int, str, Place, Place, str, Payload, tuple[tuple[str, int], ...]]"
# From all eight at once, which takes less time: there may be two events to every hundred instructions.
make_event: Callable[[_Fields], Event] = partial(tuple.__new__, Event)
