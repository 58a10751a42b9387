"""Adaptive binary translation: an instruction that keeps faulting on traced memory is translated otherwise.

                 FAULTS faults on traced memory or a device
      copy ───────────────────────────────────────────────────▶ window, priority or callout
           ◀───────────────────────────────────────────────────
                 QUIET times in a row it touched neither

All are innocent at first: a copy costs nothing until it faults, and few ever do. A fault costs an exception,
a decoding and an emulation. Through a window, or on the slot of the task priority, the access costs some
twenty instructions of the cache and no ring is crossed; as a callout it still saves decoding and walk.

(Adams and Agesen 2006, section 4.4: "Adaptive binary translation".)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.vmm.binary_translation import sequences
from vizapp.vmm.binary_translation.simulated_access import priority_access, window_access
from vizapp.vmm.binary_translation.translator import CALLOUT, IDENT, IN_CACHE

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.vmm.binary_translation.cache import Key
    from vizapp.vmm.binary_translation.spots import Piece
    from vizapp.vmm.binary_translation.translator import Source

COPY: Final = "copy"
BY_WINDOW: Final = "window"
BY_PRIORITY: Final = "priority"
BY_CALLOUT: Final = "callout"

FAULTS: Final = 4
"""A translation costs about what three faults cost, so the fourth is where waiting longer stops to pay."""
QUIET: Final = 32
"""A needless callout costs less than a fault, and to go back and forth costs two translations: eight times
as many as lead here."""
MOVES: Final = 2
"""An instruction that goes from page to page, as one that fills tables does, is not followed further."""
ROOM: Final = 64
"""Of the cache one part in so many may go into the simulated accesses of one unit; the rest are callouts."""


class Record(NamedTuple):
    """What is known of one guest instruction.

    Attributes:
        form: how it is translated.
        faults: how often it has faulted as a copy, since it was one last.
        quiet: how often in a row the monitor has done it and it touched nothing that is traced.
        target: of a window the linear page, of the task priority the linear address.
        number: of the window.
        selector: what the sequence takes for granted in the segment register.
        moves: how often it was translated anew because it accessed another page than that of its window.
    """

    form: str = COPY
    faults: int = 0
    quiet: int = 0
    target: int = 0
    number: int = 0
    selector: int = 0
    moves: int = 0

    @property
    def may_move(self) -> bool:
        """Whether it is worth another sequence."""
        return self.moves < MOVES


class Adaptation:
    """The records of one guest, by linear address of the instruction.

    Attributes:
        due: the instruction that is to be translated anew, -1: none.
        access: the linear address that it has accessed in memory.
        segment: the code segment that it is in, as ``cache.Key`` has it.
    """

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}
        self.due = -1
        self.access = -1
        self.segment: Key | None = None
        self._saved: Any = None

    def record(self, linear: int) -> Record:
        """What is known of the instruction at an address."""
        return self._records.get(linear, Record())

    def put(self, linear: int, record: Record) -> None:
        """Know something else of it."""
        if record == Record():
            self._records.pop(linear, None)
        else:
            self._records[linear] = record
        self._saved = None

    def faulted(self, linear: int, access: int) -> None:
        """A copy has faulted at an address that is traced or a device's."""
        record = self.record(linear)
        record = record._replace(faults=record.faults + 1)
        self.put(linear, record)
        if record.form == COPY and record.faults >= FAULTS:
            self.due, self.access = linear, access

    def done(self, linear: int, access: int, *, trapped: bool, refused: bool) -> None:
        """The monitor has done an instruction that has another form; ``trapped``: it was well that it did.

        ``refused``: a window is open for the page and has refused it, so another form would do no better.
        """
        record = self.record(linear)
        if record.form == COPY:
            return
        if trapped:
            if record.quiet:
                self.put(linear, record._replace(quiet=0))
            if access >= 0 and not refused and (record.may_move or record.form == BY_CALLOUT):
                self.due, self.access = linear, access
            return
        self.put(linear, record._replace(quiet=record.quiet + 1))
        if record.quiet + 1 >= QUIET:
            self.due, self.access = linear, -1

    @property
    def selectors(self) -> frozenset[int]:
        """What sequences take for granted in segment registers."""
        forms = (BY_WINDOW, BY_PRIORITY)
        return frozenset(record.selector for record in self._records.values() if record.form in forms)

    def forget_sequences(self) -> None:
        """The cache is empty: what was a sequence will be a callout until its window is opened anew."""
        for linear, record in list(self._records.items()):
            if record.form in (BY_WINDOW, BY_PRIORITY):
                self.put(linear, record._replace(form=BY_CALLOUT))
        self.due = -1

    def apply(self, source: Source, base: int, size: int) -> Source:
        """A unit as it is to be placed: what has another form than a copy in that form.

        ``base`` is the code segment's, ``size`` that of the cache in bytes.
        """
        if not self._records:
            return source
        room = size // ROOM
        items = []
        for item in source.instructions:
            linear = base + item.instruction.address & M32
            record = self._records.get(linear)
            if record is None or record.form == COPY or item.kind == CALLOUT:
                items.append(item)
                continue
            pieces = self.pieces(item.instruction, record) if item.kind == IDENT else ()
            count = sum(len(piece.raw) for piece in pieces)
            if not pieces or count > room:
                items.append(
                    item._replace(
                        kind=CALLOUT, pieces=sequences.callout(), jump=b"", target=0, jump_ends=False
                    )
                )
            else:
                room -= count
                items.append(item._replace(kind=IN_CACHE, pieces=pieces))
        last = items[-1]
        following = source.following
        if last.kind == CALLOUT and last.last:
            following = None
        return source._replace(instructions=tuple(items), following=following)

    @staticmethod
    def pieces(instruction: Instruction, record: Record) -> tuple[Piece, ...]:
        """The sequence of a form; empty if it has none."""
        if record.form == BY_WINDOW:
            return window_access(instruction, record.number, record.target, record.selector)
        if record.form == BY_PRIORITY:
            return priority_access(instruction, record.target, record.selector)
        return ()

    def save(self) -> Any:
        """The state as plain data, the same object while nothing changes."""
        if self._saved is None or self._saved[1:] != (self.due, self.access, self.segment):
            self._saved = dict(self._records), self.due, self.access, self.segment
        return self._saved

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        records, self.due, self.access, self.segment = saved
        self._records = dict(records)
        self._saved = saved
