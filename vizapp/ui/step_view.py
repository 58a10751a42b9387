"""The step view: every panel as a dock that moves, floats, closes and comes back, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabWidget, QWidget

from vizapp.ui.code_panel import CodePanel
from vizapp.ui.lesson_panel import LessonPanel
from vizapp.ui.panel import Panel, PanelDock, RunState
from vizapp.ui.panels import PANELS
from vizapp.ui.stage_panel import StagePanel
from vizapp.ui.translation_panel import TranslationPanel

if TYPE_CHECKING:
    from PySide6.QtGui import QAction, QShowEvent

    from vizapp.messages import Translator
    from vizapp.session.frames import EventBatch, Frame
    from vizapp.session.protocol import Opened
    from vizapp.ui.look import Look

LAYOUT_VERSION = (
    3  # counts up when docks are renamed or added, so that an old layout is not forced on new ones
)
_TOP_WIDTHS = {"code": 404, "stage": 620, "truths": 368}
_BOTTOM_WIDTHS = {"lanes": 880, "overhead": 520}
_HEIGHTS = {"code": 470, "transport": 58, "lanes": 276}
_SCORECARD_HEIGHT = 158
_LESSON_WIDTH = 380
_WIDE = 1620  # a view this wide has room for lesson, code, stage and truths side by side

P = TypeVar("P", bound=Panel)


class StepView(QMainWindow):
    """Panels in docks; what arrives goes to all of them.

    Attributes:
        docks: by the panel's name.
    """

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowFlags(Qt.WindowType.Widget)
        self.setObjectName("stepView")
        self.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self._look = look
        self.docks: dict[str, PanelDock] = {}
        for entry in PANELS:
            panel = entry.panel(look, translator)
            self.docks[panel.name] = PanelDock(panel, bare=panel.name == "transport")
        self.panel(CodePanel).line_chosen.connect(self.panel(TranslationPanel).watch)
        self._presented: QByteArray | None = None
        self._first_layout = True
        self._lesson = self._narrow = False
        self._technique = ""
        self.reset_layout()
        self.restyle(look)

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Every panel, in the order of the registry."""
        return tuple(dock.panel for dock in self.docks.values())

    def panel(self, kind: type[P]) -> P:
        """The panel of a class."""
        return next(panel for panel in self.panels if isinstance(panel, kind))

    def view_actions(self) -> list[QAction]:
        """One checkable action a panel that can be closed, for the View menu."""
        closable = QDockWidget.DockWidgetFeature.DockWidgetClosable
        return [dock.toggleViewAction() for dock in self.docks.values() if dock.features() & closable]

    # Layout.

    def reset_layout(self, lesson: bool = False) -> None:
        """Everything back to its first place; a lesson stands left of it all, and where that makes the rest
        narrow, code and truths share a place."""
        docks = self.docks
        self._lesson = lesson
        self._narrow = lesson and self.width() < self._look.px(_WIDE)
        for dock in docks.values():
            dock.setFloating(False)
            self.removeDockWidget(dock)
        first = docks["lesson" if lesson else "code"]
        self.addDockWidget(Qt.DockWidgetArea.TopDockWidgetArea, first)
        if lesson:
            self.splitDockWidget(first, docks["code"], Qt.Orientation.Horizontal)
        self.splitDockWidget(docks["code"], docks["transport"], Qt.Orientation.Vertical)
        self.splitDockWidget(docks["transport"], docks["lanes"], Qt.Orientation.Vertical)
        self.splitDockWidget(docks["code"], docks["stage"], Qt.Orientation.Horizontal)
        self.splitDockWidget(docks["stage"], docks["truths"], Qt.Orientation.Horizontal)
        self.splitDockWidget(docks["truths"], docks["scorecard"], Qt.Orientation.Vertical)
        self.splitDockWidget(docks["lanes"], docks["overhead"], Qt.Orientation.Horizontal)
        if self._narrow:
            self.tabifyDockWidget(docks["truths"], docks["code"])
        for entry in PANELS:
            dock = docks[entry.panel.name]
            apart = lesson and dock is first
            if entry.beside and not apart:
                self.tabifyDockWidget(docks[entry.beside], dock)
            dock.setVisible(entry.shown or apart)
        for entry in PANELS:
            if entry.beside:
                docks[entry.beside].raise_()
        if self._narrow:
            docks["truths"].raise_()
        self._first_layout = True
        if self.isVisible():
            QTimer.singleShot(0, self, self._share_space)

    def showEvent(self, event: QShowEvent) -> None:
        """Only now are sizes known by which space can be shared."""
        super().showEvent(event)
        if self._first_layout:
            QTimer.singleShot(0, self, self._share_space)

    def _share_space(self) -> None:
        self._first_layout = False
        docks, px = self.docks, self._look.px
        horizontal, vertical = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        for widths in (_TOP_WIDTHS, _BOTTOM_WIDTHS):
            names = [name for name in widths if not (self._narrow and name == "code")]
            self.resizeDocks(
                [docks[name] for name in names], [px(widths[name]) for name in names], horizontal
            )
        self.resizeDocks(
            [docks[name] for name in _HEIGHTS], [px(height) for height in _HEIGHTS.values()], vertical
        )
        rest = _HEIGHTS["code"] - _SCORECARD_HEIGHT
        self.resizeDocks([docks["truths"], docks["scorecard"]], [px(rest), px(_SCORECARD_HEIGHT)], vertical)
        if self._lesson:
            # Widths of docks inside the others' place are settled first, or the two wishes would be mixed.
            QTimer.singleShot(0, self, self._share_with_lesson)

    def _share_with_lesson(self) -> None:
        if self._lesson:
            width = self._look.px(_LESSON_WIDTH)
            self.resizeDocks([self.docks["lesson"]], [width], Qt.Orientation.Horizontal)

    def save_layout(self) -> QByteArray:
        """The layout as bytes; of presenter mode, the one it will return to; none before space was shared."""
        if self._first_layout:
            return QByteArray()
        return self._presented or self.saveState(LAYOUT_VERSION)

    def restore_layout(self, state: QByteArray) -> bool:
        """Take a saved layout; one of another version is refused and the first layout stays.

        Presenter mode takes it as the one that it will return to.
        """
        if self.presenting:
            self._presented = state
            self.docks["lesson"].hide()
            return True
        restored = self.restoreState(state, LAYOUT_VERSION)
        self._first_layout = not restored
        return restored

    def show_panel(self, name: str) -> None:
        """Bring a panel to sight."""
        self.docks[name].show()
        self.docks[name].raise_()

    @property
    def presenting(self) -> bool:
        """Whether only stage and sentence are shown."""
        return self._presented is not None

    def set_presenting(self, presenting: bool) -> None:
        """Only the stage and its sentence (and the lesson), in large type; or everything as it was."""
        if presenting == self.presenting:
            return
        if presenting:
            self._presented = self.saveState(LAYOUT_VERSION)
            for name, dock in self.docks.items():
                dock.setVisible(name == "stage" or (name == "lesson" and self.panel(LessonPanel).playing))
            self.docks["stage"].setFloating(False)
        else:
            state, self._presented = self._presented, None
            if state is None or not self.restoreState(state, LAYOUT_VERSION):
                self.reset_layout()
        self.panel(StagePanel).set_presenting(presenting)

    # What arrives goes to every panel.

    def show_opened(self, opened: Opened) -> None:
        """A session began."""
        if opened.technique != self._technique:
            self._technique = opened.technique
            for entry in PANELS:
                if entry.under:
                    self.docks[entry.panel.name].setVisible(opened.technique in entry.under)
                    self.docks[entry.beside].raise_()
        if opened.stage.several_vms:
            self.docks["schedule"].show()
            self.show_panel("machines")
        for panel in self.panels:
            panel.take_opened(opened)

    def show_frame(self, frame: Frame) -> None:
        """The state at the cursor."""
        for panel in self.panels:
            panel.take_frame(frame)

    def show_events(self, batch: EventBatch) -> None:
        """Events were recorded."""
        for panel in self.panels:
            panel.show_events(batch)

    def show_run_state(self, state: RunState) -> None:
        """Running began, ended or changed speed."""
        for panel in self.panels:
            panel.take_run_state(state)

    def clear(self) -> None:
        """No session."""
        for panel in self.panels:
            panel.frame = None
            panel.clear()

    def restyle(self, look: Look) -> None:
        """Theme, zoom or motion changed."""
        self._look = look
        for dock in self.docks.values():
            dock.panel.set_look(look)
            dock.restyle(look)

    def retranslate(self, translator: Translator) -> None:
        """The language changed."""
        for dock in self.docks.values():
            dock.panel.set_translator(translator)
            dock.retranslate()
