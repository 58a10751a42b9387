"""Bouncing: how the hypervisor enters a guest kernel, by making the frame that hardware would have made.

    pushed on the ring-1 stack, downwards               [SS, ESP]   only when the guest was in ring 3
                                                        EFLAGS      IF from the upcall mask
                                                        CS          bits 23:16 the saved upcall mask
                                                        EIP
                                                        [error]     of exceptions that have one

Source: Xen 3.1, arch/x86/x86_32/entry.S, create_bounce_frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import EFLAGS_IF, EFLAGS_IOPL, EFLAGS_NT, EFLAGS_RF, EFLAGS_TF, EFLAGS_VM

if TYPE_CHECKING:
    from vizapp.vmm.trap_frame import TrapFrame
    from vizapp.vmm.xen.domain import Domain, Entry, SharedInfo
    from vizapp.vmm.xen.guest_access import DirectSpace


def push_frame(
    frame: TrapFrame,
    space: DirectSpace,
    domain: Domain,
    shared: SharedInfo,
    entry: Entry,
    error: int | None = None,
    *,
    mask: bool,
) -> int:
    """Make the guest continue at ``entry`` with a frame of where it was; returns the words pushed.

    ``mask`` holds events back from now on, as an interrupt gate would clear IF.

    Raises:
        GuestMemoryError: the guest kernel's stack cannot take the frame; nothing was changed.
    """
    outer = frame.cs & 3 == 3
    masked = shared.masked
    words = []
    if error is not None:
        words.append(error)
    flags = frame.eflags & ~EFLAGS_IF | (0 if masked else EFLAGS_IF)
    words += [frame.eip, frame.cs | masked << 16, flags]
    if outer:
        words += [frame.esp, frame.ss]
        selector, stack = domain.kernel_ss, domain.kernel_esp
    else:
        selector, stack = frame.ss, frame.esp
    stack = stack - 4 * len(words) & 0xFFFF_FFFF
    space.copy_to(stack, b"".join(word.to_bytes(4, "little") for word in words))
    if mask:
        shared.masked = True
    frame.ss, frame.esp = selector, stack
    frame.cs, frame.eip = entry.selector, entry.offset
    frame.eflags &= ~(EFLAGS_TF | EFLAGS_VM | EFLAGS_RF | EFLAGS_NT | EFLAGS_IOPL)
    return len(words)


def pop_frame(frame: TrapFrame, space: DirectSpace, shared: SharedInfo) -> None:
    """The iret hypercall: EAX, then a frame as ``push_frame`` makes it (no error code), off the guest stack.

    Raises:
        GuestMemoryError: the frame is not readable.
        ValueError: it names ring 0.
    """
    stack = frame.esp

    def pop() -> int:
        nonlocal stack
        value = int.from_bytes(space.copy_from(stack, 4), "little")
        stack = stack + 4 & 0xFFFF_FFFF
        return value

    eax, eip, selector, flags = pop(), pop(), pop() & 0xFFFF, pop()
    if selector & 3 == 0:
        raise ValueError("a guest frame names ring 0")
    outer = selector & 3 > 1
    if outer:
        stack, stack_selector = pop(), pop() & 0xFFFF
        frame.ss = stack_selector
    frame.esp = stack
    frame.eax, frame.eip, frame.cs = eax, eip, selector
    # The virtual interrupt flag is the mask; the real IF stays set in every guest.
    frame.eflags = flags & ~(EFLAGS_IOPL | EFLAGS_VM) | EFLAGS_IF
    shared.masked = not flags & EFLAGS_IF
