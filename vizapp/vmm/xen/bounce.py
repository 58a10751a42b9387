"""Bouncing: how the hypervisor enters a guest kernel, by making the frame that hardware would have made.

    pushed on the ring-1 stack, downwards               [SS, ESP]   only when the guest was in ring 2 or 3
                                                        EFLAGS      IF from the upcall mask
                                                        CS          bits 23:16 the saved upcall mask
                                                        EIP
                                                        [error]     of exceptions that have one
                                                        [GS FS ES DS]  of the failsafe callback, DS lowest

Source: Xen 3.1, arch/x86/x86_32/entry.S (create_bounce_frame) and traps.c (do_iret).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32
from vizapp.isa.registers import EFLAGS_IF, EFLAGS_IOPL, EFLAGS_NT, EFLAGS_RF, EFLAGS_TF, EFLAGS_VM
from vizapp.messages import N_, Message
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.guest_access import GuestMemoryError

if TYPE_CHECKING:
    from vizapp.vmm.trap_frame import TrapFrame
    from vizapp.vmm.xen.domain import Domain, Entry
    from vizapp.vmm.xen.guest_access import DirectSpace
    from vizapp.vmm.xen.shared_info import SharedInfo

OUTER: Final = 2  # this bit of CS is set in rings 2 and 3, which have no ring-1 stack in use


class BadFrameError(Exception):
    """A frame that the domain does not survive; ``reason`` is its last sentence."""

    def __init__(self, reason: Message) -> None:
        super().__init__(reason.text)
        self.reason = reason


def push_frame(
    frame: TrapFrame,
    space: DirectSpace,
    domain: Domain,
    shared: SharedInfo,
    entry: Entry,
    error: int | None = None,
    *,
    mask: bool,
    segments: tuple[int, ...] = (),
) -> int:
    """Make the guest continue at ``entry`` with a frame of where it was; returns the words pushed.

    ``mask`` holds events back from now on, as an interrupt gate would clear IF. ``segments`` are DS ES FS GS
    for the failsafe callback.

    Raises:
        GuestMemoryError: the guest kernel's stack cannot take the frame; nothing was changed.
    """
    upcall_mask = shared.read(abi.VCPU_UPCALL_MASK, 1)
    words = [*segments]
    if error is not None:
        words.append(error)
    flags = frame.eflags & ~EFLAGS_IF | (0 if upcall_mask else EFLAGS_IF)
    words += [frame.eip, frame.cs | upcall_mask << 16, flags]
    if frame.cs & OUTER:
        words += [frame.esp, frame.ss]
        selector, stack = domain.kernel_ss, domain.kernel_esp
    else:
        selector, stack = frame.ss, frame.esp
    stack = stack - 4 * len(words) & M32
    space.copy_to(stack, b"".join(word.to_bytes(4, "little") for word in words))
    if mask:
        shared.write(abi.VCPU_UPCALL_MASK, 1, upcall_mask | 1)
    frame.ss, frame.esp = selector, stack
    frame.cs, frame.eip = entry.selector, entry.offset
    frame.eflags &= ~(EFLAGS_TF | EFLAGS_VM | EFLAGS_RF | EFLAGS_NT)
    return len(words)


def pop_frame(frame: TrapFrame, space: DirectSpace, shared: SharedInfo) -> int:
    """The iret hypercall: EAX, then a frame as ``push_frame`` makes it (no error code), off the guest stack.

    Whether the processor can continue there is found out by its own IRET. Returns the words popped.

    Raises:
        BadFrameError: the frame cannot be read, or names ring 0 or virtual-8086 mode.
    """
    stack = frame.esp

    def pop() -> int:
        nonlocal stack
        value = int.from_bytes(space.copy_from(stack, 4), "little")
        stack = stack + 4 & M32
        return value

    try:
        eax, eip, selector, flags = pop(), pop(), pop() & 0xFFFF, pop()
        outer = (pop(), pop() & 0xFFFF) if selector & OUTER else None
    except GuestMemoryError:
        text = N_("the iret hypercall found no frame on the guest's stack at {stack}")
        raise BadFrameError(Message(text, {"stack": f"{frame.esp:#010x}"})) from None
    if flags & EFLAGS_VM:
        text = N_("the iret hypercall was given a frame of virtual-8086 mode, which is not implemented")
        raise BadFrameError(Message(text))
    if selector & 3 == 0:
        raise BadFrameError(Message(N_("the iret hypercall was given a frame that names ring 0")))
    if outer is None:
        frame.esp = stack
    else:
        frame.esp, frame.ss = outer
    frame.eax, frame.eip, frame.cs = eax, eip, selector
    # The virtual interrupt flag is the mask; the real IF stays set in every guest.
    frame.eflags = flags & ~EFLAGS_IOPL | EFLAGS_IF
    shared.masked = not flags & EFLAGS_IF
    return 4 if outer is None else 6
