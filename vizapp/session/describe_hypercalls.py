"""What each hypercall asks for, in half a sentence, and what it stands in place of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.events import Event

_ASKS = {
    "set_trap_table": N_("here are my exception handlers, in place of LIDT"),
    "mmu_update": N_("change these page-table entries; Xen checks each before it writes it"),
    "set_gdt": N_("use these frames as my descriptor table, in place of LGDT"),
    "stack_switch": N_("enter my kernel on this stack, in place of writing the TSS"),
    "set_callbacks": N_("call me here when an event is pending"),
    "fpu_taskswitch": N_("set or clear TS, in place of writing CR0"),
    "update_descriptor": N_("change this entry of my descriptor table, after checking it"),
    "memory_op": N_("give or take back memory"),
    "multicall": N_("do several hypercalls in one"),
    "update_va_mapping": N_("map this one address; Xen checks the entry before it writes it"),
    "set_timer_op": N_("send me an event at this time, in place of programming the timer chip"),
    "xen_version": N_("which Xen is this?"),
    "console_io": N_("print this, in place of driving the serial port"),
    "vm_assist": N_("turn a compatibility assist on or off"),
    "iret": N_("return from my handler and set the event mask in one go, in place of IRET"),
    "mmuext_op": N_(
        "load this page directory, pin this table or flush the TLB, in place of MOV CR3 and INVLPG"
    ),
    "sched_op": N_("I have nothing to do, or I am done, in place of HLT"),
    "sched_op_compat": N_("I have nothing to do, in place of HLT"),
    "event_channel_op": N_("bind, send or close an event channel"),
    "physdev_op": N_("tell me about the machine's interrupts"),
    "grant_table_op": N_("share a page with another domain"),
    "vcpu_op": N_("tell me about, or set up, a virtual CPU"),
    "update_va_mapping_otherdomain": N_("map a frame of another domain here; only domain 0 may"),
    "domctl": N_("make, change, run or end another domain; only domain 0 may"),
    "set_debugreg": N_("set this breakpoint, in place of writing a debug register"),
    "get_debugreg": N_("what is in this debug register?"),
    "callback_op": N_("call me here for events, or where my return has failed"),
}


def describe_hypercall(event: Event) -> Message:
    """The sentence for a hypercall that was made."""
    asks = _ASKS.get(event.cause)
    if asks is None:
        return Message(
            N_("The ported kernel asks the hypervisor by name: hypercall {cause}."), {"cause": event.cause}
        )
    operation = event.payload.get("operation")
    if operation:
        return Message(
            N_(
                "Hypercall {cause}, operation {operation}: “{asks}”. The ported kernel asks for it by name: "
                "one deliberate trap with its arguments in registers."
            ),
            {"cause": event.cause, "operation": operation, "asks": Message(asks)},
        )
    return Message(
        N_(
            "Hypercall {cause}: “{asks}”. The ported kernel asks for it by name: one deliberate trap with "
            "its arguments in registers, instead of instructions that would have to be caught and guessed "
            "at."
        ),
        {"cause": event.cause, "asks": Message(asks)},
    )
