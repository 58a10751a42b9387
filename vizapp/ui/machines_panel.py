"""Virtual machines: who runs, who waits, how far each has come, and whose the memory is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QItemSelectionModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from vizapp.messages import N_
from vizapp.session.details import MEMORY_MAP
from vizapp.session.protocol import SelectVm
from vizapp.ui.memory_strip import MemoryStrip
from vizapp.ui.numbers import grouped, percent
from vizapp.ui.panel import Panel
from vizapp.ui.rows_view import RowsView
from vizapp.ui.table_model import Column, RowsModel
from vizapp.ui.widgets import label
from vizapp.ui.words import STOP_TITLES, VM_STATES

if TYPE_CHECKING:
    from vizapp.messages import Translator
    from vizapp.session.details.memory_map import MemoryMap
    from vizapp.session.frames import Frame, VmState
    from vizapp.ui.look import Look

_WIDTHS = (130, 110, 110, 96, 110, 76, 60)


class MachinesPanel(Panel):
    """A row a virtual machine; the one that is selected is the one that the other panels show."""

    name = "machines"
    title = N_("Virtual machines")
    details = frozenset((MEMORY_MAP,))

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self._cycles = 1
        self._map: MemoryMap | None = None
        self.model: RowsModel[VmState] = RowsModel(self._columns())
        self.table = RowsView(self.model, _WIDTHS)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.clicked.connect(lambda index: self._choose(index.row()))
        self.table.activated.connect(lambda index: self._choose(index.row()))
        self.follow = QPushButton()
        self.follow.clicked.connect(lambda: self.command_requested.emit(SelectVm(None)))
        self.memory = label("muted")
        self.strip = MemoryStrip(look, translator.render)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        line = QHBoxLayout()
        line.addWidget(self.memory, 1)
        line.addWidget(self.follow)
        column.addWidget(self.table, 1)
        column.addLayout(line)
        column.addWidget(self.strip)
        self.restyle()
        self.retranslate()

    def clear(self) -> None:
        """None."""
        self.model.set_rows([])
        self.strip.set_map(None, {})
        self.set_note("")

    def show_frame(self, frame: Frame) -> None:
        """The machines at the cursor."""
        self._cycles = max(1, frame.cycle)
        self._map = frame.details.get(MEMORY_MAP)
        self.model.set_rows(frame.vms)
        if frame.vms:
            self.table.selectionModel().setCurrentIndex(
                self.model.index(frame.vm, 0),
                QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows,
            )
        names = {f"vm{vm.number}": vm.name or vm.guest for vm in frame.vms}
        names |= {"vmm": self.say(N_("monitor")), "vmkernel": self.say(N_("VMkernel"))}
        names |= {"readable": self.say(N_("monitor, readable"))}
        self.strip.set_map(self._map, names)
        running = next((vm for vm in frame.vms if vm.state == "running"), None)
        self.set_note(
            "" if running is None else self.say(N_("{name} runs"), name=names[f"vm{running.number}"])
        )

    def restyle(self) -> None:
        """Row heights and first widths."""
        self.table.restyle(self.look)
        self.strip.set_look(self.look, self.translator.render)

    def retranslate(self) -> None:
        """Headings and words."""
        self.model.set_columns(self._columns())
        self.table.setAccessibleName(self.say(self.title))
        self.follow.setText(self.say(N_("Follow the processor")))
        self.follow.setToolTip(self.say(N_("Show in every panel whichever machine has the processor")))
        self.memory.setText(self.say(N_("Whose the machine's memory is")))
        self.strip.setAccessibleName(self.say(N_("Whose the machine's memory is")))
        self.strip.set_look(self.look, self.translator.render)
        super().retranslate()

    def _choose(self, row: int) -> None:
        vm = self.model.rows[row]
        if self.frame is not None and vm.number != self.frame.vm:
            self.command_requested.emit(SelectVm(vm.number))

    def _columns(self) -> list[Column[VmState]]:
        say, language = self.say, self.translator.language
        return [
            Column(say(N_("name")), lambda vm: vm.name or vm.guest),
            Column(say(N_("guest")), lambda vm: vm.guest),
            Column(say(N_("state")), self._state),
            Column(say(N_("instructions")), lambda vm: grouped(vm.instructions), right=True),
            Column(say(N_("cycles")), lambda vm: grouped(vm.cycles), right=True),
            Column(say(N_("share")), lambda vm: percent(vm.cycles / self._cycles, language), right=True),
            Column(say(N_("weight")), lambda vm: str(vm.weight), right=True),
        ]

    def _state(self, vm: VmState) -> str:
        state = self.say(VM_STATES.get(vm.state, vm.state))
        if vm.stopped is None:
            return state
        reason = self.say(STOP_TITLES.get(vm.stopped.reason, vm.stopped.reason))
        return f"{state}: {reason}"
