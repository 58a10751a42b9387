"""The auditor catches monitors that leak on purpose, and finds nothing under those that do not."""

from collections.abc import Callable

import pytest

from tests.vmm.leaky import FAR_GUEST, LEAKED_PORT, PAGE_GUEST, PORT_GUEST, PageLeak, PortLeak
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.vmm import registry

MakeScenario = Callable[..., Scenario]


@pytest.mark.parametrize(
    ("monitor", "image", "kind"), [(PageLeak, PAGE_GUEST, "frame"), (PortLeak, PORT_GUEST, "port")]
)
def test_a_leaky_monitor_is_caught(
    monkeypatch: pytest.MonkeyPatch, monitor: type, image: object, kind: str
) -> None:
    monkeypatch.setitem(registry.TECHNIQUES, "trap-and-emulate", monitor)
    session = Session(Scenario(image, "trap-and-emulate"))  # type: ignore[arg-type]
    frame = session.run()
    assert frame.scorecard.let_through == 1
    (leak,) = session.leaks
    assert leak.kind == kind
    assert leak.write
    if kind == "port":
        assert leak.number == LEAKED_PORT
    else:
        assert leak.owner == "vmm"
    assert session.seek(leak.position).scorecard.let_through == 0
    assert session.step().scorecard.let_through == 1


@pytest.mark.parametrize("image", [PAGE_GUEST, PORT_GUEST])
def test_the_same_guests_are_refused_by_the_sound_monitor(image: object) -> None:
    frame = Session(Scenario(image, "trap-and-emulate")).run()  # type: ignore[arg-type]
    assert frame.scorecard.let_through == 0
    assert frame.scorecard.refused > 0


@pytest.mark.parametrize(("technique", "processor"), [("vt-x", "nehalem"), ("amd-v", "barcelona")])
@pytest.mark.parametrize(
    ("image", "paging", "refused"),
    [
        (PORT_GUEST, "shadow", 1),
        (PORT_GUEST, "nested", 1),
        (FAR_GUEST, "shadow", 0),
        (FAR_GUEST, "nested", 1),
    ],
)
def test_an_exit_for_what_is_another_s_is_a_refusal(
    image: object, paging: str, refused: int, technique: str, processor: str
) -> None:
    """A port; a page that the guest has not, where nested tables refuse it. Its own pages are none."""
    session = Session(Scenario(image, technique, processor, paging))  # type: ignore[arg-type]
    card = session.run().scorecard
    assert (card.refused, card.let_through) == (refused, 0)


@pytest.mark.parametrize("technique", ["native", "trap-and-emulate", "paravirtual"])
@pytest.mark.parametrize("guest", ["rings", "popf"])
def test_sound_techniques_let_nothing_through(scenario: MakeScenario, technique: str, guest: str) -> None:
    assert Session(scenario(guest, technique)).run().scorecard.let_through == 0
