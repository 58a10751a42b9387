"""The event store finds events by position and kind, and crosses the process boundary unchanged."""

import pickle

from vizapp.machine.events import Event
from vizapp.machine.places import APPLICATION, VMM, Place
from vizapp.session.recorder import EventStore

APP, MONITOR = Place(ring=3, vm=0, component=APPLICATION), Place(ring=0, component=VMM)


def event(position: int, kind: str, cause: str = "#GP") -> Event:
    return Event(position, 10 * position, kind, APP, MONITOR, cause, {"vector": 13}, (("exception", 1),))


def store(*events: Event) -> EventStore:
    made = EventStore()
    made.extend(events[:1])
    made.extend(events[1:])
    return made


FIVE = (event(2, "A"), event(2, "B", "mov cr3"), event(5, "A"), event(9, "B"), event(9, "C"))


def test_events_come_back_as_they_were() -> None:
    recorded = store(*FIVE)
    assert [recorded[index] for index in range(len(recorded))] == list(FIVE)


def test_columns_pickle_to_the_same_batch() -> None:
    columns = pickle.loads(pickle.dumps(store(*FIVE).columns(1, 4)))
    assert columns.batch() == (1, 5, FIVE[1:4])


def test_following_is_at_or_behind_the_cursor() -> None:
    recorded = store(*FIVE)
    assert recorded.following(0, None) == FIVE[0]
    assert recorded.following(2, frozenset("B")) == FIVE[1]
    assert recorded.following(3, frozenset("B")) == FIVE[3]
    assert recorded.following(3, frozenset("BC")) == FIVE[3]
    assert recorded.following(10, None) is None
    assert recorded.following(0, frozenset("D")) is None


def test_preceding_is_of_a_step_before_the_position() -> None:
    recorded = store(*FIVE)
    assert recorded.preceding(9, None) == FIVE[2]
    assert recorded.preceding(10, frozenset("A")) == FIVE[2]
    assert recorded.preceding(2, None) is None


def test_counts_are_of_the_cursor_s_past() -> None:
    recorded = store(*FIVE)
    assert recorded.counts(2) == {}
    assert recorded.counts(3) == {"A": 1, "B": 1}
    assert recorded.counts(100) == {"A": 2, "B": 2, "C": 1}
    assert recorded.causes("B", 100) == {"mov cr3": 1, "#GP": 1}


def test_truncation_forgets_the_tail_everywhere() -> None:
    recorded = store(*FIVE)
    recorded.truncate(recorded.before(9))
    assert len(recorded) == 3
    assert recorded.following(6, None) is None
    assert recorded.counts(100) == {"A": 2, "B": 1}
    recorded.extend([event(7, "C")])
    assert recorded.counts(100) == {"A": 2, "B": 1, "C": 1}
