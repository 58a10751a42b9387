"""What is typed for a domain comes through its console: the hypervisor's, or domain 0's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vizapp.experiment.split import with_domain_0
from vizapp.guest.catalogue import guest_directory
from vizapp.guest.source import assemble_image
from vizapp.session.scenario import Scenario, VmScenario
from vizapp.session.session import Session

if TYPE_CHECKING:
    from vizapp.machine.image import Image

MEMORY = 8 << 20


@cache
def echo() -> Image:
    return assemble_image(Path(__file__).with_name("echo.asm"), "echo", "xen", {}, (guest_directory(),))


def test_the_initial_domain_hears_through_the_hypervisor_and_again_after_a_rewind() -> None:
    session = Session(Scenario(echo(), "paravirtual"))
    session.attended = True
    session.run()
    assert session.frame().inputs == {"serial"}
    assert session.frame().waiting is not None
    session.feed("serial", b"good morning\r")
    session.run()
    middle = session.timeline.end
    session.feed("serial", b"end\r")
    end = session.run()
    assert end.stopped is not None
    assert end.stopped.reason == "halted"
    assert end.serial.splitlines()[:3] == ["say something", "heard: good morning", "heard: end"]
    session.seek(middle // 2)
    assert session.seek(end.position) == end


def test_domains_hear_each_its_own_through_domain_0() -> None:
    first = Scenario(
        echo(), "paravirtual", memory=MEMORY, name="a", others=(VmScenario(echo(), MEMORY, "b"),)
    )
    session = Session(with_domain_0(first))
    session.attended = True
    session.run()
    session.feed("serial", b"nobody chosen\r")  # the first one's, then
    session.run()
    session.feed("serial", b"for b\r", vm=2)
    session.feed("serial", b"for\x01a\r", vm=1)  # a Ctrl-A that is meant
    session.run()
    middle = session.timeline.end
    session.feed("serial", b"end\r", vm=2)
    session.feed("serial", b"end\r", vm=1)
    end = session.run()
    lines = session.final_serial.splitlines()
    assert [line for line in lines if line.startswith("(d1) heard")] == [
        "(d1) heard: nobody chosen", "(d1) heard: for\x01a", "(d1) heard: end",
    ]  # fmt: skip
    assert [line for line in lines if line.startswith("(d2) heard")] == [
        "(d2) heard: for b",
        "(d2) heard: end",
    ]
    assert end.stopped is not None
    session.seek(middle // 2)
    assert session.seek(end.position) == end
