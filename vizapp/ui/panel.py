"""A panel: one view of the frames; it shows what it is given and says what a person wants, nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.widgets import ElidedLabel, label, named

if TYPE_CHECKING:
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QEnterEvent, QHideEvent, QResizeEvent, QShowEvent

    from vizapp.messages import Parameter, Translator
    from vizapp.session.frames import EventBatch, Frame, Progress
    from vizapp.session.protocol import Opened
    from vizapp.ui.look import Look


class RunState(NamedTuple):
    """What the player is doing; ``speed`` in steps a second, None is as fast as it goes."""

    running: bool = False
    speed: float | None = 4.0

    @property
    def flows(self) -> bool:
        """Whether events come faster than an eye follows, so that movements become flows."""
        return self.running and (self.speed is None or self.speed > 8)


class Panel(QWidget):
    """One view.

    A hidden panel keeps only the newest frame and draws it when it is shown again.

    Attributes:
        name: what the layout remembers the panel by.
        title: its heading, in English.
        details: what it shows beyond the frame; see ``session.details``.
        watched_address: the linear address that it wants them for; None: the next instruction's.

    Signals:
        note_changed: the muted words at the right of the heading.
        seek_requested: move the cursor to a position.
        breakpoint_toggled: an address.
        line_chosen: the linear address of a line of guest code.
        lesson_requested: a lesson's name.
        open_requested: another guest or technique (Selection).
        command_requested: any move of the cursor (a command of the session's protocol).
        feed_requested: something comes into the machine from outside (Feed).
        watch_changed: it can be seen now, or not any more, or wants another address.
        intercept_wished: an exit shall be made, or not (str, bool).
        catchpoints_changed: running shall stop at these events (frozenset of ``kind`` or ``kind:cause``).
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    details: ClassVar[frozenset[str]] = frozenset()

    note_changed = Signal(str)
    seek_requested = Signal(int)
    breakpoint_toggled = Signal(int)
    line_chosen = Signal(int)
    lesson_requested = Signal(str)
    open_requested = Signal(object)
    command_requested = Signal(object)
    feed_requested = Signal(object)
    watch_changed = Signal()
    catchpoints_changed = Signal(object)
    intercept_wished = Signal(str, bool)

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.translator = translator
        self.frame: Frame | None = None
        self.run_state = RunState()
        self._stale = False
        self.note = ""
        self.watched_address: int | None = None

    # What arrives.

    def take_opened(self, opened: Opened) -> None:
        """A session began: forget the former one."""
        self.frame = None
        self._stale = False
        self.clear()
        self.show_opened(opened)

    def take_frame(self, frame: Frame) -> None:
        """A new frame: drawn now if the panel can be seen, else when it is shown."""
        self.frame = frame
        self._stale = not self.isVisible()
        if not self._stale:
            self.show_frame(frame)

    def take_run_state(self, state: RunState) -> None:
        """Running began, ended or changed speed."""
        self.run_state = state
        self.show_run_state(state)

    def set_look(self, look: Look) -> None:
        """Theme, zoom or motion changed."""
        self.look = look
        self.restyle()

    def set_translator(self, translator: Translator) -> None:
        """The language changed."""
        self.translator = translator
        self.retranslate()

    # What a panel overrides.

    def clear(self) -> None:
        """Show nothing: no session yet, or a new one begins."""

    def show_opened(self, opened: Opened) -> None:
        """A session began."""

    def show_frame(self, frame: Frame) -> None:
        """The state at the cursor."""

    def show_events(self, batch: EventBatch) -> None:
        """Events were recorded."""

    def show_progress(self, progress: Progress) -> None:
        """One of the racing techniques came further."""

    def show_run_state(self, state: RunState) -> None:
        """Running began, ended or changed speed."""

    def restyle(self) -> None:
        """Take sizes, colours and fonts from ``self.look``."""
        self.update()

    def retranslate(self) -> None:
        """Set every text anew in the language of ``self.translator``."""
        if self.frame is not None:
            self.show_frame(self.frame)

    # Help for panels.

    def say(self, text: str, **parameters: Parameter) -> str:
        """A text in the language of now; it must be marked with ``N_`` where it is written."""
        return self.translator.render(Message(text, parameters))

    def set_note(self, note: str) -> None:
        """Set the muted words at the right of the heading."""
        if note != self.note:
            self.note = note
            self.note_changed.emit(note)

    def showEvent(self, event: QShowEvent) -> None:
        """Draw the frame that came while hidden."""
        super().showEvent(event)
        if self._stale and self.frame is not None:
            self._stale = False
            self.show_frame(self.frame)
        if self.details:
            self.watch_changed.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        """Want no details any more."""
        super().hideEvent(event)
        if self.details:
            self.watch_changed.emit()


class PanelTitle(QWidget):
    """The heading of a dock: name at the left, muted note at the right, buttons under the mouse."""

    def __init__(self, dock: PanelDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self.setObjectName("panelTitle")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.name = label("panelName")
        self.note = ElidedLabel("panelNote")
        self.note.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.note.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.float_button = self._button()
        self.float_button.clicked.connect(self._toggle_floating)
        self.close_button = self._button()
        self.close_button.clicked.connect(dock.close)
        self._row = QHBoxLayout(self)
        self._row.addWidget(self.name)
        self._row.addWidget(self.note, 1)
        self._buttons = named(QWidget(self), "panelButtons")
        self._buttons.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._button_row = QHBoxLayout(self._buttons)
        self._button_row.addWidget(self.float_button)
        self._button_row.addWidget(self.close_button)
        self._buttons.hide()

    def _button(self) -> QToolButton:
        button = QToolButton(self)
        button.setAutoRaise(True)
        return button

    def restyle(self, look: Look) -> None:
        """Sizes and icons at the zoom and theme of now."""
        self._row.setContentsMargins(look.px(13), look.px(7), look.px(13), look.px(3))
        self._row.setSpacing(look.px(8))
        self._button_row.setContentsMargins(look.px(6), 0, 0, 0)
        self._button_row.setSpacing(look.px(2))
        for button, icon in ((self.float_button, "float"), (self.close_button, "close")):
            button.setIcon(look.icon(icon, "text_disabled"))
            button.setIconSize(QSize(look.px(12), look.px(12)))

    def show_buttons(self, shown: bool) -> None:
        """The buttons lie over the note while the mouse is in the panel, so that nothing moves for them."""
        self._buttons.setVisible(shown)
        if shown:
            self._place_buttons()

    def _place_buttons(self) -> None:
        size = self._buttons.sizeHint()
        self._buttons.setGeometry(
            self.width() - size.width() - 6,
            (self.height() - size.height()) // 2 + 2,
            size.width(),
            size.height(),
        )
        self._buttons.raise_()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the buttons at the right edge."""
        super().resizeEvent(event)
        self._place_buttons()

    def _toggle_floating(self) -> None:
        self._dock.setFloating(not self._dock.isFloating())


class PanelDock(QDockWidget):
    """A panel inside a dock that moves, floats, closes and comes back."""

    def __init__(self, panel: Panel, *, bare: bool = False) -> None:
        super().__init__()
        self.panel = panel
        self.setObjectName(f"dock-{panel.name}")
        self._frame = named(QWidget(), "card" if bare else "panelBody")
        self._frame.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._body = QVBoxLayout(self._frame)
        self._body.addWidget(panel)
        self.setWidget(self._frame)
        self.title_bar: PanelTitle | None = None
        if bare:
            # Transport has no heading: it is always there, and its place is between the two rows of panels.
            self.setTitleBarWidget(QWidget(self))
            self.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        else:
            self.title_bar = PanelTitle(self)
            self.setTitleBarWidget(self.title_bar)
            self.title_bar.note.set_words(panel.note)
            panel.note_changed.connect(self.title_bar.note.set_words)
        self.restyle(panel.look)
        self.retranslate()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the buttons of the heading."""
        super().enterEvent(event)
        if self.title_bar:
            self.title_bar.show_buttons(True)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide them again."""
        super().leaveEvent(event)
        if self.title_bar:
            self.title_bar.show_buttons(False)

    def restyle(self, look: Look) -> None:
        """Margins at the zoom of now."""
        self._body.setContentsMargins(look.px(6), 0 if self.title_bar else look.px(4), look.px(6), look.px(6))
        if self.title_bar:
            self.title_bar.restyle(look)

    def retranslate(self) -> None:
        """The heading in the language of now."""
        title = self.panel.say(self.panel.title)
        self.setWindowTitle(title)
        self.panel.setAccessibleName(title)
        if self.title_bar:
            self.title_bar.name.setText(title)
            self.title_bar.float_button.setToolTip(
                self.panel.say(N_("Take this panel out of the window, or put it back"))
            )
            self.title_bar.close_button.setToolTip(
                self.panel.say(N_("Close this panel; the View menu brings it back"))
            )
            self.title_bar.float_button.setAccessibleName(self.panel.say(N_("Float {panel}"), panel=title))
            self.title_bar.close_button.setAccessibleName(self.panel.say(N_("Close {panel}"), panel=title))
