"""What really runs: the guest's unit beside its translation in the cache, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.session.details import TRANSLATION
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel
from vizapp.ui.translation_view import TranslationView
from vizapp.ui.translation_words import FORMS, KINDS, MODES, WAYS, words_of
from vizapp.ui.widgets import label, named, scrolling

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.translation import TranslatedUnit, Translation
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look


class TranslationPanel(Panel):
    """The unit of the next instruction, or of a jump that was followed."""

    name = "translation"
    title = N_("What really runs")
    details = frozenset((TRANSLATION,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._unit: TranslatedUnit | None = None
        self.view = TranslationView(look, translator.render)
        self.view.chosen.connect(lambda _index: self._describe())
        self.view.followed.connect(self._go_to)
        self.area = scrolling(self.view)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        self.words = named(label("muted", wrap=True), "translationWords")
        self.legend = label("muted", wrap=True)
        self.follow = QPushButton()
        self.follow.clicked.connect(self._follow)
        line = QHBoxLayout()
        line.addWidget(self.legend, 1)
        line.addWidget(self.follow)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.area, 1)
        column.addWidget(self.empty, 1)
        column.addWidget(self.words)
        column.addLayout(line)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """No translation."""
        self._unit = None
        self.watched_address = None
        self.view.set_unit(None)
        self.words.clear()
        self.set_note("")
        self.empty.setText(self.say(N_("Nothing is translated. Binary translation shows its work here.")))
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The unit at the cursor."""
        found: Translation | None = frame.details.get(TRANSLATION)
        if found is None:
            return
        self._unit = unit = found.unit
        self.view.set_unit(unit)
        mode = self.say(MODES.get(found.mode, found.mode))
        if unit is None:
            self.set_note("")
            missing = N_("{address} has no translation now: {mode}.")
            if found.asked:
                mode = self.say(WAYS.get(found.way, WAYS[""]))
            self.empty.setText(self.say(missing, address=f"{found.address:08X}", mode=mode))
        else:
            text = N_("unit {number}: {address} → cache +{offset}, {size} bytes")
            self.set_note(
                self.say(
                    text,
                    number=unit.number,
                    address=f"{unit.address:08X}",
                    offset=f"{unit.offset:05X}",
                    size=grouped(unit.size),
                )
            )
            if found.asked:
                addresses = [line.address for line in unit.guest]
                self.view.select(addresses.index(found.address))
            self._describe()
            self._reveal()
        self._show_empty()

    def watch(self, address: int) -> None:
        """Show the translation of a guest instruction, if the panel can be seen."""
        if self.isVisible():
            self._go_to(address)

    def restyle(self) -> None:
        """Fonts and drawing."""
        self.view.set_look(self.look, self.translator.render)

    def retranslate(self) -> None:
        """Words."""
        self.view.set_look(self.look, self.translator.render)
        self.view.setAccessibleName(self.say(self.title))
        self.legend.setText(" · ".join(f"{kind.sign} {self.say(kind.title)}" for kind in KINDS.values()))
        self.legend.setToolTip(
            "\n".join(f"{self.say(k.title)}: {self.say(k.sentence)}" for k in KINDS.values())
        )
        self.follow.setText(self.say(N_("Next instruction")))
        self.follow.setToolTip(self.say(N_("Show the unit that runs next again")))
        super().retranslate()

    def _show_empty(self) -> None:
        nothing = self._unit is None
        self.area.setVisible(not nothing)
        self.words.setVisible(not nothing)
        self.empty.setVisible(nothing)
        self.follow.setEnabled(self.watched_address is not None)

    def _describe(self) -> None:
        """Say what the chosen instruction has become."""
        if self._unit is None or not self._unit.guest:
            return
        line = self._unit.guest[self.view.selected]
        kind = words_of(line.kind)
        parts = [f"{line.address:08X} {line.text}"]
        if kind.sentence:
            parts.append(f"{self.say(kind.title)}: {self.say(kind.sentence)}")
        if form := FORMS.get(line.form, ""):
            parts.append(self.say(form))
        if line.faults:
            parts.append(self.say(N_("traces hit: {count}"), count=grouped(line.faults)))
        if line.hits:
            parts.append(self.say(N_("reached {count} times"), count=grouped(line.hits)))
        words = " · ".join(parts)
        self.words.setText(words)
        self.view.setAccessibleDescription(words)

    def _reveal(self) -> None:
        row = self.view.selected_rect()
        self.area.ensureVisible(0, round(row.center().y()), 0, round(row.height() * 2))

    def _go_to(self, address: int) -> None:
        self.watched_address = address
        self.watch_changed.emit()

    def _follow(self) -> None:
        self.watched_address = None
        self.watch_changed.emit()
