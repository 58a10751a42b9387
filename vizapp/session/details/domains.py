"""Xen's domains at the cursor: credits, memory, event channels and grants of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.credit import BOOST, OVER, UNDER
from vizapp.vmm.xen.grants import ENTRY_BYTES, PER_FRAME
from vizapp.vmm.xen.monitor import XenMonitor

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject
    from vizapp.vmm.xen.domain import Channel, Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

PRIORITIES = {BOOST: "boost", UNDER: "under", OVER: "over"}


class ChannelRow(NamedTuple):
    """An event channel: ``port`` of a domain, what it is bound to, and its two bits.

    ``kind`` is ``virq``, ``pirq``, ``ipi``, ``unbound`` or ``interdomain``; ``peer`` the virtual IRQ's name,
    the line's number, or the domain at the other end, whose port is ``peer_port`` (-1 where there is none).
    """

    domain: int
    port: int
    kind: str
    peer: str
    peer_port: int
    pending: bool
    masked: bool


class GrantRow(NamedTuple):
    """A grant in use or on offer: entry ``reference`` of ``domain``'s table, ``to`` whom, which frame.

    ``access`` is ``read``, ``write`` or ``transfer``; ``mappings`` counts uses, ``writes`` the writable ones.
    """

    domain: int
    reference: int
    to: int
    frame: int
    access: str
    mappings: int
    writes: int


class DomainRow(NamedTuple):
    """A domain; memory in pages, ``credit`` in cycles that it may still run before its equals."""

    number: int
    id: int
    name: str
    state: str
    privileged: bool
    weight: int
    credit: int
    priority: str
    pages: int
    max_pages: int
    masked: bool
    pending: bool


class Domains(NamedTuple):
    """All domains that there are or have been, their channels, and the grants of those that live."""

    domains: tuple[DomainRow, ...]
    channels: tuple[ChannelRow, ...]
    grants: tuple[GrantRow, ...]


def domains(subject: Subject) -> Domains | None:
    """What the hypervisor keeps of its domains; None under a technique without them."""
    monitor = subject.monitor
    if not isinstance(monitor, XenMonitor):
        return None
    xen = monitor.xen
    living = [domain for domain in xen.domains if not domain.dying]
    return Domains(
        tuple(_domain(xen, domain) for domain in xen.domains),
        tuple(_channel(xen, domain, port) for domain in living for port in sorted(domain.channels)),
        tuple(row for domain in living for row in _grants(xen, domain)),
    )


def _domain(xen: Hypervisor, domain: Domain) -> DomainRow:
    account = xen.scheduler.account_of(domain.index)
    shared = None if domain.dying else xen.shared_of(domain)
    return DomainRow(
        number=domain.index,
        id=domain.id,
        name=domain.name,
        state=domain.state,
        privileged=domain.privileged,
        weight=account.weight,
        credit=account.credit,
        priority=PRIORITIES[account.priority],
        pages=domain.pages,
        max_pages=domain.max_pages,
        masked=shared is not None and shared.masked,
        pending=shared is not None and shared.pending,
    )


def _channel(xen: Hypervisor, domain: Domain, port: int) -> ChannelRow:
    channel, shared = domain.channels[port], xen.shared_of(domain)
    peer, peer_port = _peer(channel)
    return ChannelRow(
        domain.index,
        port,
        channel.kind,
        peer,
        peer_port,
        shared.bit(abi.SHARED_PENDING, port),
        shared.bit(abi.SHARED_MASK, port),
    )


def _peer(channel: Channel) -> tuple[str, int]:
    match channel.kind:
        case "virq":
            return abi.VIRQ_NAMES.get(channel.detail, str(channel.detail)), -1
        case "interdomain":
            return str(channel.detail), channel.port
        case "ipi":
            return "", -1
    return str(channel.detail), -1


def _grants(xen: Hypervisor, domain: Domain) -> list[GrantRow]:
    """What a domain's grant table offers, read out of its memory as the hypervisor would."""
    rows = []
    for page, frame in enumerate(domain.grants):
        table = xen.memory.dump(HostPhysical(frame << PAGE_SHIFT), PER_FRAME * ENTRY_BYTES)
        for index in range(PER_FRAME):
            entry = table[index * ENTRY_BYTES : (index + 1) * ENTRY_BYTES]
            flags = int.from_bytes(entry[:2], "little")
            if not flags & abi.GTF_TYPE_MASK:
                continue
            reference = page * PER_FRAME + index
            use = domain.granted.get(reference)
            transfer = flags & abi.GTF_TYPE_MASK == abi.GTF_ACCEPT_TRANSFER
            access = "transfer" if transfer else "read" if flags & abi.GTF_READONLY else "write"
            rows.append(
                GrantRow(
                    domain.index,
                    reference,
                    int.from_bytes(entry[2:4], "little"),
                    int.from_bytes(entry[4:], "little"),
                    access,
                    0 if use is None else use.mappings,
                    0 if use is None else use.writes,
                )
            )
    return rows
