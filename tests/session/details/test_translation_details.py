"""What panels show of a translation cache, held against the cache's own bytes and the guest's."""

from __future__ import annotations

import pickle
from itertools import pairwise

import capstone
import pytest

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine.events import CHAIN_PATCHED, INSTRUCTION_RETRANSLATED, UNIT_TRANSLATED
from vizapp.session.details import TRANSLATION, TRANSLATION_CACHE
from vizapp.session.details.registry import Subject
from vizapp.session.details.translation import Translation, translation
from vizapp.session.details.translation_cache import CacheMap, translation_cache
from vizapp.session.session import Session
from vizapp.vmm.binary_translation.monitor import TranslatingMonitor
from vizapp.vmm.binary_translation.translator import KINDS


@pytest.fixture(scope="module")
def session() -> Session:
    session = Session(make_scenario("isprime", technique_name="binary-translation"))
    session.run()
    return session


def _subject(session: Session, address: int | None = None) -> Subject:
    pc, monitor, _, _ = session.machine
    return Subject(
        pc, monitor, session.store, session.timeline.cursor, 0, address, session._recorder.heats[0]
    )


def _map(session: Session) -> CacheMap:
    found = translation_cache(_subject(session))
    assert found is not None
    return found


def _translation(session: Session, address: int) -> Translation:
    found = translation(_subject(session, address))
    assert found is not None
    return found


def test_every_unit_is_told_by_its_bytes(session: Session) -> None:
    monitor = session.machine.monitor
    assert isinstance(monitor, TranslatingMonitor)
    cache = monitor.machine(0).cache
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    for unit in _map(session).units:
        shown = _translation(session, unit.address).unit
        assert shown is not None
        assert (shown.number, shown.offset, shown.size) == (unit.number, unit.offset, unit.size)
        raw = cache.bytes_at(unit.offset, unit.size)
        assert b"".join(line.raw for line in shown.cache) == raw
        decoded = list(engine.disasm(raw, cache.base + unit.offset))
        assert [line.address for line in shown.cache] == [found.address for found in decoded]
        assert [line.text.split()[0] for line in shown.cache] == [found.mnemonic for found in decoded]
        for index, line in enumerate(shown.guest):
            assert monitor.guest_read(line.address, len(line.raw)) == line.raw
            own = shown.cache[line.first : line.end]
            assert {tied.guest for tied in own} <= {index}
            if line.kind == "ident":
                assert [tied.raw for tied in own] == [line.raw]
            assert sum(tied.ends for tied in own) == (line.kind != "callout")
        assert tuple(sum(line.kind == kind for line in shown.guest) for kind in KINDS) == unit.kinds


def test_the_map_covers_the_cache_and_knows_the_chains(session: Session) -> None:
    found = _map(session)
    pieces = sorted([*((unit.offset, unit.size) for unit in found.units)] + [
        (region.offset, region.size) for region in found.regions
    ])  # fmt: skip
    assert all(at + size <= following for (at, size), (following, _) in pairwise(pieces))
    assert sum(size for _, size in pieces) == found.used
    assert found.used + found.free == found.size
    units = {unit.number: unit for unit in found.units}
    for unit in found.units:
        shown = _translation(session, unit.address).unit
        assert shown is not None
        by_jumps = {line.unit for line in shown.cache if line.unit >= 0}
        assert by_jumps <= set(unit.chained_out)
        for number in set(unit.chained_out) - by_jumps:
            assert units[number].elided
            assert units[number].offset == unit.offset + unit.size
        for number in unit.chained_out:
            assert unit.number in units[number].chained_in
    events = session.store.of_kinds((UNIT_TRANSLATED, CHAIN_PATCHED), session.timeline.end)
    kinds = [event.kind for event in events]
    assert (found.made, found.chained) == (kinds.count(UNIT_TRANSLATED), kinds.count(CHAIN_PATCHED))


def test_it_follows_the_cursor(session: Session) -> None:
    session.timeline.seek(0)
    session.next_event({UNIT_TRANSLATED})
    assert len(_map(session).units) == 1
    seen = 0
    for _ in range(300):
        session.step()
        found = translation(_subject(session))
        assert found is not None
        if found.unit is None or found.unit.at_cache < 0:
            continue
        seen += 1
        line = found.unit.cache[found.unit.at_cache]
        assert line.address == session.machine.pc.cpu.eip
        assert found.mode == "translated"
        if line.guest >= 0 and found.unit.at_guest >= 0:
            assert found.unit.at_guest in (line.guest, line.guest + 1)
    assert seen > 10
    session.timeline.seek(session.timeline.end)


def test_what_has_no_translation_has_no_unit(session: Session) -> None:
    assert _translation(session, 0x3FF000).unit is None
    other = Session(make_scenario("isprime"))
    assert translation(_subject(other)) is None
    assert translation_cache(_subject(other)) is None


def test_it_crosses_the_process_boundary(session: Session) -> None:
    session.watch_details((TRANSLATION, TRANSLATION_CACHE))
    details = session.frame().details
    session.watch_details(())
    assert pickle.loads(pickle.dumps(details)) == details


def test_a_line_tells_its_form_and_its_faults() -> None:
    session = Session(make_scenario("page-fault", technique_name="binary-translation", iterations=8))
    session.run()
    told = list(session.store.of_kinds((INSTRUCTION_RETRANSLATED,), session.timeline.end))
    assert told
    for event in told:
        found = _translation(session, int(event.payload["address"])).unit
        assert found is not None
        (line,) = [line for line in found.guest if line.address == event.payload["address"]]
        assert (line.form, line.faults) == (event.payload["to"], event.payload["faults"])
        assert line.kind == "in-cache"
        assert line.end - line.first > 10
