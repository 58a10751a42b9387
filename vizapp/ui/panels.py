"""The registry of panels: one line each; the step view makes a dock of every one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.ui.cache_panel import CachePanel
from vizapp.ui.code_panel import CodePanel
from vizapp.ui.control_panel import ControlPanel
from vizapp.ui.events_panel import EventsPanel
from vizapp.ui.exits_panel import ExitsPanel
from vizapp.ui.faults_panel import FaultsPanel
from vizapp.ui.hypercalls_panel import HypercallsPanel
from vizapp.ui.lanes_panel import LanesPanel
from vizapp.ui.ledger_panel import LedgerPanel
from vizapp.ui.lesson_panel import LessonPanel
from vizapp.ui.machines_panel import MachinesPanel
from vizapp.ui.mappings_panel import MappingsPanel
from vizapp.ui.overhead_panel import OverheadPanel
from vizapp.ui.page_types_panel import PageTypesPanel
from vizapp.ui.path_panel import PathPanel
from vizapp.ui.port_panel import PortPanel
from vizapp.ui.registers_panel import RegistersPanel
from vizapp.ui.rings_panel import RingsPanel
from vizapp.ui.schedule_panel import SchedulePanel
from vizapp.ui.scorecard_panel import ScorecardPanel
from vizapp.ui.screen_panel import ScreenPanel
from vizapp.ui.serial_panel import SerialPanel
from vizapp.ui.stage_panel import StagePanel
from vizapp.ui.translation_panel import TranslationPanel
from vizapp.ui.transport_panel import TransportPanel
from vizapp.ui.truths_panel import TruthsPanel
from vizapp.ui.walk_panel import WalkPanel
from vizapp.ui.xen_panels import ChannelsPanel, DomainsPanel, GrantsPanel

if TYPE_CHECKING:
    from vizapp.ui.panel import Panel


class Entry(NamedTuple):
    """A panel and where it stands in the first layout: a dock named there, tabbed with another, or hidden.

    One that is for some techniques (``under``) is shown when a session of one of them begins.
    """

    panel: type[Panel]
    beside: str = ""
    shown: bool = True
    under: frozenset[str] = frozenset()


_PORTED = frozenset(("paravirtual",))
_TRANSLATING = frozenset(("binary-translation",))
_HARDWARE = frozenset(("vt-x", "amd-v"))


PANELS = (
    Entry(CodePanel),
    Entry(StagePanel),
    Entry(TruthsPanel),
    Entry(ScorecardPanel),
    Entry(TransportPanel),
    Entry(LanesPanel),
    Entry(OverheadPanel),
    Entry(RegistersPanel, beside="truths", shown=False),
    Entry(SerialPanel, beside="lanes", shown=False),
    Entry(ScreenPanel, beside="stage", shown=False),
    Entry(EventsPanel, beside="lanes", shown=False),
    Entry(LedgerPanel, beside="overhead", shown=False),
    Entry(ExitsPanel, beside="lanes", shown=False, under=_HARDWARE),
    Entry(ControlPanel, beside="truths", shown=False, under=_HARDWARE),
    Entry(TranslationPanel, beside="stage", shown=False, under=_TRANSLATING),
    Entry(CachePanel, beside="lanes", shown=False, under=_TRANSLATING),
    Entry(PortPanel, beside="stage", shown=False, under=_PORTED),
    Entry(HypercallsPanel, beside="lanes", shown=False, under=_PORTED),
    Entry(PathPanel, beside="stage", shown=False, under=_PORTED),
    Entry(RingsPanel, beside="stage", shown=False),
    Entry(DomainsPanel, beside="lanes", shown=False, under=_PORTED),
    Entry(ChannelsPanel, beside="truths", shown=False, under=_PORTED),
    Entry(GrantsPanel, beside="truths", shown=False),
    Entry(PageTypesPanel, beside="stage", shown=False, under=_PORTED),
    Entry(WalkPanel, beside="stage", shown=False),
    Entry(FaultsPanel, beside="lanes", shown=False),
    Entry(MappingsPanel, beside="stage", shown=False),
    Entry(MachinesPanel, beside="lanes", shown=False),
    Entry(SchedulePanel, beside="lanes", shown=False),
    Entry(LessonPanel, beside="code", shown=False),
)
