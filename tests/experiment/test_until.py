"""Events by name: what each kind of event is said to be caused by is what causes it."""

import pytest

from vizapp.errors import UnknownNameError
from vizapp.experiment.execution import Bounds, execute
from vizapp.experiment.scenarios import make_scenario
from vizapp.experiment.until import parse_until
from vizapp.machine.events import CLI_NAMES

RUNS = (
    ("minikernel", "native"),
    ("minikernel", "trap-and-emulate"),
    ("minikernel", "vt-x"),
    ("minikernel", "amd-v"),
    ("minikernel", "paravirtual"),
)


@pytest.mark.parametrize(("guest", "technique"), RUNS)
def test_every_cause_that_happens_has_a_name(guest: str, technique: str) -> None:
    scenario = make_scenario(guest, technique_name=technique)
    events = execute(scenario, bounds=Bounds(instructions=10_000)).recorded
    causes = {(event.kind, event.cause) for event in events}
    assert causes
    for kind, cause in causes:
        until = parse_until(f"{CLI_NAMES[kind]}:{cause}", technique)
        assert (until.kind, until.cause) == (kind, cause)


def test_an_exit_is_named_as_its_vendor_names_it() -> None:
    assert parse_until("vm-exit:io-instruction", "vt-x").cause == "io-instruction"
    assert parse_until("vm-exit:ioio", "amd-v").cause == "ioio"
    with pytest.raises(UnknownNameError):
        parse_until("vm-exit:ioio", "vt-x")
    with pytest.raises(UnknownNameError):
        parse_until("vm-exit:io-instruction", "amd-v")
