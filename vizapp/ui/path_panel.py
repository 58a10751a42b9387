"""A packet or a block on its way: a drawing, and the list of its stages with their cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QSignalBlocker, Qt
from PySide6.QtWidgets import QBoxLayout, QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from vizapp.messages import N_, Message
from vizapp.session.details import PATH
from vizapp.session.journeys.routes import ROUTES
from vizapp.ui.numbers import grouped
from vizapp.ui.panel import Panel
from vizapp.ui.path_layout import NOW, StageRow, chosen, stage_rows
from vizapp.ui.path_view import PathView
from vizapp.ui.path_words import SIGNS, facts_text
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import Column, RowsModel
from vizapp.ui.widgets import label, toggle

if TYPE_CHECKING:
    from PySide6.QtGui import QColor, QResizeEvent

    from vizapp.messages import Translator
    from vizapp.session.details.path import Followed, Paths
    from vizapp.session.frames import Frame
    from vizapp.ui.look import Look

_WIDTHS = (50, 166, 74, 90, 82)
_WIDE = 1150  # from here on drawing and list stand side by side


class PathPanel(Panel):
    """The one in hand at the cursor, or one that was chosen."""

    name = "path"
    title = N_("Path of a packet or block")
    details = frozenset((PATH,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._paths: Paths | None = None
        self._picked: int | None = None  # a journey's number; None: the one in hand
        self.before, self.behind, self.follow = QPushButton("◀"), QPushButton("▶"), toggle()
        self.choice = QComboBox()
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(16)
        self.before.clicked.connect(lambda: self._walk(-1))
        self.behind.clicked.connect(lambda: self._walk(1))
        self.follow.clicked.connect(self._toggle_following)
        self.choice.activated.connect(self._pick)
        self.view = PathView(look, translator.render)
        self.model: RowsModel[StageRow] = RowsModel(self._columns())
        self.model.tint = self._tint
        self.table = RowsView(self.model, _WIDTHS)
        # What does not fit of the last column its tooltip says: a bar would take a row's place.
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.activated.connect(self._go)
        self.table.clicked.connect(self._go)
        self.view.chosen.connect(self.table.selectRow)
        self.view.followed.connect(self._go_to_stage)
        self.empty = label("muted", wrap=True, align=Qt.AlignmentFlag.AlignCenter)
        line = QHBoxLayout()
        line.addWidget(self.before)
        line.addWidget(self.choice, 1)
        line.addWidget(self.behind)
        line.addWidget(self.follow)
        self._body = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._body.addWidget(self.view, 5)
        self._body.addWidget(self.table, 4)
        self._all = QWidget()
        inside = QVBoxLayout(self._all)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addLayout(line)
        inside.addLayout(self._body, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._all, 1)
        column.addWidget(self.empty, 1)
        self.restyle()
        self.retranslate()
        self.clear()

    def clear(self) -> None:
        """Nothing was followed."""
        self._paths, self._picked = None, None
        self.model.set_rows([])
        self.view.set_journey(None, (), "")
        self.choice.clear()
        self.set_note("")
        self._show_empty()

    def show_frame(self, frame: Frame) -> None:
        """The journey that is shown, as far as it has come at the cursor."""
        found: Paths | None = frame.details.get(PATH)
        if found is None:
            return
        self._paths = found
        self._fill_choice(found)
        self._show()

    def restyle(self) -> None:
        """Drawing and widths."""
        self.view.set_look(self.look, self.translator.render)
        self.table.restyle(self.look)
        self._arrange()

    def retranslate(self) -> None:
        """Words."""
        self.view.set_look(self.look, self.translator.render)
        self.view.setAccessibleName(self.say(self.title))
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(N_("Stages of the path")))
        self.follow.setText(self.say(N_("Follow")))
        self.follow.setToolTip(self.say(N_("Show whichever packet or block is in hand at the cursor")))
        for button, words in (
            (self.before, N_("The one before")),
            (self.behind, N_("The next one")),
        ):
            button.setToolTip(self.say(words))
            button.setAccessibleName(self.say(words))
        self.choice.setAccessibleName(self.say(N_("Packet or block")))
        self.choice.setToolTip(self.say(N_("Which packet or block is shown")))
        self.empty.setText(
            self.say(
                N_(
                    "No packet or block has been on its way yet. Guests with a network or a disk have them: "
                    "network-send, network-receive; under Xen disk-read and disk-write too."
                )
            )
        )
        if self._paths is not None:
            self.choice.clear()
            self._fill_choice(self._paths)
        super().retranslate()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Side by side where there is room."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        wide = self.width() >= self.look.px(_WIDE)
        directions = QBoxLayout.Direction
        self._body.setDirection(directions.LeftToRight if wide else directions.TopToBottom)

    def _show(self) -> None:
        if self._paths is None:
            return
        followed = chosen(self._paths, self._picked)
        if followed is None:
            self._picked = None
            followed = chosen(self._paths, None)
        self.follow.setChecked(self._picked is None)
        if followed is None:
            self.model.set_rows([])
            self.view.set_journey(None, (), "")
            self.set_note("")
        else:
            route = ROUTES[followed.route]
            rows = stage_rows(route, followed, self._paths.position)
            self.model.set_rows(rows)
            self.view.set_journey(route, rows, self._vm_name(followed))
            now = next((row for row in rows if row.state == NOW), None)
            self._describe(followed, rows, now)
            with QSignalBlocker(self.choice):
                self.choice.setCurrentIndex(self.choice.findData(followed.number))
        self._show_empty()

    def _describe(self, followed: Followed, rows: tuple[StageRow, ...], now: StageRow | None) -> None:
        if now is None:
            self.set_note(self.say(N_("not begun yet")))
        else:
            number, count = now.number, len(rows)
            text = N_("{title} · stage {number} of {count}")
            self.set_note(self.say(text, title=Message(now.title), number=number, count=count))
        passed = (f"{row.number} {self.say(row.title)}" for row in rows if row.stop is not None)
        self.view.setAccessibleDescription(f"{self._title(followed)}: {', '.join(passed)}")

    def _fill_choice(self, paths: Paths) -> None:
        numbers = [item.number for item in paths.shown]
        if numbers == [self.choice.itemData(index) for index in range(self.choice.count())]:
            return
        with QSignalBlocker(self.choice):
            self.choice.clear()
            for item in paths.shown:
                self.choice.addItem(self._title(item), item.number)

    def _title(self, followed: Followed) -> str:
        size = self.say(N_("{count} bytes"), count=grouped(dict(followed.facts).get("bytes", 0)))
        parts = (self.say(ROUTES[followed.route].title), self._vm_name(followed), size)
        return f"{followed.number + 1}: {' · '.join(filter(None, parts))}"

    def _vm_name(self, followed: Followed) -> str:
        """Whose it is; empty where there is only one, or it is not known yet."""
        names = () if self._paths is None else self._paths.names
        return names[followed.vm] if len(names) > 1 and 0 <= followed.vm < len(names) else ""

    def _pick(self, index: int) -> None:
        self._picked = self.choice.itemData(index)
        self._show()

    def _walk(self, step: int) -> None:
        index = self.choice.currentIndex() + step
        if 0 <= index < self.choice.count():
            self._pick(index)

    def _toggle_following(self, following: bool) -> None:
        self._picked = None if following else self.choice.currentData()
        self._show()

    def _go(self, index: QModelIndex) -> None:
        self._go_to_stage(index.row())

    def _go_to_stage(self, row: int) -> None:
        if row >= len(self.model.rows):
            return
        stop = self.model.rows[row].stop
        self.view.select(row)
        if stop is not None:
            # The one that is shown stays, whatever else is in hand at that moment.
            self._picked = self.choice.currentData()
            self.follow.setChecked(False)
            self.seek_requested.emit(stop.position + 1)

    def _tint(self, row: StageRow) -> QColor | None:
        return self.look.color("current") if row.state == NOW else None

    def _columns(self) -> list[Column[StageRow]]:
        say = self.say
        return [
            Column("", lambda row: f"{SIGNS[row.state]} {row.number}"),
            Column(say(N_("stage")), lambda row: say(row.title)),
            Column(say(N_("step")), lambda row: _number(row.stop and row.stop.position), right=True),
            Column(say(N_("cycle")), lambda row: _number(row.stop and row.stop.cycle), right=True),
            Column(say(N_("+ cycles")), lambda row: _number(row.since), right=True),
            Column(
                say(N_("seen")),
                lambda row: "" if row.stop is None else facts_text(row.stop.facts, self.translator.render),
            ),
        ]

    def _show_empty(self) -> None:
        nothing = not self.model.rows
        self._all.setVisible(not nothing)
        self.empty.setVisible(nothing)


def _number(value: int | None) -> str:
    return "" if value is None else grouped(value)
