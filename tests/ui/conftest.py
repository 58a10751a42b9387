"""Frames, events and sessions made by hand, so that widgets are tested without a machine."""

import queue

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QSettings
from PySide6.QtWidgets import QApplication

from vizapp.errors import SessionError
from vizapp.machine import events as ev
from vizapp.machine.events import Event
from vizapp.machine.places import APPLICATION, BARE, GUEST_KERNEL, VMM, VMX_NON_ROOT, VMX_ROOT, Place
from vizapp.messages import Message, Translator
from vizapp.resources import assets
from vizapp.session.frames import (
    CodeLine,
    Efficiency,
    EventBatch,
    Frame,
    Progress,
    Scorecard,
    Stage,
    Truth,
)
from vizapp.session.protocol import Opened
from vizapp.ui.look import Appearance
from vizapp.vmm.stage import StageComponent, StageWorld

KERNEL = Place(ring=1, vm=0)
USER = Place(ring=3, vm=0, component=APPLICATION)
MONITOR = Place(ring=0, component=VMM)


def component(name, title, ring, vm=-1):
    return StageComponent(name, Message(title), ring, vm)


DEPRIVILEGED = Stage(
    (
        StageWorld(
            BARE,
            Message("processor"),
            (
                component(VMM, "VMM", 0),
                component(GUEST_KERNEL, "guest kernel", 1, 0),
                component(APPLICATION, "applications", 3, 0),
            ),
        ),
    )
)
TWO_WORLDS = Stage(
    (
        StageWorld(
            VMX_NON_ROOT,
            Message("guest · VMX non-root"),
            (
                component(GUEST_KERNEL, "kernel", 0, 0),
                component(APPLICATION, "app A", 3, 0),
                component("application-b", "app B", 3, 0),
            ),
        ),
        StageWorld(VMX_ROOT, Message("VMM · VMX root"), (component(VMM, "VMM", 0),)),
    )
)

CODE = (
    ("mov", "mov eax, dword ptr [0x102000]", "innocuous", "mov eax, [current]", "who runs now", 4),
    ("cli", "cli", "privileged", "cli", "", 4),
    ("pushf", "pushfd", "sensitive", "pushf", "", 3),
    ("", "push eax", "innocuous", "push eax", "", 3),
    ("", "call 0x101080", "innocuous", "call switch_to", "", 1),
    ("", "pop eax", "innocuous", "pop eax", "", 1),
    ("", "popfd", "sensitive", "popf", "gives the interrupt flag back", 1),
    ("", "mov cr3, ebx", "privileged", "mov cr3, ebx", "", 0),
    ("", "ret", "innocuous", "ret", "", 0),
)


def code_lines(current=7):
    return tuple(
        CodeLine(
            address=0x101000 + 4 * number,
            raw=bytes([0x90, number]),
            text=text,
            mark=mark,
            note=Message({"innocuous": "direct", "privileged": "traps", "sensitive": "IF lost"}[mark]),
            label="schedule" if number == 0 else "",
            source=source,
            comment=comment,
            line=number + 1,
            heat=heat,
            current=number == current,
        )
        for number, (_, text, mark, source, comment, heat) in enumerate(CODE)
    )


TRUTHS = (
    Truth("CPL", "cpl", "0", "1", True, False),
    Truth("EFLAGS.IF", "eflags.if", "0", "1", True, True),
    Truth("CS", "cs", "0008", "0009", True, False),
    Truth("CR3", "cr3", "00105000", "03F2A000", True, True),
    Truth("IDTR base", "idtr", "00104000", "FFC01000", True, False),
    Truth("EAX", "eax", "0000002A", "0000002A", False, False),
    Truth("ESP", "esp", "00107FE8", "00107FE8", False, False),
    Truth("EIP", "eip", "00101016", "00101016", False, True),
)


def make_events(count=60, start=0):
    """A guest that is caught again and again: kernel, monitor, kernel, application."""
    loop = (
        (ev.EXCEPTION_DELIVERED, KERNEL, MONITOR, "#GP", 900),
        (ev.INSTRUCTION_EMULATED, MONITOR, MONITOR, "cli", 300),
        (ev.RETURNED, MONITOR, KERNEL, "iret", 200),
        (ev.RETURNED, KERNEL, USER, "iret", 2600),
        (ev.SOFTWARE_INTERRUPT_DELIVERED, USER, MONITOR, "int 0x80", 4300),
        (ev.SYSTEM_CALL_REFLECTED, MONITOR, MONITOR, "int 0x80", 500),
        (ev.RETURNED, MONITOR, KERNEL, "iret", 350),
    )
    made, cycle = [], 0
    for number in range(count):
        kind, source, target, cause, cost = loop[number % len(loop)]
        cycle += cost + 37 * (number % 5)
        made.append(Event(10 + 40 * number, cycle, kind, source, target, cause, {"vector": 13}))
    return tuple(made[start:])


def make_frame(**changes):
    values = {
        "technique": "trap-and-emulate",
        "guest": "minikernel",
        "processor": "pentium-4-672",
        "position": 1211,
        "last_position": 2411,
        "instruction": 9312,
        "last_instruction": 18204,
        "cycle": 41882,
        "last_cycle": 84000,
        "place": MONITOR,
        "phase": "emulate",
        "event": make_events()[28],
        "sentence": Message(
            "The guest kernel loads CR3 to change its page tables. At ring 1 the processor refuses with #GP, "
            "so the monitor comes in at ring 0 to do it on the virtual CPU."
        ),
        "lesson": "popf",
        "code_title": "minikernel.asm · 0x00101016",
        "code": code_lines(),
        "truths": TRUTHS,
        "scorecard": Scorecard(True, True, 9312, 9312, None, 3, 0, Efficiency(8531, 0, 781)),
        "purposes": {"guest": 9000, "transition": 18000, "monitor": 14882},
        "event_counts": {ev.EXCEPTION_DELIVERED: 12, ev.INSTRUCTION_EMULATED: 31, ev.INTERRUPT_INJECTED: 2},
        "registers": {"eax": 42, "eflags": 0x202, "cs": 9, "cr3": 0x3F2A000, "cpl": 1, "eip": 0x101016},
        "guest_registers": {"eax": 42, "eflags": 0x46, "cs": 8, "cr3": 0x105000, "cpl": 0, "eip": 0x101016},
        "serial": "minikernel\nA1 B1 A2 B2\n",
        "screen": ("minikernel".ljust(80),) + (" " * 80,) * 24,
        "stopped": None,
        "charges": (
            (KERNEL, "guest", "alu", 5000, 5000),
            (MONITOR, "transition", "exception", 12, 10800),
            (MONITOR, "monitor", "mon_decode", 31, 1550),
        ),
        "event_cycles": 1254,
    }
    return Frame(**{**values, **changes})


def make_progress(technique, share, cost):
    cycles = int(100_000 * share * cost)
    guest = int(100_000 * share)
    extra = cycles - guest
    return Progress(
        technique,
        int(20_000 * share),
        int(8 * share),
        cycles,
        {
            "guest": guest,
            "transition": extra // 2,
            "monitor": extra // 3,
            "memory": extra - extra // 2 - extra // 3,
        },
        None,
        True,
    )


class FakeLink:
    """A session process that says what a test gives it to say."""

    def __init__(self, replies=()):
        self.sent = []
        self.closed = False
        self.replies = queue.Queue()
        for reply in replies:
            self.replies.put(reply)

    def send(self, command):
        if self.closed:
            raise SessionError(Message("gone"))
        self.sent.append(command)

    def receive(self, timeout=None):
        try:
            reply = self.replies.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def nothing_is_left():
    """What was to be deleted is: a window that only waits for it is still styled with each that follows."""
    yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture(scope="session")
def appearance(qapp):
    made = Appearance(QApplication.instance(), assets())
    made.dress(QApplication.instance())  # panels are looked at without a window here
    made.change(motion=False)
    return made


@pytest.fixture
def look(appearance):
    return appearance.change(theme="light", scale=1.0, motion=False)


@pytest.fixture
def translator():
    return Translator()


@pytest.fixture
def settings(tmp_path):
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def opened():
    return Opened("trap-and-emulate", Message("Trap & emulate"), DEPRIVILEGED)


@pytest.fixture
def batch():
    events = make_events()
    return EventBatch(0, len(events), events)


def pytest_collection_modifyitems(items):
    """The offscreen platform warns of a hint that it cannot pass on; that says nothing about the window."""
    for item in items:
        if "tests/ui" in item.path.as_posix():
            item.add_marker(pytest.mark.qt_log_ignore("does not support propagateSizeHints", extend=True))
            if {"qtbot", "qapp"} & set(getattr(item, "fixturenames", ())):
                item.add_marker("gui")
