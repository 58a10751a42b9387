"""One sentence or two for every kind of event: what happened at the door, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import vectors
from vizapp.machine import events as ev
from vizapp.machine.places import HOST, TRANSLATION_CACHE
from vizapp.messages import N_, Message
from vizapp.session.describe_devices import DEVICE_EVENTS, describe_device
from vizapp.session.describe_domains import DESCRIBED, describe_domain_event
from vizapp.session.describe_effects import hexadecimal
from vizapp.session.describe_emulation import describe_emulation
from vizapp.session.describe_engine import describe_engine
from vizapp.session.describe_exits import (
    describe_entry,
    describe_exit,
    describe_nested_page,
    describe_refused_entry,
)
from vizapp.session.describe_host_paging import describe_page_in, describe_page_out
from vizapp.session.describe_hypercalls import describe_hypercall
from vizapp.session.describe_translation import (
    describe_door,
    describe_entry_of_cache,
    describe_retranslation,
)
from vizapp.session.describe_worlds import describe_host_event, describe_world_switch
from vizapp.session.notes import HYPERCALL_VECTOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.events import Event
    from vizapp.messages import Parameter
    from vizapp.session.moment import LastStep

_PRIVILEGED = N_(
    "{text} is privileged: at ring {ring} the processor refuses it with {cause} before any effect. "
    "Through its gate in the monitor's IDT it enters the VMM at ring 0, which will do on the virtual CPU "
    "what the instruction asks for."
)
_PRIVILEGED_APPLICATION = N_(
    "{text} is privileged, and an application tried it: at ring {ring} the processor refuses it with "
    "{cause}. The gate leads into the VMM at ring 0, which finds the virtual CPU at CPL 3 as well, so the "
    "fault is for the guest kernel to judge."
)
_SYSTEM_CALL = N_(
    "{text} is meant for the guest kernel. But the physical IDT is the monitor's, and none of its gates "
    "lets ring {ring} in: the processor raises {cause} and enters the VMM, which will hand the call to "
    "the guest kernel."
)
_SENSITIVE = N_(
    "{text} is sensitive, and this processor is virtualizable: at ring {ring} it raises {cause} instead "
    "of quietly doing the wrong thing. The VMM gets its chance to emulate it."
)
_TO_MONITOR = N_(
    "{text} raises {cause} at ring {ring}. The gate leads into the monitor at ring 0, not into the guest: "
    "every exception is the monitor's to look at first."
)
_PAGE_FAULT = N_(
    "{text} touches {address}, for which the page tables that the processor uses have no such entry: "
    "{cause}. The monitor must find out whether the guest's own tables have one (a hidden fault) or not "
    "(a true fault)."
)
_DIRECT_PAGE_FAULT = N_(
    "{text} touches {address}, which is not mapped for that access: {cause}. The guest's page tables are "
    "the real ones here, so there is nothing to find out; Xen will hand the fault to the guest kernel."
)
_FETCH_FAULT = N_(
    "The processor cannot even fetch the next instruction, at {address}: the page tables that it uses "
    "have no such entry, {cause}. The monitor must find out whether the guest's own tables have one (a "
    "hidden fault) or not (a true fault)."
)
_NATIVE_FAULT = N_(
    "{text} raises {cause} at ring {ring}. The processor saves where it was and enters the guest kernel's "
    "handler at ring {target}."
)
_NATIVE_PRIVILEGED = N_(
    "{text} is privileged: at ring {ring} the processor refuses it with {cause} before any effect, saves "
    "where it was and enters the guest kernel's handler at ring {target}."
)
_NATIVE_PAGE_FAULT = N_(
    "{text} touches {address}, which is not mapped for that access: {cause}. The processor enters the "
    "guest kernel's handler at ring {target}, with the address in CR2."
)


def _exception(event: Event, step: LastStep) -> Message:
    instruction = step.before.instruction
    wanted = int(event.payload.get("cr2", 0))
    parameters: dict[str, Parameter] = {
        "text": step.before.text or Message(N_("The instruction")),
        "cause": event.cause,
        "ring": event.source.ring,
        "target": event.target.ring,
        "address": hexadecimal(wanted),
    }
    vector = event.payload.get("vector")
    privileged = instruction is not None and instruction.opcode.privilege == "privileged"
    if event.target.is_guest:
        if vector == vectors.GP and privileged:
            return Message(_NATIVE_PRIVILEGED, parameters)
        return Message(_NATIVE_PAGE_FAULT if vector == vectors.PF else _NATIVE_FAULT, parameters)
    if vector == vectors.PF and step.technique == "paravirtual":
        return Message(_DIRECT_PAGE_FAULT, parameters)
    if vector == vectors.PF:
        fetching = wanted == step.before.guest["eip"]
        return Message(_FETCH_FAULT if fetching else _PAGE_FAULT, parameters)
    if vector == vectors.GP and instruction is not None:
        if privileged:
            application = step.before.guest["cpl"] == 3
            return Message(_PRIVILEGED_APPLICATION if application else _PRIVILEGED, parameters)
        if instruction.opcode.operation == "int" and event.source.ring == 3:
            return Message(_SYSTEM_CALL, parameters)
        if instruction.opcode.privilege == "sensitive" and event.source.ring > 0:
            return Message(_SENSITIVE, parameters)
    return Message(_TO_MONITOR, parameters)


def _software_interrupt(event: Event, step: LastStep) -> Message:
    parameters: dict[str, Parameter] = {
        "text": step.before.text,
        "vector": f"{int(event.payload.get('vector', 0)):#04x}",
        "ring": event.source.ring,
        "target": event.target.ring,
    }
    if event.target.is_guest:
        return Message(
            N_(
                "{text}: a system call. Gate {vector} lets ring {ring} in, and the processor switches to "
                "the kernel's stack and goes on at ring {target}."
            ),
            parameters,
        )
    if event.payload.get("vector") == HYPERCALL_VECTOR and event.source.ring == 1:
        return Message(
            N_(
                "{text}: a hypercall. The gate lets rings 0 and 1 in, but no application, and it leads "
                "into the VMM at ring {target}; EAX says which hypercall, {number}."
            ),
            {**parameters, "number": step.before.guest["eax"]},
        )
    if event.source.component == TRANSLATION_CACHE:
        return describe_door(event, step)
    return Message(
        N_(
            "{text}: gate {vector} lets ring {ring} in, and it leads into the VMM at ring {target}: the "
            "physical IDT is the monitor's."
        ),
        parameters,
    )


def _interrupt(event: Event, step: LastStep) -> Message:
    parameters: dict[str, Parameter] = {
        "vector": f"{int(event.payload.get('vector', 0)):#04x}",
        "ring": event.source.ring,
        "target": event.target.ring,
    }
    if event.target.is_guest:
        return Message(
            N_(
                "A device interrupt, vector {vector}, stops ring {ring}; the guest kernel's handler "
                "begins at ring {target}."
            ),
            parameters,
        )
    return Message(
        N_(
            "A physical interrupt, vector {vector}, stops ring {ring} and enters the VMM: devices belong "
            "to the monitor, which decides what of it the guest is to see."
        ),
        parameters,
    )


def _returned(event: Event, step: LastStep) -> Message:
    parameters: dict[str, Parameter] = {
        "ring": event.source.ring,
        "target": event.target.ring,
        "eip": hexadecimal(step.after.processor["eip"]),
    }
    if event.target.component == TRANSLATION_CACHE:
        return describe_entry_of_cache(event, step)
    if not event.source.is_guest and event.target.is_guest:
        return Message(
            N_(
                "IRET leaves the VMM: the processor is back at ring {target}, and the guest goes on at {eip}."
            ),
            parameters,
        )
    return Message(N_("A return from ring {ring} to ring {target}; execution goes on at {eip}."), parameters)


def _reflected(event: Event, step: LastStep) -> Message:
    parameters: dict[str, Parameter] = {"cause": event.cause}
    if step.technique == "paravirtual":
        return Message(
            N_(
                "{cause} is the guest's own affair: Xen builds a frame on the guest kernel's stack and "
                "goes on at the handler that the kernel registered in its trap table."
            ),
            parameters,
        )
    return Message(
        N_(
            "{cause} is the guest's own affair: the VMM builds on the guest kernel's stack the frame that "
            "the processor would have built, and goes on at the handler that the guest's IDT names."
        ),
        parameters,
    )


def _cause(text: str) -> Callable[[Event, LastStep], Message]:
    def describe(event: Event, step: LastStep) -> Message:
        parameters: dict[str, Parameter] = {
            "cause": event.cause,
            "ring": event.source.ring,
            "target": event.target.ring,
            "text": step.before.text,
        }
        for name, value in event.payload.items():
            numeric = isinstance(value, int) and name not in {"number", "instructions"}
            parameters.setdefault(name, hexadecimal(int(value)) if numeric else value)
        return Message(text, parameters)

    return describe


_FLUSHED = _cause(
    N_(
        "The guest changed its address space, so the VMM drops the shadow table: it will fill again "
        "on demand, fault by fault."
    )
)
_TRACES_HIT = {
    "trace": _cause(
        N_(
            "The guest has written to a page table that the VMM traces: what the shadow has of that entry is "
            "dropped, and the rest of it stays."
        )
    ),
    "descriptors": _cause(
        N_(
            "The guest has written to a descriptor table that the VMM traces, at {address}: the copies of "
            "its descriptors and gates are made anew before the guest goes on."
        )
    ),
}


def _flushed(event: Event, step: LastStep) -> Message:
    return _TRACES_HIT.get(event.cause, _FLUSHED)(event, step)


_BY_KIND: dict[str, Callable[[Event, LastStep], Message]] = {
    ev.EXCEPTION_DELIVERED: _exception,
    ev.SOFTWARE_INTERRUPT_DELIVERED: _software_interrupt,
    ev.INTERRUPT_DELIVERED: _interrupt,
    ev.RETURNED: _returned,
    ev.GATE_CALLED: _cause(N_("A far transfer takes the processor from ring {ring} to ring {target}.")),
    ev.ADDRESS_SPACE_SWITCHED: _cause(
        N_(
            "CR3 is loaded: from the next access on, other page tables translate every address, and the "
            "TLB starts empty."
        )
    ),
    ev.INSTRUCTION_EMULATED: describe_emulation,
    ev.FAULT_REFLECTED: _reflected,
    ev.SYSTEM_CALL_REFLECTED: _cause(
        N_(
            "The VMM hands the system call to the guest kernel: it builds the frame on the kernel's stack "
            "and goes on at the handler that the guest's IDT names, at the guest kernel's ring."
        )
    ),
    ev.INTERRUPT_INJECTED: _cause(
        N_(
            "The VMM injects interrupt {cause}: the virtual IF is 1, so it builds the frame that the "
            "processor would have built and goes on at the guest's handler."
        )
    ),
    ev.PAGE_SHADOWED: _cause(
        N_(
            "A hidden fault: the guest's own page table has the entry, only the shadow lacked it. The VMM "
            "translates it to the page's place in the machine and fills the shadow; the guest never "
            "learns of it."
        )
    ),
    ev.SHADOW_FLUSHED: _flushed,
    ev.SHADOW_SWITCHED: _cause(
        N_(
            "The guest loads CR3, and the VMM changes to the shadow that it keeps for that address space. "
            "Traces on the guest's page tables have kept it true, so nothing has to be filled again."
        )
    ),
    ev.VIRTUAL_CPU_HALTED: _cause(
        N_(
            "The guest has nothing to do and halts; the VMM halts the virtual CPU until an interrupt is "
            "due for it."
        )
    ),
    ev.UNIT_TRANSLATED: _cause(
        N_(
            "The VMM has translated the guest kernel's code at {cause}: up to twelve instructions, most of "
            "them copied as they are. From now on the copy runs, at ring 1, in the translation cache."
        )
    ),
    ev.CHAIN_PATCHED: _cause(
        N_(
            "The VMM has patched the jump that brought it in: it leads to the translation of {cause} now, "
            "and the next time the processor stays in the cache."
        )
    ),
    ev.INSTRUCTION_RETRANSLATED: describe_retranslation,
    ev.UNITS_DROPPED: _cause(
        N_(
            "The guest's code is not what was translated any more. The VMM forgets those units; they will be "
            "translated again when they are reached."
        )
    ),
    ev.CACHE_FLUSHED: _cause(
        N_("The translation cache is full. The VMM empties it, and it fills again with what is still used.")
    ),
    ev.ENGINE_SELECTED: describe_engine,
    ev.PAGE_SWAPPED_OUT: describe_page_out,
    ev.PAGE_SWAPPED_IN: describe_page_in,
    ev.VM_STOPPED: _cause(N_("The virtual machine has stopped: {cause}.")),
    ev.VM_SCHEDULED: _cause(N_("The virtual machine {cause} has the processor now.")),
    ev.WORLD_SWITCHED: describe_world_switch,
    ev.VM_EXITED: describe_exit,
    ev.VM_ENTERED: describe_entry,
    ev.VM_ENTRY_FAILED: describe_refused_entry,
    ev.NESTED_PAGE_MAPPED: describe_nested_page,
    ev.HYPERCALL_MADE: lambda event, step: describe_hypercall(event),
    ev.EVENT_SENT: _cause(
        N_(
            "An event channel becomes pending: Xen's replacement for an interrupt line, a bit in a page "
            "shared with the guest."
        )
    ),
    ev.UPCALL_DELIVERED: _cause(
        N_(
            "Xen calls the guest back at the entry point that it registered: an event is pending and not "
            "masked."
        )
    ),
    **{kind: lambda event, step: describe_domain_event(event) for kind in DESCRIBED},
    **{kind: lambda event, step: describe_device(event) for kind in DEVICE_EVENTS},
    ev.DIVERGED: _cause(
        N_("The run stops here: from this instruction on it is no longer what the bare machine does.")
    ),
}

# Of several events of one step the one that explains most is told.
_WEIGHT = {
    ev.MARK_PASSED: -1,
    ev.RETURNED: 1,
    ev.ENGINE_SELECTED: 2,
    ev.ADDRESS_SPACE_SWITCHED: 2,
    ev.SHADOW_FLUSHED: 3,
    ev.SHADOW_SWITCHED: 3,
    ev.INSTRUCTION_EMULATED: 4,
    ev.EVENT_SENT: 4,
    **dict.fromkeys(DEVICE_EVENTS, 3),
    ev.VIRTUAL_CPU_HALTED: 5,
    ev.INSTRUCTION_RETRANSLATED: 7,
    ev.DIVERGED: 9,
}


def principal(events: tuple[Event, ...]) -> Event | None:
    """Of the events of one step the one to tell of, None if none is worth it."""
    told = [event for event in events if _WEIGHT.get(event.kind, 6) >= 0 and event.kind in _BY_KIND]
    return max(told, key=lambda event: _WEIGHT.get(event.kind, 6), default=None)


def describe_event(event: Event, step: LastStep) -> Message:
    """The sentence for an event that ``principal`` chose."""
    in_host = event.source.world == HOST and event.target.world == HOST
    if in_host and event.kind not in DEVICE_EVENTS:
        return describe_host_event(event, step)
    return _BY_KIND[event.kind](event, step)
