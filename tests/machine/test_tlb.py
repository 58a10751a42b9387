"""The modelled TLB: fixed size, first in first out, whatever is looked up in between."""

from hypothesis import given
from hypothesis import strategies as st

from vizapp.machine.tlb import ENTRIES, Tlb, TlbEntry


def entry(page, *, is_global=False, frame=None):
    return TlbEntry(page, page if frame is None else frame, True, True, False, is_global)


def test_the_first_in_is_the_first_out():
    tlb = Tlb()
    for page in range(ENTRIES):
        assert tlb.insert(entry(page)) is None
    tlb.lookup(0)
    assert tlb.insert(entry(1000)).page == 0
    assert tlb.lookup(0) is None
    assert tlb.insert(entry(1001)).page == 1


def test_a_page_has_one_entry():
    tlb = Tlb()
    tlb.insert(entry(5))
    assert tlb.insert(entry(5, frame=9)) is None
    assert tlb.lookup(5).frame == 9
    assert len(tlb.entries()) == 1


def test_a_dropped_slot_waits_for_its_turn():
    tlb = Tlb()
    for page in range(ENTRIES):
        tlb.insert(entry(page))
    tlb.drop(3)
    assert [tlb.insert(entry(100 + n)) and n for n in range(4)] == [0, 1, 2, None]


def test_a_flush_may_keep_global_entries():
    tlb = Tlb()
    tlb.insert(entry(1))
    tlb.insert(entry(2, is_global=True))
    tlb.flush(keep_global=True)
    assert [kept.page for kept in tlb.entries()] == [2]
    tlb.flush(keep_global=False)
    assert tlb.entries() == []


@given(st.lists(st.tuples(st.sampled_from("idf"), st.integers(0, 99)), max_size=300))
def test_replacement_depends_on_the_misses_alone(acts):
    """One that is looked up all the time and saved and loaded, against one that is left alone."""
    quiet, busy = Tlb(), Tlb()
    for act, page in acts:
        if act == "i":
            gone = quiet.insert(entry(page))
            busy.lookup(page)
            assert busy.insert(entry(page)) == gone
        elif act == "d":
            quiet.drop(page)
            busy.drop(page)
        else:
            saved = busy.save()
            busy = Tlb()
            busy.load(saved)
        assert len(busy.entries()) <= ENTRIES
    assert quiet.save() == busy.save()
