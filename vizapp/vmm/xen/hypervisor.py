"""The hypervisor: entered by traps, interrupts and hypercalls of its domain, left by IRET.

    entered ─┬─ hypercall ────────────┐
             ├─ exception ─┬─ emulate ┤
             │             └─ bounce  ┼─ events ─▶ resume ─▶ the guest
             └─ interrupt ────────────┘    └─▶ idle ─▶ woken ─┘

Source: Xen 3.1, arch/x86/x86_32/entry.S and traps.c; Barham et al. (SOSP 2003), section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa import vectors
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.descriptors import SELECTOR_RPL
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.machine.faults import Fault
from vizapp.messages import N_, Message
from vizapp.vmm import ring0, stubs
from vizapp.vmm.physical_timer import VECTORS
from vizapp.vmm.xen import abi, bounce
from vizapp.vmm.xen.emulate import Controls, emulate, why_not
from vizapp.vmm.xen.guest_access import GuestMemoryError
from vizapp.vmm.xen.hypercalls import TABLE
from vizapp.vmm.xen.page_types import RefusedError
from vizapp.vmm.xen.services import KERNEL, PLACES, VMM_PLACE, Services

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.places import Place
    from vizapp.vmm.xen.domain import Entry

ERROR_FROM_IDT = 2  # the #GP names a gate: INT n through one whose DPL is too low
INT_LENGTH = 2
RING_CODE = {1: abi.FLAT_RING1_CS, 3: abi.FLAT_RING3_CS}
RING_STACK = {1: abi.FLAT_RING1_DS, 3: abi.FLAT_RING3_DS}


class Hypervisor(Services):
    """The phases of the hypervisor; what hypercalls may do to machine and domain stands in ``Services``."""

    @property
    def _phases(self) -> dict[str, Callable[[], str | None]]:
        return {
            "entered": self._entered,
            "hypercall": self._hypercall,
            "exception": self._exception,
            "emulate": self._emulate,
            "bounce": self._bounce,
            "interrupt": self._interrupt,
            "events": self._events,
            "resume": self._resume,
            "idle": self._idle,
            "nested": self._nested,
            "woken": self._woken,
        }

    def run_phase(self, name: str) -> str | None:
        """Run one phase; the name of the next, or None when the processor goes on at EIP."""
        following = self._phases[name]()
        return None if self.domain_ended else following

    @property
    def _guest_place(self) -> Place:
        return PLACES[self.frame.cs & SELECTOR_RPL]

    def _entered(self) -> str:
        """What brought us here: dispatch on the vector that the entry stub pushed."""
        self.pay("entry")
        vector = self.frame.entry_vector
        if vector == abi.HYPERCALL_VECTOR:
            return "hypercall"
        return "interrupt" if vector in VECTORS else "exception"

    def _hypercall(self) -> str:
        frame = self.frame
        number = frame.eax
        arguments = (frame.ebx, frame.ecx, frame.edx, frame.esi, frame.edi, frame.ebp)
        self.pay("hypercall")
        name = abi.HYPERCALLS.get(number, f"hypercall_{number}")
        source = self._guest_place
        if number == abi.IRET:
            self._return_from_trap()
            result = frame.eax
        else:
            result = self.call(number, arguments) & 0xFFFF_FFFF
            # The call ended the domain, or its result goes where the number came from.
            frame.eax = result
        payload: dict[str, int | str] = {"name": name, "number": number, "result": result}
        payload.update(zip(("ebx", "ecx", "edx", "esi", "edi"), arguments, strict=False))
        self.pc.emit(events.HYPERCALL_MADE, name, payload, source, VMM_PLACE)
        return "events"

    def call(self, number: int, arguments: tuple[int, ...]) -> int:
        """One hypercall; a refusal is -EINVAL, a pointer that leads nowhere -EFAULT, an unknown one -ENOSYS."""
        handler = TABLE.get(abi.HYPERCALLS.get(number, ""))
        if handler is None:
            return -abi.ENOSYS
        try:
            return handler(self, arguments)
        except RefusedError as refused:
            self.note_refusal(abi.HYPERCALLS[number], refused)
            return -abi.EINVAL
        except GuestMemoryError:
            return -abi.EFAULT

    def _return_from_trap(self) -> None:
        try:
            bounce.pop_frame(self.frame, self.space, self.shared)
        except GuestMemoryError:
            self.crash(Message(N_("the iret hypercall found no frame on the guest's stack at {stack}"),
                               {"stack": f"{self.frame.esp:#010x}"}))  # fmt: skip
        except ValueError:
            self.crash(Message(N_("the iret hypercall was given a frame that names ring 0")))
        self.pay("bounce")

    def _exception(self) -> str:
        frame = self.frame
        vector = frame.entry_vector
        if vector == vectors.PF:
            self.fault_address = self.pc.cpu.cr2
        if vector == vectors.GP and frame.cs & SELECTOR_RPL:
            if frame.error_code & 3 == ERROR_FROM_IDT:
                return self._software_interrupt(frame.error_code >> 3)
            if frame.error_code == 0 and frame.cs & SELECTOR_RPL == 1:
                return "emulate"
        self.bouncing = vector
        return "bounce"

    def _software_interrupt(self, vector: int) -> str:
        """INT n of the guest: allowed if its trap table lets that ring raise the vector."""
        entry = self.domain.traps.get(vector)
        if entry is not None and entry.flags & abi.TI_DPL >= self.frame.cs & SELECTOR_RPL:
            self.frame.eip = self.frame.eip + INT_LENGTH & 0xFFFF_FFFF
            self.bouncing = vector
        else:
            self.bouncing = vectors.GP
        return "bounce"

    def _fetch(self) -> Instruction | None:
        """The instruction that trapped, or None when its bytes cannot be had or mean nothing."""
        for length in (15, *range(1, 15)):
            try:
                code = self.space.fetch(self.frame.eip, length, False)
                return decode(code, self.linear(self.frame.eip))
            except (Fault, DecodeError):
                continue
        return None

    def _emulate(self) -> str:
        """A privileged instruction of the guest kernel: done for it, or handed back as its #GP."""
        frame = self.frame
        self.pay("emulate")
        address = frame.eip
        instruction = self._fetch()
        self.bouncing = vectors.GP
        if instruction is None:
            return "bounce"
        before = self.controls()
        outcome = emulate(instruction, frame, self.space, before)
        if outcome.refused is not None:
            self.unhonoured = (address, instruction.mnemonic)
            return "bounce"
        refusal = self._apply(before, outcome.controls)
        if refusal is not None:
            frame.eip = address
            self.unhonoured = (address, instruction.mnemonic)
            return "bounce"
        self.pc.count_emulated()
        payload: dict[str, int | str] = {"mnemonic": instruction.mnemonic, "address": address}
        self.pc.emit(events.INSTRUCTION_EMULATED, instruction.mnemonic, payload, KERNEL, VMM_PLACE)
        return "events"

    def _apply(self, before: Controls, after: Controls) -> Message | None:
        """Let the domain's control registers become what the instruction made of them, or say why not."""
        if after.cr2 != before.cr2:
            self.shared.write(abi.VCPU_CR2, 4, after.cr2)
        if after.cr0 != before.cr0:
            self.set_task_switched(bool(after.cr0 & ~before.cr0))
        if after.cr3 == before.cr3:
            return None
        try:
            self.switch_directory(after.cr3 >> 12)
        except RefusedError as refused:
            return refused.reason
        return None

    def _bounce(self) -> str:
        """Hand an exception to the handler that the guest registered, or end the domain for want of one."""
        frame = self.frame
        vector = self.bouncing
        entry = self.domain.traps.get(vector)
        if entry is None or not frame.cs & SELECTOR_RPL:
            self._no_handler(vector)
            return "events"
        self.pay("bounce")
        if vector == vectors.PF:
            self.shared.write(abi.VCPU_CR2, 4, self.fault_address)
        address, source = frame.eip, self._guest_place
        error = frame.error_code if vector in vectors.WITH_ERROR_CODE else None
        if not self._push(entry, error, mask=bool(entry.flags & abi.TI_MASK_EVENTS)):
            return "events"
        payload: dict[str, int | str] = {"vector": vector, "address": address, "handler": entry.offset}
        if vector == vectors.PF:
            payload["cr2"] = self.fault_address
        kind = events.FAULT_REFLECTED if vector in vectors.NAMES else events.SYSTEM_CALL_REFLECTED
        self.pc.emit(kind, vectors.name(vector), payload, source, KERNEL)
        return "events"

    def _push(self, entry: Entry, error: int | None, *, mask: bool) -> bool:
        try:
            words = bounce.push_frame(
                self.frame, self.space, self.domain, self.shared, entry, error, mask=mask
            )
        except GuestMemoryError:
            self.crash(Message(N_("the guest kernel's stack at {stack} cannot take a trap frame"),
                               {"stack": f"{self.domain.kernel_esp:#010x}"}))  # fmt: skip
            return False
        self.pc.meter.charge("mon_memory_reference", words)
        return True

    def _no_handler(self, vector: int) -> None:
        frame = self.frame
        if vector == vectors.GP and self.unhonoured is not None and self.unhonoured[0] == frame.eip:
            address, mnemonic = self.unhonoured
            self.crash(
                Message(
                    N_("{mnemonic} at {address}: Xen cannot honour it, for {reason}"),
                    {
                        "mnemonic": mnemonic.upper(),
                        "address": f"{address:#010x}",
                        "reason": why_not(mnemonic),
                    },
                )
            )
            return
        self.crash(
            Message(
                N_("{exception} at {address}, and the guest has registered no handler for it"),
                {"exception": vectors.name(vector), "address": f"{frame.eip:#010x}"},
            )
        )

    def _interrupt(self) -> str:
        self.pay("interrupt")
        self.timer.acknowledge()
        self.timers_due()
        return "events"

    def _events(self) -> str:
        """On the way out: sleep if the domain blocked, enter its callback if an event is due, or return."""
        domain, shared = self.domain, self.shared
        if domain.blocked and not shared.pending:
            return "idle"
        domain.blocked = False
        if shared.pending and not shared.masked and domain.event_callback is not None:
            source = self._guest_place
            self.pay("upcall")
            if self._push(domain.event_callback, None, mask=True):
                payload = {"handler": domain.event_callback.offset}
                self.pc.emit(events.UPCALL_DELIVERED, "event", payload, source, KERNEL)
        return "resume"

    def _resume(self) -> None:
        """Leave through the exit stub; its IRET must find selectors that the guest may run with."""
        frame = self.frame
        ring = frame.cs & SELECTOR_RPL
        if RING_CODE.get(ring) != frame.cs or RING_STACK.get(ring) != frame.ss:
            self.crash(Message(N_("the guest wants to continue with the selectors {cs} and {ss}"),
                               {"cs": f"{frame.cs:#06x}", "ss": f"{frame.ss:#06x}"}))  # fmt: skip
            return
        # Real interrupts stay on in every guest; what it may switch off is the upcall.
        frame.eflags |= EFLAGS_IF
        self.unhonoured = None
        self.pay("exit")
        ring0.jump(self.pc, self.tables, stubs.EXIT)

    def _idle(self) -> None:
        """Nothing to run: STI, HLT, until the physical timer interrupts."""
        if self.next_deadline() is None:
            self.end(N_("the domain waits for an event, and none can come"))
            return
        self.pc.emit(events.VIRTUAL_CPU_HALTED, "sched_op block", {}, VMM_PLACE, VMM_PLACE)
        ring0.jump(self.pc, self.tables, stubs.IDLE)

    def _nested(self) -> None:
        """An interrupt while idling: note what is due and return into the idle loop's end."""
        self.timer.acknowledge()
        self.timers_due()
        ring0.jump(self.pc, self.tables, stubs.NESTED_EXIT)

    def _woken(self) -> str:
        """The idle loop has ended; the trap frame is the guest's again."""
        return "events"

    def save(self) -> Any:
        """Everything outside machine memory, as plain data."""
        return self.save_services()

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.load_services(saved)
