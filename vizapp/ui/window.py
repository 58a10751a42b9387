"""The main window: header, step view, compare view; connects the player with what shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QSettings, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from vizapp.messages import N_, Message
from vizapp.ui.actions import Actions
from vizapp.ui.banner import Banner
from vizapp.ui.compare_view import CompareView
from vizapp.ui.guest_desk import GuestDesk
from vizapp.ui.guest_facts import NOTHING_KNOWN, GuestFacts
from vizapp.ui.header import Header, guest_name
from vizapp.ui.lesson_desk import LessonDesk
from vizapp.ui.look import SCALE_STEPS, Appearance, Look
from vizapp.ui.main_menu import MainMenu
from vizapp.ui.overhead_panel import OverheadPanel
from vizapp.ui.player import Player
from vizapp.ui.selection import Selection, fitting, raced
from vizapp.ui.shortcuts_dialog import ShortcutsDialog
from vizapp.ui.stage_panel import StagePanel
from vizapp.ui.step_view import StepView
from vizapp.ui.theme import SYSTEM
from vizapp.ui.transport_panel import TransportPanel, notch_of, speed_of
from vizapp.ui.watching import Watching
from vizapp.ui.widgets import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QCloseEvent

    from vizapp.messages import Translator
    from vizapp.ui.choices import Choices


class Window(QMainWindow):
    """Everything that a person sees.

    Signals:
        lesson_requested: a lesson's name.
    """

    lesson_requested = Signal(str)

    def __init__(
        self,
        player: Player,
        appearance: Appearance,
        make_translator: Callable[[str], Translator],
        choices: Choices,
        settings: QSettings,
        facts: Callable[[str], GuestFacts] = lambda _guest: NOTHING_KNOWN,
    ) -> None:
        super().__init__()
        self._player = player
        self._appearance = appearance
        self._make_translator = make_translator
        self._settings = settings
        self._facts = facts
        self._language = str(settings.value("language", "en"))
        self._theme = str(settings.value("theme", SYSTEM))
        translator = make_translator(self._language)
        self._translator = translator
        look = appearance.look
        self.header = Header(look, translator, choices)
        self._processors = choices.processors
        self.banner = Banner(look, translator)
        self.steps = StepView(look, translator)
        self.comparison = CompareView(look, translator)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.steps)
        self.pages.addWidget(self.comparison)
        self._page = named(QWidget(), "page")
        self._page.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._column = QVBoxLayout(self._page)
        self._column.addWidget(self.banner)
        self._column.addWidget(self.pages, 1)
        self.setMenuWidget(self.header)
        self.setCentralWidget(self._page)
        self._page.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._page.setFocus()
        self.actions_ = Actions(self)
        self.actions_.wished.connect(self.obey)
        self.lessons = LessonDesk(self, player, self.steps, self.actions_, settings)
        self.header.lessons.setMenu(self.lessons.menu)
        self.guests = GuestDesk(self, player, facts, settings, translator)
        self._watching = Watching(self.steps.panels, self)
        self._menu = MainMenu(self.actions_, self.guests.menu, self.lessons.menu, self)
        self._menu.theme_chosen.connect(self.set_theme)
        self._menu.language_chosen.connect(self.set_language)
        self._menu.processor_chosen.connect(lambda name: self._choose(processor=name))
        self.header.set_menu(self._menu)
        self._connect()
        appearance.dress(self)
        self._restyle(look)
        self.set_language(self._language)
        self._follow_system()
        self._restore()
        self.show_selection(player.selection)

    # Wiring: down go frames, up come wishes.

    def _connect(self) -> None:
        player, steps, header = self._player, self.steps, self.header
        player.selected.connect(self.show_selection)
        player.opened.connect(steps.show_opened)
        player.frame_changed.connect(steps.show_frame)
        player.events_changed.connect(steps.show_events)
        player.run_changed.connect(steps.show_run_state)
        player.failed.connect(self._show_failure)
        player.died.connect(self._show_death)
        overhead = steps.panel(OverheadPanel)
        for show in (overhead, self.comparison):
            player.race_started.connect(show.start_race)
            player.race_progress.connect(show.show_progress)
            player.race_failed.connect(show.show_failure)
            show.race_wished.connect(player.race)
        player.race_opened.connect(self.comparison.show_opened)
        player.race_frame.connect(self.comparison.show_frame)
        player.race_events.connect(self.comparison.show_events)
        for panel in steps.panels:
            panel.seek_requested.connect(player.seek)
            panel.breakpoint_toggled.connect(player.toggle_breakpoint)
            panel.lesson_requested.connect(self.lesson_requested)
            panel.open_requested.connect(player.open)
            panel.command_requested.connect(player.move)
            panel.feed_requested.connect(player.feed)
            panel.intercept_wished.connect(self._intercept)
        self._watching.changed.connect(player.tell)
        player.opened.connect(self._watching.ask_again)
        self.lesson_requested.connect(self.lessons.follow)
        self.lessons.opened.connect(lambda: header.compare.setChecked(False))
        self.lessons.problem.connect(lambda message: self.banner.say(message, restart=False))
        self.guests.problem.connect(self.banner.say_error)
        self.guests.opened.connect(self.show_devices)
        transport = steps.panel(TransportPanel)
        transport.wished.connect(self.obey)
        transport.speed_wished.connect(player.set_speed)
        header.technique_chosen.connect(lambda name: self._choose(technique=name))
        header.guest_chosen.connect(lambda name: self._choose(guest=name))
        header.virtualizable_chosen.connect(lambda on: self._choose(virtualizable=on))
        header.processor_chosen.connect(lambda name: self._choose(processor=name))
        header.paging_chosen.connect(lambda name: self._choose(paging=name))
        header.io_chosen.connect(lambda name: self._choose(io=name))
        header.compare_toggled.connect(self._show_compare)
        self.banner.restart_wished.connect(player.restart)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)

    def obey(self, wish: str) -> None:
        """Do what a button, a key or a menu entry stands for."""
        player = self._player
        match wish:
            case "run":
                player.toggle_run()
            case "toggle_run":
                self._run_or_press()
            case "slower" | "faster":
                notch = notch_of(player.run_state.speed) + (5 if wish == "faster" else -5)
                player.set_speed(speed_of(min(100, max(0, notch))))
            case "zoom_in" | "zoom_out" | "zoom_reset":
                self._zoom(wish)
            case "present":
                self.present(not self.steps.presenting)
            case "leave":
                self.present(False)
            case "compare":
                self.header.compare.toggle()
            case "open":
                self.guests.ask()
            case "picture":
                self._ask_picture()
            case "reset_layout":
                self.steps.reset_layout()
                self.lessons.arrange_anew()
            case "lessons":
                self.lessons.show()
            case "reduced_motion":
                self.set_motion(not self._appearance.look.motion)
            case "shortcuts":
                ShortcutsDialog(self._appearance.look, self._translator, self).open()
            case "quit":
                self.close()
            case _:
                getattr(player, wish)()

    def _run_or_press(self) -> None:
        """Space runs; where a button was reached by Tab, it presses that button, as keyboard users expect."""
        focused = QApplication.focusWidget()
        if isinstance(focused, QAbstractButton) and focused.isEnabled():
            focused.click()
        elif isinstance(focused, QComboBox):
            focused.showPopup()
        else:
            self._player.toggle_run()

    def _choose(self, **chosen: str | bool) -> None:
        selection = self._player.selection._replace(intercepts=(), **chosen)  # type: ignore[arg-type]
        ported = self._facts(selection.guest).ported
        self._player.switch(fitting(selection, ported=ported))

    def _intercept(self, name: str, made: bool) -> None:
        """Run the same guest again with an exit more or less."""
        selection = self._player.selection
        intercepts = dict(selection.intercepts) | {name: made}
        self._player.switch(selection._replace(intercepts=tuple(intercepts.items())))

    def show_selection(self, selection: Selection) -> None:
        """Another guest, technique or processor; its session is about to begin."""
        self.banner.clear()
        facts = self._facts(selection.guest)
        self.header.show_selection(selection, own=facts.own is not None, ported=facts.ported)
        for show in (self.steps.panel(OverheadPanel), self.comparison):
            show.name_racers(raced(selection, ported=facts.ported))
        self._menu.show_processor(selection.processor)
        self.header.show_obstacles(facts.obstacles)
        self.steps.clear()
        self.setWindowTitle(f"{guest_name(selection.guest)} – {self.header.processor.currentText()} – vizapp")

    def show_devices(self, facts: GuestFacts) -> None:
        """A guest that brings a whole PC speaks through its devices; it boots too long to watch steps."""
        if facts.needs_pc:
            self._player.set_speed(None)
            self.steps.show_panel("serial")
            self.steps.show_panel("screen")

    def _show_failure(self, message: Message) -> None:
        if not self.lessons.failing:
            self.banner.say(message, restart=False)

    def _show_death(self, message: Message) -> None:
        if not self.lessons.failing:
            self.banner.say(message, restart=True)
        self.steps.panel(StagePanel).show_lost()

    def _show_compare(self, shown: bool) -> None:
        self.pages.setCurrentWidget(self.comparison if shown else self.steps)

    # Appearance.

    def set_theme(self, name: str) -> None:
        """A theme by name, or ``system`` to follow the desktop."""
        self._theme = name
        self._settings.setValue("theme", name)
        self._follow_system()

    def _follow_system(self, *_: object) -> None:
        name = self._theme
        if name == SYSTEM:
            dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
            name = "dark" if dark else "light"
        if name != self._appearance.look.theme.name:
            self._restyle(self._appearance.change(theme=name))

    def set_motion(self, motion: bool) -> None:
        """Whether things may move."""
        self._settings.setValue("motion", motion)
        self._restyle(self._appearance.change(motion=motion))
        self._build_menu()

    def _zoom(self, wish: str) -> None:
        steps = list(SCALE_STEPS)
        nearest = min(range(len(steps)), key=lambda index: abs(steps[index] - self._appearance.look.scale))
        index = {"zoom_in": nearest + 1, "zoom_out": nearest - 1, "zoom_reset": steps.index(1.0)}[wish]
        self.set_scale(steps[min(len(steps) - 1, max(0, index))])

    def set_scale(self, scale: float) -> None:
        """The zoom of everything, 1.0 is 100 %."""
        self._settings.setValue("scale", scale)
        self._restyle(self._appearance.change(scale=scale))

    def present(self, presenting: bool) -> None:
        """Only stage and sentence in large type, or everything again."""
        if presenting:
            self.header.compare.setChecked(False)
        scale = float(self._settings.value("scale", 1.0))  # type: ignore[arg-type]
        # Large type and every panel at once would make the window grow: large last, and small again first.
        if presenting:
            self.header.setVisible(False)
            self.steps.set_presenting(True)
            self._restyle(self._appearance.change(scale=scale * 1.4))
        else:
            self._restyle(self._appearance.change(scale=scale))
            self.header.setVisible(True)
            self.steps.set_presenting(False)

    def _restyle(self, look: Look) -> None:
        self.header.restyle(look)
        self.banner.restyle(look)
        self.steps.restyle(look)
        self.comparison.restyle(look)
        self.lessons.restyle(look)
        margin = look.px(10)
        self._column.setContentsMargins(margin, margin, margin, margin)
        self._column.setSpacing(margin)

    # Language.

    def set_language(self, language: str) -> None:
        """Say everything in another language, at once."""
        self._language = language
        self._settings.setValue("language", language)
        self._translator = self._make_translator(language)
        self.header.retranslate(self._translator)
        self.banner.retranslate(self._translator)
        self.steps.retranslate(self._translator)
        self.comparison.retranslate(self._translator)
        self.actions_.retranslate(self._translator)
        self.lessons.retranslate(self._translator)
        self.guests.retranslate(self._translator)
        self._build_menu()

    def _build_menu(self) -> None:
        self._menu.build(
            self._translator,
            theme=self._theme,
            motion=self._appearance.look.motion,
            language=self._language,
            processors=self._processors,
            shown=self.steps.view_actions(),
        )
        self._menu.show_processor(self._player.selection.processor)

    # Pictures.

    def _ask_picture(self) -> None:
        dialog = QFileDialog(
            self, self._translator.text(N_("Save a picture")), "vizapp.png", "PNG (*.png);;SVG (*.svg)"
        )
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.fileSelected.connect(self.save_picture)
        dialog.open()

    def save_picture(self, file: str) -> None:
        """Render the window's content to a PNG or SVG file."""
        from vizapp.ui.picture_files import save_widget

        save_widget(self, file)

    # What is remembered.

    def _restore(self) -> None:
        settings = self._settings
        scale = float(settings.value("scale", 1.0))  # type: ignore[arg-type]
        motion = settings.value("motion", self._appearance.look.motion, type=bool)
        if scale != self._appearance.look.scale or motion != self._appearance.look.motion:
            self._restyle(self._appearance.change(scale=scale, motion=bool(motion)))
            self._build_menu()
        geometry, layout = settings.value("geometry"), settings.value("layout")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        else:
            self.resize(1440, 900)
        if isinstance(layout, QByteArray):
            self.steps.restore_layout(layout)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the layout and end the sessions."""
        self.present(False)
        self.lessons.close()
        self._settings.setValue("geometry", self.saveGeometry())
        self._settings.setValue("layout", self.steps.save_layout())
        self._player.close()
        super().closeEvent(event)
