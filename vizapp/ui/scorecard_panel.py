"""Scorecard: Popek and Goldberg's three properties, measured on this run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QVBoxLayout, QWidget

from vizapp.messages import N_
from vizapp.ui.glossary import explain
from vizapp.ui.numbers import grouped, percent
from vizapp.ui.panel import Panel

if TYPE_CHECKING:
    from PySide6.QtGui import QPaintEvent

    from vizapp.messages import Translator
    from vizapp.session.frames import Frame, Scorecard
    from vizapp.ui.look import Look


class Verdict(NamedTuple):
    """One bar, filled to ``share`` in the colour of ``role``; ``sign`` says the verdict without colour."""

    name: str
    words: str
    sign: str
    share: float
    role: str


class PropertyBar(QWidget):
    """Name at the left, verdict at the right, a bar beneath."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.shown = Verdict("", "", "", 0.0, "unknown")

    def show_verdict(self, shown: Verdict, tooltip: str) -> None:
        """Draw another state."""
        self.shown = shown
        self.setToolTip(tooltip)
        self.setAccessibleName(f"{shown.name}: {shown.words}")
        self.update()

    def sizeHint(self) -> QSize:
        """A line of text and the bar."""
        return QSize(self.look.px(200), self.look.px(38))

    def minimumSizeHint(self) -> QSize:
        """The bar may come closer to the words."""
        return QSize(self.look.px(120), self.look.px(32))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Words and bar."""
        look, shown = self.look, self.shown
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            row = QRectF(0, 0, self.width(), look.px(18))
            painter.setFont(look.font("title"))
            painter.setPen(look.color("text"))
            painter.drawText(row, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown.name)
            used = painter.fontMetrics().horizontalAdvance(shown.name) + look.px(14)
            painter.setFont(look.font("small"))
            painter.setPen(look.color("bad_text" if shown.role == "bad" else "text_muted"))
            words = f"{shown.sign} {shown.words}".strip()
            words = painter.fontMetrics().elidedText(
                words, Qt.TextElideMode.ElideRight, int(row.width() - used)
            )
            painter.drawText(row, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
            bar = QRectF(0, look.px(22), self.width(), look.px(8))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.color("grid"))
            painter.drawRoundedRect(bar, bar.height() / 2, bar.height() / 2)
            if shown.share > 0:
                bar.setWidth(max(bar.height(), bar.width() * min(1.0, shown.share)))
                painter.setBrush(look.color(shown.role))
                painter.drawRoundedRect(bar, bar.height() / 2, bar.height() / 2)


class ScorecardPanel(Panel):
    """Equivalence, resource control and efficiency as three bars with words."""

    name = "scorecard"
    title = N_("Popek–Goldberg, measured on this run")

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.equivalence = PropertyBar(look)
        self.control = PropertyBar(look)
        self.efficiency = PropertyBar(look)
        self._column = QVBoxLayout(self)
        for bar in (self.equivalence, self.control, self.efficiency):
            self._column.addWidget(bar)
        self._column.addStretch(1)
        self.restyle()
        self.clear()

    def clear(self) -> None:
        """Nothing has been measured yet."""
        unknown = self.say(N_("not measured yet"))
        for bar, name, key in (
            (self.equivalence, N_("Equivalence"), "equivalence"),
            (self.control, N_("Resource control"), "resource-control"),
            (self.efficiency, N_("Efficiency"), "efficiency"),
        ):
            tooltip = explain(key, self.translator)
            bar.show_verdict(Verdict(self.say(name), unknown, "", 0.0, "unknown"), tooltip)

    def show_frame(self, frame: Frame) -> None:
        """The three verdicts of this run."""
        card = frame.scorecard
        first = card.first_difference
        reason = f"<p>{self.translator.render(first)}</p>" if first is not None else ""
        self.equivalence.show_verdict(
            self._equivalence(card), reason + explain("equivalence", self.translator)
        )
        self.control.show_verdict(self._control(card), explain("resource-control", self.translator))
        self.efficiency.show_verdict(self._efficiency(card), explain("efficiency", self.translator))

    def restyle(self) -> None:
        """Margins at the zoom."""
        for bar in (self.equivalence, self.control, self.efficiency):
            bar.look = self.look
            bar.updateGeometry()
            bar.update()
        self._column.setContentsMargins(self.look.px(9), self.look.px(2), self.look.px(9), self.look.px(4))
        self._column.setSpacing(self.look.px(4))

    def retranslate(self) -> None:
        """All words anew."""
        if self.frame is None:
            self.clear()
        else:
            self.show_frame(self.frame)

    def _equivalence(self, card: Scorecard) -> Verdict:
        name = self.say(N_("Equivalence"))
        counts = {"compared": grouped(card.compared), "total": grouped(card.total)}
        if card.holds is None and card.first_difference is None:
            verdict = self.say(N_("to be checked by replay")) if card.claimed else self.say(N_("not claimed"))
            return Verdict(name, verdict, "", 0.0, "unknown")
        share = card.compared / card.total if card.total else 0.0
        if card.holds:
            verdict = self.say(N_("same trace: {compared} / {total}"), **counts)
            return Verdict(name, verdict, "✓", share or 1.0, "good")
        verdict = self.say(N_("differs after {compared} of {total}"), **counts)
        return Verdict(name, verdict, "✗", share, "bad")

    def _control(self, card: Scorecard) -> Verdict:
        name = self.say(N_("Resource control"))
        if card.let_through:
            verdict = self.say(N_("{count} uncontrolled"), count=grouped(card.let_through))
            return Verdict(name, verdict, "✗", 1.0, "bad")
        verdict = self.say(N_("none uncontrolled"))
        if card.refused:
            verdict = self.say(N_("{count} refused, 0 passed"), count=grouped(card.refused))
        return Verdict(name, verdict, "✓", 1.0, "good")

    def _efficiency(self, card: Scorecard) -> Verdict:
        name = self.say(N_("Efficiency"))
        counts = card.efficiency
        total = sum(counts)
        if not total:
            return Verdict(name, self.say(N_("nothing executed yet")), "", 0.0, "unknown")
        share = (counts.direct + counts.cache) / total
        text = N_("{share} ran unmodified") if not counts.cache else N_("{share} ran directly")
        # A share rounded up to 100 % would hide the instructions that did trap.
        shown = min(share, 0.999) if share < 1 else share
        verdict = self.say(text, share=percent(shown, self.translator.language))
        return Verdict(name, verdict, "", share, "accent")
