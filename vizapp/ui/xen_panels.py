"""Xen's books as tables: domains with their credits and memory, event channels, grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_
from vizapp.session.details import DOMAINS
from vizapp.ui.numbers import grouped
from vizapp.ui.table_model import Column
from vizapp.ui.table_panel import TablePanel
from vizapp.ui.words import VM_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.session.details.domains import ChannelRow, DomainRow, Domains, GrantRow

_NO_DOMAINS = N_("Only Xen has domains: choose Paravirtual.")
_PRIORITIES = {
    "boost": N_("▲ boost"),
    "under": N_("● under"),
    "over": N_("▽ over"),
}
_KINDS = {
    "virq": N_("virtual IRQ {peer}"),
    "pirq": N_("physical IRQ {peer}"),
    "ipi": N_("itself"),
    "unbound": N_("nobody yet: domain {peer} may bind"),
    "interdomain": N_("domain {peer}, port {port}"),
}
_ACCESS = {"read": N_("read"), "write": N_("read and write"), "transfer": N_("takes a frame")}


class DomainsPanel(TablePanel["DomainRow"]):
    """A row a domain: who may run, and how much memory each has and may have."""

    name = "domains"
    title = N_("Domains")
    details = frozenset((DOMAINS,))
    detail = DOMAINS
    nothing = _NO_DOMAINS
    widths = (52, 116, 100, 68, 104, 92, 72, 92, 120)

    def columns(self) -> list[Column[DomainRow]]:
        """Books of the scheduler and of the allocator."""
        say = self.say
        return [
            Column(say(N_("id")), lambda row: str(row.id), lambda row: row.id, right=True),
            Column(say(N_("name")), lambda row: row.name + (" ★" if row.privileged else "")),
            Column(say(N_("state")), lambda row: say(VM_STATES.get(row.state, row.state))),
            Column(say(N_("weight")), lambda row: str(row.weight), lambda row: row.weight, right=True),
            Column(say(N_("credits")), lambda row: grouped(row.credit), lambda row: row.credit, right=True),
            Column(say(N_("priority")), lambda row: say(_PRIORITIES.get(row.priority, row.priority))),
            Column(say(N_("pages")), lambda row: grouped(row.pages), lambda row: row.pages, right=True),
            Column(
                say(N_("at most")), lambda row: grouped(row.max_pages), lambda row: row.max_pages, right=True
            ),
            Column(say(N_("events")), self._events),
        ]

    def rows_of(self, found: Domains) -> Sequence[DomainRow]:
        """All domains."""
        return found.domains

    def _events(self, row: DomainRow) -> str:
        flag = self.say(N_("⚑ waiting")) if row.pending else ""
        held = self.say(N_("held back")) if row.masked else ""
        return ", ".join(word for word in (flag, held) if word)


class ChannelsPanel(TablePanel["ChannelRow"]):
    """A row an event channel: the flag goes up when an event is sent, and down when it is taken."""

    name = "event-channels"
    title = N_("Event channels")
    details = frozenset((DOMAINS,))
    detail = DOMAINS
    nothing = _NO_DOMAINS
    widths = (76, 56, 250, 96, 96)

    def columns(self) -> list[Column[ChannelRow]]:
        """Whose, which port, bound to what, and the two bits of shared_info."""
        say = self.say
        return [
            Column(
                say(N_("domain")), lambda row: str(row.domain), lambda row: (row.domain, row.port), right=True
            ),
            Column(say(N_("port")), lambda row: str(row.port), lambda row: row.port, right=True),
            Column(say(N_("bound to")), self._bound),
            Column(say(N_("pending")), lambda row: "⚑" if row.pending else "–", lambda row: row.pending),
            Column(say(N_("masked")), lambda row: "✕" if row.masked else "–", lambda row: row.masked),
        ]

    def rows_of(self, found: Domains) -> Sequence[ChannelRow]:
        """All channels of all domains."""
        return found.channels

    def describe(self, found: Domains) -> str:
        """How many flags are up."""
        up = sum(row.pending for row in found.channels)
        return self.say(N_("{count} channels, {pending} pending"), count=len(found.channels), pending=up)

    def _bound(self, row: ChannelRow) -> str:
        return self.say(_KINDS.get(row.kind, row.kind), peer=row.peer, port=row.peer_port)


class GrantsPanel(TablePanel["GrantRow"]):
    """A row a grant: which frame a domain lets another use, and whether it does."""

    name = "grants"
    title = N_("Grant tables")
    details = frozenset((DOMAINS,))
    detail = DOMAINS
    nothing = N_(
        "No domain grants another a page. Front ends do, so that back ends reach their rings and data."
    )
    widths = (76, 84, 60, 110, 120, 76, 76)

    def columns(self) -> list[Column[GrantRow]]:
        """Whose, which entry, to whom, what, and how it is used."""
        say = self.say
        return [
            Column(
                say(N_("domain")),
                lambda row: str(row.domain),
                lambda row: (row.domain, row.reference),
                right=True,
            ),
            Column(
                say(N_("reference")), lambda row: str(row.reference), lambda row: row.reference, right=True
            ),
            Column(say(N_("to")), lambda row: str(row.to), lambda row: row.to, right=True),
            Column(
                say(N_("machine frame")), lambda row: f"{row.frame << PAGE_SHIFT:08X}", lambda row: row.frame
            ),
            Column(say(N_("access")), lambda row: say(_ACCESS.get(row.access, row.access))),
            Column(say(N_("mapped")), lambda row: str(row.mappings), lambda row: row.mappings, right=True),
            Column(say(N_("to write")), lambda row: str(row.writes), lambda row: row.writes, right=True),
        ]

    def rows_of(self, found: Domains) -> Sequence[GrantRow]:
        """All grants of all domains."""
        return found.grants

    def describe(self, found: Domains) -> str:
        """How many are in use."""
        used = sum(bool(row.mappings) for row in found.grants)
        return self.say(N_("{count} grants, {used} mapped"), count=len(found.grants), used=used)
