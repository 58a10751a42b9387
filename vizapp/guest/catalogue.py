"""The catalogue of the guest library: what each shipped guest is, what it needs, and which builds it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vizapp.messages import N_, Message
from vizapp.resources import assets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUILDS = ("native", "xen", "hvm")
_USUAL = ("native", "xen")
GROUPS = {
    "teaching": Message(N_("Teaching")),
    "nanobenchmarks": Message(N_("Nanobenchmarks")),
    "microbenchmarks": Message(N_("Microbenchmarks")),
    "workloads": Message(N_("Workloads")),
    "hosts": Message(N_("Hosts")),
}


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest of the library.

    Attributes:
        group: a key of ``GROUPS``.
        summary: what it does, in a sentence.
        builds: ``native``, ``xen`` if it was ported, and ``hvm`` if it has front ends all the same.
        iterations: how often a guest that loops does so unless told otherwise; None if it does not loop.
        lesson: the lesson that explains it, "" if none does.
        needs_apic: whether it writes to the local APIC, and so expects a whole PC.
        needs_network: whether it drives a network adapter, and so expects one, and somebody to talk to.
        needs_disk: whether it drives a disk, and so gets one if the user has given none.
    """

    name: str
    title: Message
    group: str
    summary: Message
    builds: tuple[str, ...] = _USUAL
    iterations: int | None = None
    lesson: str = ""
    needs_apic: bool = False
    needs_network: bool = False
    needs_disk: bool = False

    @property
    def source(self) -> Path:
        """The file of its source."""
        return guest_directory() / f"{self.name}.asm"


_LIBRARY = (
    Guest(
        "hello",
        Message(N_("Hello")),
        "teaching",
        Message(N_("Gives the processor its tables, prints to COM1 and to the text screen, and halts.")),
    ),
    Guest(
        "rings",
        Message(N_("Rings")),
        "teaching",
        Message(
            N_(
                "The kernel enters ring 3; the application makes a system call, then tries CLI, gets #GP, "
                "and the kernel reports it."
            )
        ),
        lesson="rings-and-popf",
    ),
    Guest(
        "popf",
        Message(N_("POPF")),
        "teaching",
        Message(
            N_(
                "The kernel masks interrupts with POPF and reads the flag back with PUSHF: wrong under plain "
                "trap-and-emulate, right elsewhere."
            )
        ),
        lesson="rings-and-popf",
    ),
    Guest(
        "sensitive",
        Message(N_("Sensitive instructions")),
        "teaching",
        Message(
            N_("The kernel runs every sensitive unprivileged instruction and prints what each returned.")
        ),
        builds=("native",),
    ),
    Guest(
        "minikernel",
        Message(N_("Minikernel")),
        "teaching",
        Message(
            N_(
                "Two processes with their own page tables, timer preemption, system calls, and stacks that "
                "grow by page faults."
            )
        ),
    ),
    Guest(
        "privileged-app",
        Message(N_("Privileged application")),
        "teaching",
        Message(
            N_(
                "An application tries one privileged instruction after another, and the kernel reports which "
                "exception refused each."
            )
        ),
    ),
    Guest(
        "red-pill",
        Message(N_("Red pill")),
        "teaching",
        Message(
            N_(
                "An application compares the tables that the processor shows with those that its kernel has "
                "loaded: it finds a monitor that deprivileges, not VT-x or AMD-V."
            )
        ),
        builds=("native",),
    ),
    Guest(
        "crash",
        Message(N_("Crash")),
        "teaching",
        Message(
            N_("An application gives its kernel a stack that is not there, and the processor shuts down.")
        ),
    ),
    Guest(
        "isprime",
        Message(N_("Prime test")),
        "teaching",
        Message(
            N_("The kernel tests one number for being prime: the worked example of Adams and Agesen (2006).")
        ),
        builds=("native",),
    ),
    Guest(
        "selfmodify",
        Message(N_("Self-modifying code")),
        "teaching",
        Message(N_("The kernel changes its own code as it runs; a translation of it has to follow.")),
        builds=("native",),
    ),
    Guest(
        "syscall",
        Message(N_("System call")),
        "nanobenchmarks",
        Message(
            N_(
                "An application makes the emptiest system call N times and counts the cycles of one, by "
                "INT 0x80 and by SYSENTER."
            )
        ),
        iterations=200,
    ),
    Guest(
        "page-fault",
        Message(N_("Page fault")),
        "nanobenchmarks",
        Message(N_("An application reads an absent page N times and counts the cycles of one fault.")),
        iterations=200,
    ),
    Guest(
        "in",
        Message(N_("Port read")),
        "nanobenchmarks",
        Message(N_("The kernel reads a port N times and counts the cycles of one access.")),
        builds=("native",),
        iterations=200,
    ),
    Guest(
        "tpr-write",
        Message(N_("Priority write")),
        "nanobenchmarks",
        Message(
            N_("The kernel writes the local APIC's task priority N times 16 and counts the cycles of one.")
        ),
        builds=("native",),
        iterations=200,
        needs_apic=True,
    ),
    Guest(
        "call-ret",
        Message(N_("Call and return")),
        "nanobenchmarks",
        Message(N_("The kernel calls an empty routine N times 16 and counts the cycles of one call.")),
        iterations=200,
    ),
    Guest(
        "divide-error",
        Message(N_("Divide error")),
        "nanobenchmarks",
        Message(N_("The kernel divides by zero N times and counts the cycles of one exception.")),
        iterations=200,
    ),
    Guest(
        "pte-modify",
        Message(N_("Page-table change")),
        "nanobenchmarks",
        Message(N_("The kernel changes a page-table entry N times 16 and counts the cycles of one change.")),
        iterations=50,
    ),
    Guest(
        "null-call",
        Message(N_("Null call")),
        "microbenchmarks",
        Message(
            N_(
                "An application asks its kernel N times for the number of its parent and counts "
                "the cycles of one call."
            )
        ),
        iterations=200,
    ),
    Guest(
        "context-switch",
        Message(N_("Context switch")),
        "microbenchmarks",
        Message(
            N_("Two processes hand the processor to each other N times and count the cycles of one switch.")
        ),
        iterations=40,
    ),
    Guest(
        "fork",
        Message(N_("Fork")),
        "microbenchmarks",
        Message(
            N_(
                "A process forks a child N times, which gets copies of what it writes to and "
                "exits; counts the cycles of one."
            )
        ),
        iterations=10,
    ),
    Guest(
        "exec",
        Message(N_("Exec")),
        "microbenchmarks",
        Message(
            N_(
                "A process forks a child N times, which becomes another program and exits; "
                "counts the cycles of one."
            )
        ),
        iterations=10,
    ),
    Guest(
        "protection-fault",
        Message(N_("Protection fault")),
        "microbenchmarks",
        Message(
            N_(
                "A process writes N times to a page that it has protected, is sent a signal and "
                "returns from it."
            )
        ),
        iterations=50,
    ),
    Guest(
        "mmap",
        Message(N_("Mapped file")),
        "microbenchmarks",
        Message(N_("A process maps a file of 8 pages N times, touches each page and unmaps them.")),
        iterations=10,
    ),
    Guest(
        "compute",
        Message(N_("Compute")),
        "workloads",
        Message(N_("Integer work at user level, as in the SPECint programs: sieve, matrix, sort, CRC.")),
        iterations=3,
    ),
    Guest(
        "network-send",
        Message(N_("Network: sending")),
        "workloads",
        Message(
            N_(
                "The kernel sends N frames through its network adapter and asks the station that got them "
                "for their checksum."
            )
        ),
        iterations=16,
        needs_network=True,
        builds=BUILDS,
    ),
    Guest(
        "network-receive",
        Message(N_("Network: receiving")),
        "workloads",
        Message(
            N_(
                "The kernel asks a station for N frames, takes them from its network adapter and compares "
                "checksums."
            )
        ),
        iterations=16,
        needs_network=True,
        builds=BUILDS,
    ),
    Guest(
        "disk-read",
        Message(N_("Disk: reading")),
        "workloads",
        Message(N_("The kernel reads N blocks of 4 KB from its disk and adds up what is in them.")),
        iterations=4,
        needs_disk=True,
        builds=BUILDS,
    ),
    Guest(
        "disk-write",
        Message(N_("Disk: writing")),
        "workloads",
        Message(N_("The kernel writes N blocks of 4 KB to its disk, reads them again and compares.")),
        iterations=2,
        needs_disk=True,
        builds=BUILDS,
    ),
    Guest(
        "balloon",
        Message(N_("Balloon")),
        "teaching",
        Message(
            N_(
                "A domain's balloon driver gives memory back to Xen and takes it again while it runs, as "
                "xenstore tells it."
            )
        ),
        builds=("xen",),
    ),
    Guest(
        "dom0",
        Message(N_("Domain 0")),
        "hosts",
        Message(
            N_(
                "The kernel of Xen's initial domain: drivers, back ends, a bridge, xenstore, and the builder "
                "of the other domains."
            )
        ),
        builds=("xen",),
    ),
    Guest(
        "host",
        Message(N_("Host")),
        "hosts",
        Message(
            N_(
                "A small host operating system: drivers for timer, disk and network adapter, and processes. "
                "By itself it tests them; a hosted monitor runs beside it."
            )
        ),
        builds=("native",),
        needs_network=True,
        needs_disk=True,
    ),
)
GUESTS: Mapping[str, Guest] = {guest.name: guest for guest in _LIBRARY}


def guest_directory() -> Path:
    """Where the sources of the library stand, and the files that a person's own guest may include."""
    return assets() / "guests"
