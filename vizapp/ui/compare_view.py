"""The compare view: one guest under every technique, side by side: stages, lanes, curves, bars, a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from vizapp.messages import N_
from vizapp.ui.card import Card
from vizapp.ui.lanes_model import LanesModel
from vizapp.ui.lanes_view import LanesView
from vizapp.ui.numbers import grouped, percent, times
from vizapp.ui.overhead_graph import Curve, OverheadGraph
from vizapp.ui.overhead_model import Bar, OverheadModel
from vizapp.ui.overhead_view import OverheadView
from vizapp.ui.stage_view import StageView
from vizapp.ui.table_model import Column, RowsModel
from vizapp.ui.widgets import ElidedLabel, label
from vizapp.ui.words import EVENT_TITLES, PURPOSE_TITLES, STOP_TITLES, TECHNIQUE_TITLES, racer_titles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtGui import QShowEvent

    from vizapp.messages import Message, Translator
    from vizapp.session.frames import EventBatch, Frame, Progress
    from vizapp.session.protocol import Opened
    from vizapp.ui.look import Look


class Row(NamedTuple):
    """One technique in the table."""

    bar: Bar
    frame: Frame | None


class CompareColumn(Card):
    """One technique: a small stage, its lanes, what happened most, and how much slower it is."""

    def __init__(self, technique: str, look: Look, translator: Translator) -> None:
        self.technique = technique
        self.stage = StageView(look, translator.render)
        self.lanes = LanesView(look)
        self.lanes.compact = True
        self.counts = ElidedLabel("muted")
        self.ratio = label("panelName")
        foot = QWidget()
        self._foot = QHBoxLayout(foot)
        self._foot.setContentsMargins(0, 0, 0, 0)
        self._foot.addWidget(self.counts, 1)
        self._foot.addWidget(self.ratio)
        self.lanes.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        super().__init__(self.stage, self.lanes, foot)
        self.frame: Frame | None = None
        self._place: object = None

    def show_opened(self, opened: Opened) -> None:
        """The places of the technique."""
        self.stage.set_stage(opened.stage)
        self.lanes.set_model(LanesModel(opened.stage))
        self.lanes.updateGeometry()

    def show_events(self, batch: EventBatch) -> None:
        """Stays end and begin."""
        self.lanes.model.add(batch.events)
        self.lanes.refresh()

    def show_frame(self, frame: Frame) -> None:
        """Where the processor is, and what happened most."""
        self.frame = frame
        self.lanes.set_times(frame.cycle, frame.last_cycle)
        self.stage.show_place(frame.place)

    def write(self, translator: Translator, bar: Bar | None, title: str) -> None:
        """All words."""
        say, frame = translator.text, self.frame
        self.name.setText(say(title))
        if frame is not None:
            most = sorted(frame.event_counts.items(), key=lambda item: -item[1])[:2]
            self.counts.set_words(" · ".join(f"{say(EVENT_TITLES.get(k, k))} {grouped(n)}" for k, n in most))
            stopped = frame.stopped
            self.note.setText(say(STOP_TITLES.get(stopped.reason, stopped.reason)) if stopped else "")
        if bar is not None and bar.reason is not None:
            self.counts.set_words(translator.render(bar.reason))
        ratio = bar.ratio if bar is not None else None
        self.ratio.setText(f"{times(ratio, translator.language)}" if ratio is not None else "")


class CompareView(QWidget):
    """All techniques at once.

    Signals:
        race_wished: run all techniques again.
    """

    race_wished = Signal()

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._translator = translator
        self.model = OverheadModel()
        self._titles: Mapping[str, str] = TECHNIQUE_TITLES
        self.columns: dict[str, CompareColumn] = {}
        self.graph = OverheadGraph(look)
        self.bars = OverheadView(look)
        self.table_model: RowsModel[Row] = RowsModel(())
        self.table = QTableView()
        self.table.setModel(self.table_model)
        self.table.setShowGrid(False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.again = QPushButton()
        self.again.clicked.connect(self.race_wished)
        self.graph_card = Card(self.graph)
        self.bars_card = Card(self.bars)
        self.bars_card.column.addWidget(self.again, 0, Qt.AlignmentFlag.AlignRight)
        self.table_card = Card(self.table)
        self._stages = QHBoxLayout()
        self._grid = QGridLayout()
        self._grid.addWidget(self.graph_card, 0, 0)
        self._grid.addWidget(self.bars_card, 0, 1)
        self._grid.addWidget(self.table_card, 1, 0, 1, 2)
        self._grid.setColumnStretch(0, 3)
        self._grid.setColumnStretch(1, 2)
        self._grid.setRowStretch(0, 3)
        self._grid.setRowStretch(1, 2)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addLayout(self._stages, 5)
        self._column.addLayout(self._grid, 6)
        self.restyle(look)
        self.retranslate(translator)

    def name_racers(self, surroundings: Mapping[str, str]) -> None:
        """By technique, who has the devices of the guest in the race."""
        self._titles = racer_titles(surroundings)
        self.retranslate(self._translator)

    def start_race(self, techniques: tuple[str, ...]) -> None:
        """All techniques begin anew."""
        self.model = OverheadModel(techniques)
        for column in self.columns.values():
            self._stages.removeWidget(column)
            column.deleteLater()
        self.columns = {name: CompareColumn(name, self._look, self._translator) for name in techniques}
        for column in self.columns.values():
            column.restyle(self._look)
            self._stages.addWidget(column, 1)
        self._write()

    def show_opened(self, technique: str, opened: Opened) -> None:
        """A technique's session exists."""
        self.columns[technique].show_opened(opened)

    def show_frame(self, technique: str, frame: Frame) -> None:
        """Where a technique is."""
        self.columns[technique].show_frame(frame)
        self._write()

    def show_events(self, technique: str, batch: EventBatch) -> None:
        """What happened under a technique."""
        self.columns[technique].show_events(batch)

    def show_progress(self, progress: Progress) -> None:
        """A technique came further."""
        self.model.add(progress)
        self._write()

    def show_failure(self, technique: str, reason: Message) -> None:
        """A technique cannot run this guest."""
        self.model.fail(technique, reason)
        self._write()

    def restyle(self, look: Look) -> None:
        """Theme or zoom."""
        self._look = look
        for layout in (self._stages, self._grid, self._column):
            layout.setSpacing(look.px(10))
        for card in (self.graph_card, self.bars_card, self.table_card):
            card.restyle(look)
        for column in self.columns.values():
            column.restyle(look)
            column.stage.set_look(look, self._translator.render)
            column.lanes.look = look
            column.lanes.refresh()
        self.graph.look = self.bars.look = look
        self.table.verticalHeader().setDefaultSectionSize(look.px(24))
        self.graph.update()
        self.bars.update()

    def retranslate(self, translator: Translator) -> None:
        """Language."""
        self._translator = translator
        say = translator.text
        self.graph_card.name.setText(say(N_("Overhead, live")))
        self.graph_card.note.setText(say(N_("cycles over guest progress")))
        self.bars_card.name.setText(say(N_("Where the cycles went")))
        self.bars_card.note.setText(say(N_("× native")))
        self.table_card.name.setText(say(N_("In numbers")))
        self.again.setText(say(N_("Race again")))
        self.graph.language = self.bars.language = translator.language
        self.bars.titles = {name: say(title) for name, title in self._titles.items()}
        self.bars.purpose_titles = {name: say(title) for name, title in PURPOSE_TITLES.items()}
        self.bars.no_figure = say(N_("diverged: no figure"))
        self.table_model.set_columns(self._table_columns())
        for column in self.columns.values():
            column.stage.set_look(self._look, translator.render)
        self._write()

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what came while hidden."""
        super().showEvent(event)
        self._write()

    def _write(self) -> None:
        """Everything that numbers or words stand in, once it can be seen."""
        if not self.isVisible():
            return
        say = self._translator.text
        bars = self.model.bars()
        for bar in bars:
            if bar.technique in self.columns:
                title = self._titles.get(bar.technique, bar.technique)
                self.columns[bar.technique].write(self._translator, bar, title)
        self.bars.bars = bars
        self.bars.reasons = {
            bar.technique: self._translator.render(bar.reason) for bar in bars if bar.reason is not None
        }
        self.bars.update()
        self.graph.unit = say(N_("progress marks")) if self.model.in_marks else say(N_("guest instructions"))
        self.graph.curves = [
            Curve(name, say(self._titles.get(name, name)), *self.model.series(name))
            for name in self.model.techniques
        ]
        self.graph.update()
        self.table_model.set_rows(
            [Row(bar, self.columns[bar.technique].frame) for bar in bars if bar.technique in self.columns]
        )

    def _table_columns(self) -> list[Column[Row]]:
        say, language = self._translator.text, self._translator.language

        def count(row: Row, *kinds: str) -> str:
            return grouped(sum(row.frame.event_counts.get(kind, 0) for kind in kinds)) if row.frame else "–"

        def share(row: Row, purpose: str) -> str:
            return percent(row.bar.purposes.get(purpose, 0) / (row.bar.cycles or 1), language)

        return [
            Column(
                say(N_("technique")),
                lambda row: say(self._titles.get(row.bar.technique, row.bar.technique)),
            ),
            Column(say(N_("cycles")), lambda row: grouped(round(row.bar.cycles)), right=True),
            Column(
                say(N_("× native")),
                lambda row: times(row.bar.ratio, language) if row.bar.ratio else "–",
                right=True,
            ),
            Column(
                say(N_("guest instructions")),
                lambda row: grouped(row.frame.instruction) if row.frame else "–",
                right=True,
            ),
            Column(say(N_("faults")), lambda row: count(row, "ExceptionDelivered"), right=True),
            Column(say(N_("emulated")), lambda row: count(row, "InstructionEmulated"), right=True),
            Column(say(N_("hypercalls")), lambda row: count(row, "HypercallMade"), right=True),
            Column(say(N_("transitions")), lambda row: share(row, "transition"), right=True),
            Column(say(N_("monitor")), lambda row: share(row, "monitor"), right=True),
        ]
