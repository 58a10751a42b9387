"""Frames: two truths, code, and the sentence under the stage, for real runs."""

from collections.abc import Callable

import pytest

from vizapp.machine import events as ev
from vizapp.machine.places import GUEST_KERNEL, VMM
from vizapp.session.frames import Frame
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

MakeScenario = Callable[..., Scenario]


def truth(frame: Frame, name: str) -> tuple[str, str, bool]:
    row = next(row for row in frame.truths if row.name == name)
    return row.guest, row.processor, row.differs


def current(frame: Frame) -> str:
    return next(line.text for line in frame.code if line.current)


def to_mnemonic(session: Session, mnemonic: str) -> Frame:
    """Step until an instruction of that name is about to execute in the guest."""
    frame = session.frame()
    while not (frame.place.is_guest and current(frame).startswith(mnemonic)):
        frame = session.step()
        assert frame.stopped is None
    return frame


def test_on_the_bare_machine_both_truths_are_one(scenario: MakeScenario) -> None:
    session = Session(scenario("rings"))
    for _ in range(60):
        assert not any(row.differs for row in session.step().truths)


def test_a_deprivileged_kernel_believes_in_ring_0(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate"))
    frame = session.seek_instruction(40)
    assert frame.place.component == GUEST_KERNEL
    assert truth(frame, "CPL") == ("0", "1", True)
    assert truth(frame, "CR3")[2]
    assert truth(frame, "GDTR base")[2]
    assert truth(frame, "EAX")[0] == truth(frame, "EAX")[1]


def test_the_ds_limit_is_truncated_below_the_monitor(scenario: MakeScenario) -> None:
    frame = Session(scenario("rings", "trap-and-emulate")).seek_instruction(40)
    guest, processor, differs = truth(frame, "DS limit")
    assert guest == "FFFFFFFF"
    assert int(processor, 16) < int(guest, 16)
    assert differs


def test_what_changed_is_what_the_last_step_changed(scenario: MakeScenario) -> None:
    session = Session(scenario("rings"))
    frame = session.step()
    assert {"eip"} <= frame.changed
    assert "cr3" not in frame.changed
    assert frame.changed == frozenset(row.key for row in frame.truths if row.changed)


def test_the_window_of_code_stands_still_while_the_guest_walks_through_it(scenario: MakeScenario) -> None:
    session = Session(scenario("hello"))
    first = session.frame()
    second = session.step()
    assert [line.address for line in first.code] == [line.address for line in second.code]
    assert sum(line.current for line in second.code) == 1


def test_code_has_source_marks_and_labels(scenario: MakeScenario) -> None:
    frame = Session(scenario("popf")).frame()
    assert frame.code[0].label == "_start"
    assert frame.code_title.startswith(("popf.asm", "abi_native.inc"))
    marks = {line.text.split()[0]: line.mark for line in frame.code}
    assert marks["cli"] == "privileged"
    assert marks["cld"] == "innocuous"
    assert any(line.source for line in frame.code)


def test_notes_say_what_becomes_of_a_line(scenario: MakeScenario) -> None:
    def notes(technique: str, virtualizable: bool = False) -> dict[str, str]:
        session = Session(scenario("popf", technique, virtualizable=virtualizable))
        frame = session.run_to(int(scenario("popf").image.symbols["mark_mask"]))
        return {line.text.split()[0]: line.note.in_english() for line in frame.code if line.note is not None}

    assert notes("trap-and-emulate")["popfd"] == "IF lost"
    assert notes("trap-and-emulate", virtualizable=True)["popfd"] == "traps"
    assert "popfd" not in notes("native")


def test_a_trap_is_explained(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate"))
    hidden = session.next_event({ev.EXCEPTION_DELIVERED})
    assert "a hidden fault" in hidden.sentence.in_english()
    frame = session.next_event({ev.EXCEPTION_DELIVERED})
    assert frame.place.component == VMM
    sentence = frame.sentence.in_english()
    assert sentence.startswith("cli is privileged: at ring 1 the processor refuses it with #GP")
    assert frame.event_cycles is not None
    assert frame.event_cycles > 0
    assert frame.lesson


def test_emulation_is_explained(scenario: MakeScenario) -> None:
    session = Session(scenario("rings", "trap-and-emulate"))
    frame = session.next_event({ev.INSTRUCTION_EMULATED})
    assert "has carried out “cli” on the virtual CPU" in frame.sentence.in_english()


@pytest.mark.parametrize(
    ("virtualizable", "words"),
    [(False, "silently kept IF = 1"), (True, "is sensitive, and this processor is virtualizable")],
)
def test_popf_is_explained_for_what_it_really_did(
    scenario: MakeScenario, virtualizable: bool, words: str
) -> None:
    session = Session(scenario("popf", "trap-and-emulate", virtualizable=virtualizable))
    session.run_to(int(scenario("popf").image.symbols["mark_mask"]))
    to_mnemonic(session, "popf")
    assert words in session.step().sentence.in_english()


def test_on_the_bare_machine_popf_does_what_it_says(scenario: MakeScenario) -> None:
    session = Session(scenario("popf"))
    session.run_to(int(scenario("popf").image.symbols["mark_mask"]))
    to_mnemonic(session, "popf")
    assert "it was 1 and is now 0" in session.step().sentence.in_english()


def test_every_step_has_a_sentence_that_can_be_said(scenario: MakeScenario) -> None:
    for technique in ("native", "trap-and-emulate", "paravirtual"):
        session = Session(scenario("rings", technique))
        for _ in range(120):
            sentence = session.step().sentence.in_english()
            assert sentence
            assert "{" not in sentence
        assert session.run().sentence.in_english().startswith("The run has ended: ")


def test_a_frame_in_motion_is_cheap_and_says_so(scenario: MakeScenario) -> None:
    session = Session(scenario("minikernel"))
    session.advance(max_steps=5_000)
    frame = session.frame(moving=True)
    assert frame.moving
    assert frame.sentence.in_english().startswith("The guest runs.")
