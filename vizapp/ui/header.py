"""The header: which technique, which guest, on what processor; and the menu."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from vizapp.cost.choice import PAGINGS
from vizapp.messages import N_, Message
from vizapp.ui.selection import in_hardware, surroundings
from vizapp.ui.short_box import ShortBox
from vizapp.ui.widgets import label, named, toggle
from vizapp.ui.words import TECHNIQUE_TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtGui import QResizeEvent

    from vizapp.messages import Translator
    from vizapp.ui.choices import Choices
    from vizapp.ui.look import Look
    from vizapp.ui.selection import Selection

_SURROUNDINGS = {
    "bare-metal": N_("bare metal"),
    "hosted": N_("hosted"),
    "split": N_("domain 0"),
    "hvm": N_("HVM domain"),
}
_GAPS = (6, 3)  # between widgets: as there is room


class Header(QWidget):
    """A row of choices; two rows where one is too narrow.

    Signals:
        technique_chosen, guest_chosen: a name.
        virtualizable_chosen: whether the processor has the option.
        processor_chosen, paging_chosen, io_chosen: a name.
        compare_toggled: the compare view is wanted, or the step view.
    """

    technique_chosen = Signal(str)
    guest_chosen = Signal(str)
    virtualizable_chosen = Signal(bool)
    processor_chosen = Signal(str)
    paging_chosen = Signal(str)
    io_chosen = Signal(str)
    compare_toggled = Signal(bool)

    def __init__(
        self, look: Look, translator: Translator, choices: Choices, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("header")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._look = look
        self._translator = translator
        self._choices = choices
        self._obstacles: Mapping[str, Message] = {}
        self.product = label("productName", "vizapp")
        self.tagline = label("muted")
        self._group = QButtonGroup(self)
        self.techniques: dict[str, QPushButton] = {}
        for name in TECHNIQUE_TITLES:
            button = toggle()
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setEnabled(name in choices.techniques)
            button.clicked.connect(lambda _checked=False, name=name: self.technique_chosen.emit(name))
            self._group.addButton(button)
            self.techniques[name] = button
        self.guests = QComboBox()
        for name, _description in choices.guests:
            self.guests.addItem(name, name)
        self.guests.activated.connect(lambda index: self.guest_chosen.emit(self.guests.itemData(index)))
        self.virtualizable = QCheckBox()
        self.virtualizable.clicked.connect(self.virtualizable_chosen)
        self.paging = QComboBox()
        for name in PAGINGS:
            self.paging.addItem("", name)
        self.paging.activated.connect(lambda index: self.paging_chosen.emit(self.paging.itemData(index)))
        self.io = QComboBox()
        self.io.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.io.activated.connect(lambda index: self.io_chosen.emit(self.io.itemData(index)))
        self.processor = ShortBox(short_name)
        for name, title in choices.processors:
            self.processor.addItem(title, name)
        self.processor.activated.connect(
            lambda index: self.processor_chosen.emit(self.processor.itemData(index))
        )
        self.compare = toggle()
        self.compare.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.compare.toggled.connect(self.compare_toggled)
        self.lessons = named(QToolButton(), "control")
        self.lessons.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button = named(QToolButton(), "control")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._left, self._right = QWidget(), QWidget()
        self._left_row, self._right_row = QHBoxLayout(self._left), QHBoxLayout(self._right)
        for widget in (self.product, self.tagline, *self.techniques.values()):
            self._left_row.addWidget(widget)
        self._left_row.addStretch(1)
        buttons = (self.compare, self.lessons, self.menu_button)
        for widget in (self.virtualizable, self.paging, self.io, self.processor, self.guests, *buttons):
            self._right_row.addWidget(widget)
        self._rows = QVBoxLayout(self)
        self._first = QHBoxLayout()
        self._first.addWidget(self._left, 1)
        self._first.addWidget(self._right)
        self._rows.addLayout(self._first)
        self._two_rows = False
        # The window may be narrower than one row of everything.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.restyle(look)

    def set_menu(self, menu: QMenu) -> None:
        """The menu behind the button."""
        self.menu_button.setMenu(menu)

    def show_selection(self, selection: Selection, *, own: bool = False, ported: bool = True) -> None:
        """What is looked at now; a file that says under what its guests run makes its ``own`` choices.

        ``ported``: the guest was, to Xen's calls.
        """
        if selection.technique in self.techniques:
            self.techniques[selection.technique].setChecked(True)
        index = self.guests.findData(selection.guest)
        if index < 0:
            self.guests.addItem(guest_name(selection.guest), selection.guest)
            index = self.guests.count() - 1
            self.guests.setItemData(index, selection.guest, Qt.ItemDataRole.ToolTipRole)
        self.guests.setCurrentIndex(index)
        self.virtualizable.setVisible(selection.technique == "trap-and-emulate")
        self.virtualizable.setChecked(selection.virtualizable)
        self.paging.setVisible(in_hardware(selection) and not own)
        self.paging.setCurrentIndex(self.paging.findData(selection.paging))
        names = surroundings(selection.technique, ported=ported)
        if names != tuple(self.io.itemData(index) for index in range(self.io.count())):
            self.io.clear()
            for name in names:
                self.io.addItem(self._translator.text(_SURROUNDINGS[name]), name)
        self.io.setVisible(names != ("bare-metal",) and not own)
        self.io.setCurrentIndex(self.io.findData(selection.io))
        self.processor.setCurrentIndex(self.processor.findData(selection.processor))
        self._arrange()

    def show_obstacles(self, obstacles: Mapping[str, Message]) -> None:
        """Which techniques cannot run the guest, and why."""
        self._obstacles = obstacles
        for name, button in self.techniques.items():
            button.setEnabled(name in self._choices.techniques and name not in obstacles)
            self._explain(name, button)

    def restyle(self, look: Look) -> None:
        """Sizes and icons."""
        self._look = look
        self._rows.setContentsMargins(look.px(16), look.px(8), look.px(12), look.px(8))
        self._rows.setSpacing(look.px(6))
        for row in (self._left_row, self._right_row):
            row.setContentsMargins(0, 0, 0, 0)
        self.menu_button.setIcon(look.icon("menu"))
        self.menu_button.setIconSize(QSize(look.px(15), look.px(15)))
        self.retranslate(self._translator)

    def retranslate(self, translator: Translator) -> None:
        """All words."""
        self._translator = translator
        say = translator.text
        self.tagline.setText(say(N_("x86 virtualization, one instruction at a time")))
        for name, button in self.techniques.items():
            title = say(TECHNIQUE_TITLES[name])
            button.setText(title.replace("&", "&&"))
            self._make_room(button)
            self._explain(name, button)
        for index, (_name, description) in enumerate(self._choices.guests):
            self.guests.setItemData(index, translator.render(description), Qt.ItemDataRole.ToolTipRole)
        self.guests.setAccessibleName(say(N_("Guest")))
        self.guests.setToolTip(say(N_("The guest: real machine code that runs in the simulated PC")))
        self.virtualizable.setText(say(N_("virtualizable")))
        self.virtualizable.setToolTip(
            say(
                N_(
                    "A processor whose sensitive instructions all trap outside ring 0, as Popek and "
                    "Goldberg require. Without it: stock x86, where POPF loses IF silently and SGDT "
                    "leaks."
                )
            )
        )
        for index, title in enumerate((N_("shadow paging"), N_("nested paging"))):
            self.paging.setItemText(index, say(title))
        self.paging.setAccessibleName(say(N_("Paging")))
        self.paging.setToolTip(
            say(
                N_(
                    "Shadow: the monitor keeps tables of its own in step with the guest's. Nested: the "
                    "processor walks the guest's tables and the monitor's below them (EPT, NPT)."
                )
            )
        )
        for index in range(self.io.count()):
            self.io.setItemText(index, say(_SURROUNDINGS[self.io.itemData(index)]))
        self.io.setAccessibleName(say(N_("Devices")))
        self.io.setToolTip(
            say(
                N_(
                    "Who has the machine's devices. Bare metal: the monitor, or as the guest was ported. "
                    "Hosted: an operating system, beside which the monitor runs, as with VMware Workstation. "
                    "Domain 0: its drivers, behind front and back ends. HVM domain: the guest is not ported, "
                    "VT-x or AMD-V runs it, and a process of domain 0 models its devices."
                )
            )
        )
        self.processor.setAccessibleName(say(N_("Processor")))
        self.processor.setToolTip(say(N_("The processor: what it can do, and whose costs are charged")))
        self.compare.setText(say(N_("Compare")))
        self._make_room(self.compare)
        self.compare.setToolTip(say(N_("The same guest under all techniques, side by side")))
        self.lessons.setText(say(N_("Lessons")))
        self.lessons.setToolTip(say(N_("Read, say what will happen, run it, and see")))
        self.menu_button.setToolTip(say(N_("Menu: view, theme, language, zoom")))
        self.menu_button.setAccessibleName(say(N_("Menu")))
        self._arrange()

    def _explain(self, name: str, button: QPushButton) -> None:
        """What a technique's button does, or why it does nothing."""
        title = self._translator.text(TECHNIQUE_TITLES[name])
        if name not in self._choices.techniques:
            message = Message(N_("{technique} is not built yet"), {"technique": title})
        elif name in self._obstacles:
            message = self._obstacles[name]
        else:
            message = Message(N_("Run the guest under: {technique}"), {"technique": title})
        tip = self._translator.render(message)
        button.setToolTip(tip)
        button.setAccessibleDescription(tip)

    def _make_room(self, button: QPushButton) -> None:
        """A checked button is bold: room for that keeps its neighbours from moving."""
        never = any(
            button is other for name, other in self.techniques.items() if name not in self._choices.techniques
        )
        metrics = QFontMetrics(self._look.font("body" if never else "title"))
        button.setMinimumWidth(
            metrics.horizontalAdvance(button.text().replace("&&", "&")) + self._look.px(28)
        )

    def minimumSizeHint(self) -> QSize:
        """As wide as its widest row must be."""
        left, right = self._left.minimumSizeHint(), self._right.minimumSizeHint()
        return QSize(max(left.width(), right.width()) + self._look.px(28), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """One row or two."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """The tagline stands where there is room; the processor's name gets shorter, and the gaps smaller,
        before a second row comes."""
        room = self.width() - self._look.px(28)
        self.tagline.hide()
        wide, tight = _GAPS
        for short, gap in ((False, wide), (True, wide), (True, tight)):
            need = self._width(short=short, gap=gap)
            if need <= room:
                break
        self.tagline.setVisible(room >= need + self.tagline.sizeHint().width() + self._look.px(30))
        two_rows = need > room > self._look.px(200)
        if two_rows:
            self._width(short=False, gap=wide)
        if two_rows != self._two_rows:
            self._two_rows = two_rows
            if two_rows:
                self._first.removeWidget(self._right)
                self._rows.addWidget(self._right, 0, Qt.AlignmentFlag.AlignRight)
            else:
                self._rows.removeWidget(self._right)
                self._first.addWidget(self._right)

    def _width(self, *, short: bool, gap: int) -> int:
        """How wide one row is with such a name and such gaps, which it has from now on."""
        self.processor.set_short(short)
        for row in (self._left_row, self._right_row, self._first):
            row.setSpacing(self._look.px(gap))
        return self._left.sizeHint().width() + self._right.sizeHint().width() + self._look.px(gap)


def short_name(processor: str) -> str:
    """A processor's name without its maker and its clock: ``Pentium 4 672``."""
    name = processor.partition(",")[0]
    maker, _, rest = name.partition(" ")
    return rest if maker in ("AMD", "Intel") else name


def guest_name(guest: str) -> str:
    """What a guest is called: its name, or that of its file."""
    return Path(guest).name
