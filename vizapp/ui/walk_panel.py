"""One address, every reference of its translation: the guest's tables, a shadow, or both dimensions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_PS, PTE_U, PTE_W
from vizapp.machine.ept import EPT_EXECUTE, EPT_READ, EPT_WRITE
from vizapp.machine.walks import NESTED
from vizapp.messages import N_
from vizapp.session.details import WALK
from vizapp.session.details.walk import references
from vizapp.ui.panel import Panel
from vizapp.ui.walk_view import WalkView
from vizapp.ui.widgets import label, named

if TYPE_CHECKING:
    from vizapp.machine.walks import WalkStep
    from vizapp.messages import Translator
    from vizapp.session.details.walk import Walk
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_ADDRESS = re.compile(r"(?:0x)?([0-9a-fA-F]{1,8})h?")
_EPT_BITS = ((EPT_READ, "R"), (EPT_WRITE, "W"), (EPT_EXECUTE, "X"))
_PAGE_BITS = ((PTE_P, "P"), (PTE_W, "W"), (PTE_U, "U"), (PTE_A, "A"), (PTE_D, "D"), (PTE_PS, "PS"))
_EPT_LEVELS, _NPT_LEVELS = 4, 2


class WalkPanel(Panel):
    """The walk of the address that is asked about; without one, of the next instruction's."""

    name = "walk"
    title = N_("One address, every reference")
    details = frozenset((WALK,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._walk: Walk | None = None
        self.address = QLineEdit()
        self.address.setClearButtonEnabled(True)
        self.address.setMaxLength(11)
        self.address.returnPressed.connect(self._ask)
        self.address.textChanged.connect(self._typed)
        self.follow = QPushButton()
        self.follow.clicked.connect(self._follow)
        self.view = WalkView(look, translator.render)
        self.view.chosen.connect(lambda _index: self._describe())
        self.reference = named(label("strong", wrap=True), "walkReference")
        self.reference.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.count = label("muted", wrap=True)
        line = QHBoxLayout()
        line.addWidget(self.address, 1)
        line.addWidget(self.follow)
        column = QVBoxLayout(self)
        column.addLayout(line)
        column.addWidget(self.view, 1)
        column.addWidget(self.reference)
        column.addWidget(self.count)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """No walk."""
        self._walk = None
        self.view.set_walk(None)
        self.reference.clear()
        self.count.clear()
        self.set_note("")

    def show_frame(self, frame: Frame) -> None:
        """The walk at the cursor."""
        found: Walk | None = frame.details.get(WALK)
        if found is None:
            return
        self._walk = found
        self.view.set_walk(found)
        own, nested = references(found.processor)
        self.set_note(
            self.say(
                N_("{address} → {references} memory references"),
                address=f"{found.linear:08X}",
                references=own + nested,
            )
        )
        self._describe()
        self._compare(found)

    def restyle(self) -> None:
        """Fonts and drawing."""
        self.address.setFont(self.look.font("mono"))
        self.reference.setFont(self.look.font("mono"))
        self.view.set_look(self.look, self.translator.render)

    def retranslate(self) -> None:
        """Words."""
        self.view.set_look(self.look, self.translator.render)
        self.address.setPlaceholderText(self.say(N_("linear address, hexadecimal")))
        self.address.setAccessibleName(self.say(N_("linear address")))
        self.follow.setText(self.say(N_("Next instruction")))
        self.follow.setToolTip(self.say(N_("Follow the address of the guest's next instruction")))
        self.view.setAccessibleName(self.say(self.title))
        super().retranslate()

    def _ask(self) -> None:
        found = _ADDRESS.fullmatch(self.address.text().strip())
        if found is None:
            self.reference.setText(self.say(N_("A linear address has one to eight hexadecimal digits.")))
            return
        self.watched_address = int(found[1], 16)
        self.watch_changed.emit()

    def _typed(self, text: str) -> None:
        if not text and self.watched_address is not None:
            self._follow()

    def _follow(self) -> None:
        self.watched_address = None
        self.address.blockSignals(True)
        self.address.clear()
        self.address.blockSignals(False)
        self.watch_changed.emit()

    def _describe(self) -> None:
        """Say what the chosen reference reads."""
        if self._walk is None or not self.view.boxes:
            return
        step, number, address = self.view.boxes[self.view.selected].reference
        if step is None:
            where = "–" if address is None else f"{address:08X}"
            words = (
                self.say(N_("nothing is mapped there"))
                if address is None
                else self.say(N_("the byte itself, at {address}"), address=where)
            )
        else:
            words = self._entry(step, number)
        self.reference.setText(words)
        self.view.setAccessibleDescription(words)

    def _entry(self, step: WalkStep, number: int) -> str:
        own, nested = references(self._walk.processor) if self._walk is not None else (0, 0)
        wide = step.table == NESTED and step.level not in ("nPDE", "nPTE")
        bits = _EPT_BITS if wide else _PAGE_BITS
        flags = " ".join(letter for bit, letter in bits if step.value & bit) or "–"
        value = f"{step.value:016X}" if wide or step.value >> 32 else f"{step.value:08X}"
        where = f"{step.host_physical:08X}"
        head = (
            self.say(N_("reference {number} of {total}"), number=number, total=own + nested)
            if number
            else self.say(N_("not read by the processor"))
        )
        if step.table == NESTED:
            text = N_("{head}: {level} at {where} = {value} {flags}, on the way to guest-physical {guest}")
            return self.say(
                text,
                head=head,
                level=step.level,
                where=where,
                value=value,
                flags=flags,
                guest=f"{step.guest_physical:08X}",
            )
        text = N_("{head}: {level} at {where} = {value} {flags}")
        return self.say(text, head=head, level=step.level, where=where, value=value, flags=flags)

    def _compare(self, walk: Walk) -> None:
        """How many references the same tables would take with and without a second dimension."""
        steps = walk.guest if walk.shadowed else walk.processor
        own, _ = references(steps)

        def both(levels: int) -> int:
            return own + (own + 1) * levels

        words = self.say(
            N_("the same address: one set of tables {own} · two-level NPT {npt} · EPT {ept}"),
            own=own,
            npt=both(_NPT_LEVELS),
            ept=both(_EPT_LEVELS),
        )
        if walk.remembered:
            words += " · " + self.say(N_("the TLB spares them all now"))
        self.count.setText(words)
