"""What the hypervisor's phases and hypercalls may do to the machine, the domain and the shared page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import M32, PAGE_SHIFT, Linear
from vizapp.isa.descriptors import (
    DESCRIPTOR_BYTES,
    TRAP_GATE_32,
    TSS_ESP0,
    TSS_SS0,
    Gate,
    pack_gate,
    to_bytes,
)
from vizapp.isa.registers import CR0_TS, CS
from vizapp.machine import events
from vizapp.machine.devices.uart import COM1_PORTS
from vizapp.machine.meter import Purpose
from vizapp.machine.places import APPLICATION, BARE, GUEST_KERNEL, VMM, Place
from vizapp.messages import N_, Message
from vizapp.vmm import ring0
from vizapp.vmm.host_tables import IDT, TSS
from vizapp.vmm.physical_timer import PhysicalTimer
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.domain import Channel, Domain, Entry, SharedInfo
from vizapp.vmm.xen.emulate import Controls
from vizapp.vmm.xen.guest_access import DirectSpace
from vizapp.vmm.xen.hypercalls.traps import SYSTEM_CALL_VECTOR
from vizapp.vmm.xen.page_types import PageType, PageTypes, RefusedError

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Paths
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.host_tables import HostTables

VMM_PLACE = Place(0, BARE, 0, -1, VMM)
KERNEL = Place(0, BARE, 1, 0, GUEST_KERNEL)
PLACES = (VMM_PLACE, KERNEL, KERNEL._replace(ring=2), Place(0, BARE, 3, 0, APPLICATION))
TSS_ESP1 = TSS_ESP0 + 8
TSS_SS1 = TSS_SS0 + 8


class Services:
    """Machine, domain and the bookkeeping between them.

    Attributes:
        flush_needed: an entry was replaced whose old translation may still be in the TLB.
        fault_address: CR2 of the page fault that is being handled.
        bouncing: vector of the exception that is being handed to the guest.
        unhonoured: address and mnemonic of an instruction that the hypervisor does not emulate.
        domain_ended: the domain was shut down or killed.
    """

    def __init__(
        self,
        pc: Pc,
        tables: HostTables,
        frames: FrameAllocator,
        domain: Domain,
        xen_slots: dict[int, int],
        m2p: int,
        paths: Paths,
    ) -> None:
        self.pc = pc
        self.memory = pc.memory
        self.tables = tables
        self.frame = tables.frame
        self.frames = frames
        self.domain = domain
        self.shared = SharedInfo(pc.memory, domain.shared_frame)
        self.space = DirectSpace(pc.memory, lambda: self.domain.page_directory, self._pay_references)
        self.types = PageTypes(pc.memory, self.owns, xen_slots)
        self.timer = PhysicalTimer(pc)
        self._m2p = m2p
        self._paths = paths
        self.flush_needed = False
        self.domain_ended = False
        self.guest_limit = abi.GUEST_LIMIT
        self.fault_address = 0
        self.bouncing = 0
        self.unhonoured: tuple[int, str] | None = None

    # What the hypervisor's own work costs.

    def pay(self, path: str) -> None:
        """Charge the operations of one of the monitor's paths."""
        for name, count in self._paths[path].items():
            self.pc.meter.charge(name, count)

    def _pay_references(self, count: int) -> None:
        self.pc.meter.charge("mon_memory_reference", count)

    def pay_entries(self, count: int) -> None:
        """Page-table entries examined or written while validating."""
        self.pc.meter.charge("mon_memory_reference", count, Purpose.MEMORY)

    # Guest memory.

    def owns(self, frame: int) -> bool:
        """Whether a machine frame is the domain's."""
        return self.domain.owns(frame)

    def linear(self, offset: int) -> Linear:
        """A guest's code address; its segments are flat."""
        return Linear(self.pc.cpu.segments[CS].base + offset & M32)

    def copy_from_guest(self, address: int, count: int) -> bytes:
        """Bytes that the guest points at; GuestMemoryError when they are not its own."""
        return self.space.copy_from(address, count)

    def copy_to_guest(self, address: int, data: bytes) -> None:
        """Store bytes where the guest points; GuestMemoryError when it may not write there."""
        self.space.copy_to(address, data)

    # Tables of the processor.

    def set_direct_gate(self, entry: Entry | None) -> None:
        """Let INT 0x80 enter the guest kernel without the hypervisor, or no longer.

        An entry that masks events cannot be direct: no gate clears the guest's upcall mask.
        """
        if entry is None or entry.flags & abi.TI_MASK_EVENTS:
            self.tables.set_gate(SYSTEM_CALL_VECTOR, dpl=0)
            return
        gate = Gate(entry.selector, entry.offset, TRAP_GATE_32, entry.flags & abi.TI_DPL, present=True)
        where = self.tables.physical(IDT) + SYSTEM_CALL_VECTOR * DESCRIPTOR_BYTES
        self.memory.load(where, to_bytes(pack_gate(gate)))  # type: ignore[arg-type]

    def set_kernel_stack(self, selector: int, pointer: int) -> None:
        """The stack for entries from ring 3, in the domain and in the TSS for direct gates."""
        self.domain.kernel_ss, self.domain.kernel_esp = selector, pointer
        tss = self.tables.physical(TSS)
        self.memory.write(tss + TSS_ESP1, 4, pointer)
        self.memory.write(tss + TSS_SS1, 4, selector)
        self._pay_references(2)

    def controls(self) -> Controls:
        """The control registers as the domain sees them."""
        cpu = self.pc.cpu
        cr0 = cpu.cr0 & ~CR0_TS | (CR0_TS if self.domain.task_switched else 0)
        return Controls(cr0, self.shared.read(abi.VCPU_CR2, 4), self.domain.page_directory << 12, cpu.cr4)

    def set_task_switched(self, on: bool) -> None:
        """CR0.TS, the one bit of CR0 that a domain may set."""
        self.domain.task_switched = on
        self.pc.cpu.cr0 = self.pc.cpu.cr0 & ~CR0_TS | (CR0_TS if on else 0)
        self.pc.meter.charge("mon_instruction")

    # Address spaces.

    def load_directory(self, frame: int) -> None:
        """Run on a page directory that was validated."""
        self.domain.page_directory = frame
        ring0.load_cr3(self.pc, frame)
        self.flush_needed = False

    def switch_directory(self, frame: int) -> None:
        """Validate a page directory, run on it, release the one before; RefusedError if it breaks rules."""
        old = self.domain.page_directory
        if frame == old:
            self.flush_tlb()
            return
        self.types.take(frame, PageType.L2)
        self.load_directory(frame)
        self.types.give_back(old)
        payload = {"cr3": frame << PAGE_SHIFT}
        self.pc.emit(events.ADDRESS_SPACE_SWITCHED, "new_baseptr", payload, VMM_PLACE, VMM_PLACE)

    def flush_tlb(self) -> None:
        """Forget every translation."""
        ring0.load_cr3(self.pc, self.domain.page_directory)
        self.flush_needed = False

    def flush_if_needed(self) -> None:
        """Flush if an entry was replaced since the last flush."""
        if self.flush_needed:
            self.flush_tlb()

    def invalidate(self, linear: Linear) -> None:
        """Forget one translation."""
        ring0.invlpg(self.pc, linear)

    def set_pseudo_physical(self, frame: int, pfn: int) -> None:
        """Note in the machine-to-physical table where the domain keeps a frame."""
        if not self.domain.owns(frame):
            raise RefusedError(
                Message(N_("machine frame {frame} does not belong to the domain"), {"frame": f"{frame:#x}"})
            )
        self.memory.write((self._m2p << PAGE_SHIFT) + frame * 4, 4, pfn)

    def note_refusal(self, what: str, refused: RefusedError) -> None:
        """Tell that the hypervisor protected something."""
        payload: dict[str, int | str] = {"name": what, "reason": refused.reason.in_english()}
        self.pc.emit(events.REQUEST_REFUSED, what, payload, VMM_PLACE, VMM_PLACE)

    # Time and events.

    def cycles_of(self, nanoseconds: int) -> int:
        """The cycle at which system time reaches a value."""
        return -(-nanoseconds * self.pc.hertz // abi.NANOSECONDS)

    def set_period(self, nanoseconds: int) -> None:
        """Start, change or stop (0) the periodic timer."""
        self.domain.period = nanoseconds
        self.domain.tick = self.pc.meter.cycles + self.cycles_of(nanoseconds) if nanoseconds else None
        self.program_timer()

    def next_deadline(self) -> int | None:
        """The first cycle at which a timer of the domain is due; None when nothing listens to it."""
        if Channel("virq", abi.VIRQ_TIMER) not in self.domain.channels.values():
            return None
        due = [cycle for cycle in (self.domain.deadline, self.domain.tick) if cycle is not None]
        return min(due, default=None)

    def program_timer(self) -> None:
        """Let the machine's timer interrupt at the next deadline."""
        self.timer.arm(self.next_deadline())

    def timers_due(self) -> None:
        """Send the timer's virtual interrupt if a deadline has passed, and go on to the next."""
        domain, now = self.domain, self.pc.meter.cycles
        rung = False
        if domain.deadline is not None and domain.deadline <= now:
            domain.deadline, rung = None, True
        if domain.tick is not None and domain.tick <= now:
            period = self.cycles_of(domain.period)
            domain.tick += (now - domain.tick) // period * period + period
            rung = True
        self.update_time()
        if rung:
            for port, channel in sorted(domain.channels.items()):
                if channel == Channel("virq", abi.VIRQ_TIMER):
                    self.send_event(port)
        self.program_timer()

    def send_event(self, port: int) -> None:
        """Make an event channel pending."""
        self.pay("event")
        self.shared.raise_port(port)
        channel = self.domain.channels[port]
        name = abi.VIRQ_NAMES[channel.detail] if channel.kind == "virq" else channel.kind
        self.pc.emit(events.EVENT_SENT, name, {"port": port}, VMM_PLACE, VMM_PLACE)

    def update_time(self) -> None:
        """Write the time record: system time at a cycle, and how to scale what has passed since."""
        hertz, cycles = self.pc.hertz, self.pc.meter.cycles
        shift, scale = time_scale(hertz)
        base = abi.VCPU_TIME
        version = self.shared.read(base, 4)
        # Odd while the record is being written, so that a guest that reads it now tries again.
        self.shared.write(base, 4, version + 1)
        self.shared.write(base + 8, 8, cycles)
        self.shared.write(base + 16, 8, cycles * abi.NANOSECONDS // hertz)
        self.shared.write(base + 24, 4, scale)
        self.shared.write(base + 28, 1, shift & 0xFF)
        self.shared.write(base, 4, version + 2)
        self._pay_references(7)

    # Console and end.

    def console_write(self, data: bytes) -> None:
        """Send bytes to the serial port of the machine, whose driver is in the hypervisor."""
        for byte in data:
            ring0.outb(self.pc, COM1_PORTS.start, byte)

    def console_read(self, count: int) -> bytes:
        """Bytes that wait at the serial port, at most ``count``."""
        data = bytearray()
        while len(data) < count and self.pc.board.read(COM1_PORTS.start + 5, 1) & 1:
            data.append(self.pc.board.read(COM1_PORTS.start, 1))
            self.pc.meter.charge("mon_port", 2)
        return bytes(data)

    def shut_down(self, reason: int) -> None:
        """The domain asked for its end."""
        name = abi.SHUTDOWN_REASONS.get(reason, "crash")
        if name == "crash":
            self.crash(Message(N_("the guest reported that it had crashed")))
        else:
            self.end(N_("the guest shut its domain down"))

    def end(self, sentence: str) -> None:
        """The domain is over."""
        self._stop("halted", Message(sentence))

    def crash(self, why: Message) -> None:
        """Kill the domain."""
        self._stop("crashed", why)

    def _stop(self, reason: str, why: Message) -> None:
        if not self.domain_ended:
            self.domain_ended = True
            payload: dict[str, int | str] = {"reason": reason, "detail": why.in_english()}
            self.pc.emit(events.VM_STOPPED, reason, payload, VMM_PLACE, VMM_PLACE)
            self.pc.stop(reason, why)

    def save_services(self) -> Any:
        """State outside machine memory."""
        return (
            self.domain.copy(), self.types.save(), self.frames.save(), self.timer.save(), self.flush_needed,
            self.domain_ended, self.fault_address, self.bouncing, self.unhonoured,
        )  # fmt: skip

    def load_services(self, saved: Any) -> None:
        """Take up a saved state."""
        domain, types, frames, timer, *rest = saved
        self.domain = domain.copy()
        self.types.load(types)
        self.frames.load(frames)
        self.timer.load(timer)
        self.flush_needed, self.domain_ended, self.fault_address, self.bouncing, self.unhonoured = rest


def time_scale(hertz: int) -> tuple[int, int]:
    """Shift and 32-bit multiplier with which a guest scales cycles to nanoseconds.

    ``ns = ((cycles << shift) * multiplier) >> 32``, with the multiplier as large as 32 bits hold.
    """

    def multiplier(shift: int) -> int:
        numerator = abi.NANOSECONDS << 32
        return (numerator >> shift if shift >= 0 else numerator << -shift) // hertz

    shift = 32
    while multiplier(shift - 1) <= M32:
        shift -= 1
    return shift, multiplier(shift)
