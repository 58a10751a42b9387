"""What a monitor does in each of its phases and in its own machine code, while the guest waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.places import HOST
from vizapp.messages import N_, Message
from vizapp.session.describe_effects import hexadecimal
from vizapp.session.describe_worlds import describe_host_code, in_switch_page

if TYPE_CHECKING:
    from vizapp.messages import Parameter
    from vizapp.session.moment import LastStep

# What each phase has done, by its name; techniques that do the same thing call it the same.
_PHASES = {
    "arrive": N_(
        "The VMM has read the trap frame that its entry code left on the ring-0 stack: which vector, from "
        "which ring, at which guest instruction. Now it decides whose trap this is."
    ),
    "entered": N_("Xen has looked at the vector that its entry code pushed, and dispatches on it."),
    "walk": N_(
        "The VMM has walked the guest's own page tables in memory, as the processor would have done had "
        "they been the real ones, to judge the page fault."
    ),
    "decode": N_(
        "The VMM has fetched the bytes of the instruction that trapped and decoded them: the processor "
        "says only where it stopped, not what it was asked for."
    ),
    "emulate": N_("The VMM has carried out the instruction on the virtual CPU."),
    "flush_shadow": N_("The VMM has forgotten the shadow entries that are no longer true."),
    "fill_shadow": N_("The VMM has filled the shadow table."),
    "reflect": N_("The VMM has delivered the fault to the guest kernel, through the guest's own IDT."),
    "interrupt": N_(
        "The VMM has acknowledged the physical interrupt. The device is its own; the guest has only "
        "virtual ones."
    ),
    "inject": N_("The VMM has interrupted the virtual CPU, through the guest's own IDT."),
    "halt": N_("The VMM has noted that the virtual CPU has nothing to run."),
    "wait": N_("The VMM has looked for the next moment at which a virtual device will act."),
    "callout": N_(
        "The translation has called the VMM for an instruction that it cannot do by itself. The VMM has "
        "found out which one."
    ),
    "find": N_("The VMM has looked whether the guest's next instruction has a translation."),
    "translate": N_("The VMM has translated the guest's code from the next instruction on."),
    "chain": N_("The VMM has made sure that the cache finds this unit by itself the next time."),
    "retranslate": N_("The VMM has looked whether another translation of the instruction serves better."),
    "drop_units": N_("The VMM has looked which translations the guest has made untrue by what it wrote."),
    "flush_cache": N_("The VMM has emptied the translation cache."),
    "schedule": N_(
        "The VMM has given the processor to the virtual machine that is furthest behind its share, and "
        "changed to the address space that belongs to it."
    ),
    "nested": N_("The VMM was interrupted while it was idle, and has taken the interrupt."),
    "resume": N_(
        "The VMM is done: it has looked for interrupts that are due and put the virtual CPU's state into "
        "the trap frame. Its exit code will restore the registers, and IRET will leave ring 0."
    ),
    "serve_adapter": N_(
        "The VMkernel has read why the machine's network adapter interrupts, and told it that it knows. What "
        "has left is taken out of the transmit ring."
    ),
    "fetch_frame": N_("The VMkernel has looked for a frame in the receive ring of the machine's adapter."),
    "take_frame": N_("The VMkernel has looked for a frame in the transmit ring of a virtual adapter."),
    "switch_frame": N_("The VMkernel's switch has looked for whom the frame is."),
    "deliver_frame": N_(
        "The VMkernel has put the frame into the ring of one that it is for: of a virtual adapter, whose "
        "line it raises, or of the machine's own, which it tells to send."
    ),
    "deliver_waiting": N_(
        "A frame has waited for room in a guest's ring. The VMkernel has looked whether there is any now."
    ),
    "start_request": N_(
        "The VMkernel has made of a virtual disk's request a command to the machine's own: the sectors are "
        "those of the guest's extent. The virtual disk is busy until they have been moved."
    ),
    "serve_disk": N_(
        "The machine's disk has interrupted, and the VMkernel has moved a sector. When all of a request is "
        "done, the virtual disk interrupts its guest."
    ),
    "to_host": N_(
        "A physical interrupt has come while the VMM's world has the machine. The device is the host's: the "
        "VMM leaves for the host's world, where VMDriver will raise it again in the host's own IDT."
    ),
    "world_entered": N_(
        "The VMM has the machine again. It has looked in the shared page for what has happened meanwhile: "
        "timer, interrupt lines of VMApp's devices, memory that VMApp has written."
    ),
    "ask_vmapp": N_(
        "The device behind this port is VMApp's, a process of the host. The VMM has put the access into the "
        "shared page, and leaves for the host's world."
    ),
    "ship_sector": N_(
        "A whole sector has gone through the virtual disk's data port. VMApp is to go on: the VMM leaves for "
        "the host's world."
    ),
    "ship_text": N_(
        "A line of the guest's text is complete. VMApp is to print it: the VMM leaves for the host."
    ),
    "ask_timer": N_(
        "A virtual timer is due before the host would let the VMM in again. The timer is the host's: the VMM "
        "leaves for its world, where VMDriver will program it."
    ),
    "set_up": N_(
        "The VMM has filled in the control structure: what makes the guest exit, where exits lead, and the "
        "guest's first registers."
    ),
    "read_exit": N_(
        "The VMM has read why the guest was left, and dispatches on it: the processor has written the reason "
        "down, so nothing has to be guessed from a frame."
    ),
    "hand_back": N_("The VMM will have the exception delivered to the guest, which it belongs to."),
    "undefined": N_("The virtual CPU has no such instruction: the guest will get #UD."),
    "trace": N_(
        "The guest is about to change one of its page tables, which the VMM keeps read-only: the shadow "
        "entries that were made from there are forgotten."
    ),
    "flush_translations": N_("The VMM has forgotten what the guest has flushed."),
    "nested_fault": N_("The VMM has looked up what there is at the guest-physical address."),
    "map_nested": N_(
        "The VMM has entered the page in the nested tables; the guest's own tables are as they were."
    ),
    "deliver_event": N_(
        "The VMM has delivered the event on the virtual CPU: the guest's stack or tables are where there is "
        "no memory."
    ),
    "task_switch": N_("The VMM carries the task switch out: the processor leaves those to it."),
    "inject_fault": N_(
        "The VMM has noted the fault for the next entry: the processor will deliver it through the guest's "
        "own IDT."
    ),
    "inject_interrupt": N_(
        "The VMM has acknowledged the virtual interrupt controller and noted the interrupt for the next "
        "entry."
    ),
    "let_interrupt_in": N_(
        "A physical interrupt has brought the guest out. The VMM opens its own IF for a moment, and its own "
        "IDT takes it."
    ),
    "own_interrupt": N_(
        "The VMM has acknowledged the physical interrupt. The device is its own; the guest has only "
        "virtual ones."
    ),
    "look_around": N_("The VMM has looked for interrupts that are due, and whose turn it is."),
    "enter": N_(
        "The VMM has written back what has changed of the guest's registers. The stub will restore the rest "
        "and enter the guest."
    ),
    "reset": N_("The guest has pulled its reset line."),
    "shut_down": N_("The virtual CPU has shut down after a triple fault."),
    "entry_failed": N_("The processor has refused the guest's state."),
    "refused": N_("The processor has refused to enter the guest."),
    "turned_on": N_("Xen has turned VT-x or AMD-V on: domains of unmodified guests can be made now."),
    "ask": N_(
        "Xen has put the guest's access into the page that it shares with the device model, and sent an "
        "event. The virtual CPU waits."
    ),
    "answer": N_("Xen has looked into the shared page for the device model's answer."),
    "hypercall": N_("Xen has taken the number of the hypercall from EAX and checked it."),
    "continue": N_("Xen has served the hypercall, and will put its result in EAX."),
    "exception": N_("Xen has found out what to make of the guest's exception."),
    "bounce": N_(
        "Xen has built a frame on the guest kernel's stack and will continue at the handler that the "
        "guest registered."
    ),
    "events": N_("On the way out Xen has looked whether the domain sleeps, or an event is due for it."),
    "idle": N_("Xen has found no domain that can run: it stops the processor until the timer is due."),
    "woken": N_("Xen's idle loop has ended: the domain can run again."),
    "failsafe": N_("The guest wanted to continue where it cannot, and Xen enters its failsafe callback."),
}
# Of monitors that the processor helps, where they differ from those that deprivilege.
_ASSISTED = {
    "set_up": N_(
        "The VMM has filled in the control structure: the guest's first state, what shall exit, and where "
        "the processor finds the VMM again."
    ),
    "arrive": N_(
        "The VMM has read why the guest was left out of the control structure, which the processor filled "
        "in. Now it decides what the exit asks for."
    ),
    "exception": N_(
        "The VMM has looked at an exception that it had asked to see: it is the guest's own, and will be "
        "injected at the next entry."
    ),
    "undefined": N_(
        "The guest tried an instruction of VMX or SVM. Its virtual processor has none, so it gets #UD."
    ),
    "shut_down": N_("The guest's processor has shut down: this virtual machine is over, the others go on."),
    "flush": N_("The VMM has forgotten what the shadow and the TLB still knew of the guest's old tables."),
    "nested_fault": N_(
        "The VMM has looked up the guest-physical address that the nested tables refused: memory that is "
        "not mapped yet, or a device."
    ),
    "map_nested": N_("The VMM has filled in an entry of the nested tables."),
    "decode": N_(
        "The VMM has fetched and decoded the guest's instruction: the control structure does not say all "
        "of what it asks for."
    ),
    "reflect": N_("The VMM has noted the exception: the processor will deliver it at the next entry."),
    "inject": N_(
        "The VMM has taken an interrupt from the virtual controller: the processor will deliver it at the "
        "next entry."
    ),
    "task_switch": N_(
        "The VMM has done the hardware task switch on the virtual CPU: VMX cannot do it, and always exits."
    ),
    "reset": N_("The VMM has reset the virtual CPU."),
    "resume": N_("The VMM has looked for what is due for the guest before it goes on."),
    "enter": N_(
        "The VMM is done: it has written the guest's next state into the control structure and left "
        "through its stub, which restores the general registers and enters the guest."
    ),
}
_ASSISTED_TECHNIQUES = frozenset({"vt-x", "amd-v"})
_FAULTS_THERE_TOO = N_(
    "The VMM has tried the instruction on the virtual CPU, by the processor's own rules, and there it "
    "faults as well: the fault is the guest's own."
)
_NEEDS_DEVICE_MODEL = N_(
    "Xen has begun to carry the instruction out, and what it touches is not Xen's to emulate: the device "
    "model in domain 0 has to be asked."
)
_OTHER_PHASE = N_("The VMM works at ring {ring}: {phase}. The guest waits.")


def describe_monitor(step: LastStep) -> Message:
    """A step of the monitor that made no event: a phase, or an instruction of its own."""
    before = step.before
    if (before.place.world == HOST and not before.phase) or in_switch_page(step):
        return describe_host_code(step)
    if (before.phase, step.after.phase) == ("emulate", "reflect"):
        return Message(_FAULTS_THERE_TOO)
    if (before.phase, step.after.phase) == ("emulate", "ask"):
        return Message(_NEEDS_DEVICE_MODEL)
    if before.phase:
        known = _PHASES.get(before.phase)
        if step.technique in _ASSISTED_TECHNIQUES:
            known = _ASSISTED.get(before.phase, known)
        if known is not None:
            return Message(known)
        words = before.phase.replace("_", " ").replace("-", " ")
        return Message(_OTHER_PHASE, {"ring": before.place.ring, "phase": words})
    return _own_code(step)


def _own_code(step: LastStep) -> Message:
    before = step.before
    parameters: dict[str, Parameter] = {"text": before.own_text, "ring": before.place.ring}
    match before.own_text.split(" ")[0]:
        case "push" | "pushal" | "pushad":
            return Message(
                N_(
                    "{text}: the VMM's entry code saves what the guest had in the registers, on the "
                    "ring-0 stack."
                ),
                parameters,
            )
        case "pop" | "popal" | "popad":
            return Message(
                N_("{text}: the VMM's exit code gives the guest its registers back, from the ring-0 stack."),
                parameters,
            )
        case "hlt" | "sti":
            return Message(N_("{text}: the VMM has no guest to run and waits for an interrupt."), parameters)
        case "":
            return Message(N_("The VMM's own code runs at ring {ring}."), parameters)
        case _:
            return Message(
                N_("{text}: the VMM's own code at ring {ring}, at {address}; the guest waits."),
                {**parameters, "address": hexadecimal(before.own_eip)},
            )
