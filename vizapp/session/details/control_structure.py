"""The VMCS or VMCB of a virtual machine, field by field: what it holds, and who has changed it last.

What the last exit changed is told by what the structure held before and after it; what the monitor has
written, by what it held after the exit and holds now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import vectors
from vizapp.isa.addresses import PAGE_SIZE, HostPhysical
from vizapp.machine.svm import codes, vmcb
from vizapp.machine.svm import words as svm_words
from vizapp.machine.vmx import controls, errors, fields, reasons
from vizapp.machine.vmx import words as vmx_words
from vizapp.machine.vmx.region import LAUNCH_STATE, LAUNCHED, OFFSETS
from vizapp.messages import N_, Message
from vizapp.vmm.amd_v.controls import INTERCEPTS as SVM_INTERCEPTS
from vizapp.vmm.vt_x.controls import INTERCEPTS as VMX_INTERCEPTS
from vizapp.vmm.vt_x.controls import PAGE_FAULT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vizapp.session.details.registry import Subject

_NO_EVENT: Final = Message(N_("no event"))


class ControlField(NamedTuple):
    """One field.

    Attributes:
        group: which part of the structure, for people.
        name: by the manual.
        where: the encoding or the offset, in hexadecimal as the manual writes it.
        size: bytes.
        value: what the field holds now.
        gloss: what the field is for.
        text: the value in words, where there are any.
        by_exit: the last exit changed it; ``before_exit`` is what it held then.
        by_monitor: the monitor has written it since.
    """

    group: Message
    name: str
    where: str
    size: int
    value: int
    gloss: Message
    text: Message | None = None
    by_exit: bool = False
    by_monitor: bool = False
    before_exit: int = 0


class ControlStructure(NamedTuple):
    """A VMCS or VMCB in memory: which (``kind``), where, in what state, and its fields in order.

    ``intercepts`` are the exits that can be asked for otherwise, each with whether it is made now.
    """

    kind: str
    address: HostPhysical
    state: Message
    fields: tuple[ControlField, ...]
    intercepts: tuple[tuple[str, bool], ...] = ()


class _Slot(NamedTuple):
    """Where a field lies in the page, and what is known of it."""

    offset: int
    size: int
    name: str
    where: str
    group: str
    gloss: str


def control_structure(subject: Subject) -> ControlStructure | None:
    """The structure of the virtual machine that is asked about; None where the technique has none."""
    block = subject.monitor.control_block(subject.vm)
    unit = subject.pc.cpu.unit
    if block is None or unit is None:
        return None
    now = subject.pc.memory.dump(block.address, PAGE_SIZE)
    before, after = unit.exit_images.get(block.address, (now, now))
    intel = block.kind == "VMCS"
    slots = _vmcs_slots(subject.pc.cpu.identity.virtualization) if intel else _vmcb_slots()
    found = []
    for slot in slots:
        part = slice(slot.offset, slot.offset + slot.size)
        held, earlier = int.from_bytes(now[part], "little"), int.from_bytes(before[part], "little")
        exits = before[part] != after[part]
        found.append(
            ControlField(
                group=Message(slot.group),
                name=slot.name,
                where=slot.where,
                size=slot.size,
                value=held,
                gloss=Message(slot.gloss),
                text=_vmcs_text(slot, held) if intel else _vmcb_text(slot, held),
                by_exit=exits,
                by_monitor=after[part] != now[part],
                before_exit=earlier,
            )
        )
    held_by_name = {field.name: field.value for field in found}
    return ControlStructure(
        block.kind,
        block.address,
        _state(subject, intel, now),
        tuple(found),
        _vmcs_intercepts(held_by_name) if intel else _vmcb_intercepts(held_by_name),
    )


def _vmcs_intercepts(held: Mapping[str, int]) -> tuple[tuple[str, bool], ...]:
    primary, exceptions = held["primary_controls"], held["exception_bitmap"]
    found = [(name, bool(primary & bits)) for name, bits in VMX_INTERCEPTS.items()]
    return (*found, (PAGE_FAULT, bool(exceptions >> vectors.PF & 1)))


def _vmcb_intercepts(held: Mapping[str, int]) -> tuple[tuple[str, bool], ...]:
    def made(name: str) -> bool:
        intercept = codes.INTERCEPTS[name]
        return bool(held[intercept.field] >> intercept.bit & 1)

    return tuple((name, any(map(made, members))) for name, members in SVM_INTERCEPTS.items())


def _state(subject: Subject, intel: bool, now: bytes) -> Message:
    inside = subject.pc.cpu.guest_mode is not None and subject.monitor.current == subject.vm
    if inside:
        return Message(N_("its guest runs"))
    launched = int.from_bytes(now[LAUNCH_STATE : LAUNCH_STATE + 4], "little") == LAUNCHED
    if intel and not launched:
        return Message(N_("clear, never launched"))
    return Message(N_("its guest is saved in it"))


def _vmcs_slots(features: frozenset[str]) -> Iterator[_Slot]:
    """The fields that a processor with these features has."""
    for field in fields.FIELDS:
        if not fields.exists(field, features):
            continue
        group = fields.TYPES[field.type]
        yield _Slot(
            OFFSETS[field.encoding], field.width, field.name, f"{field.encoding:04X}", group, field.gloss
        )


def _vmcb_slots() -> Iterator[_Slot]:
    for field in vmcb.FIELDS:
        group = vmcb.GROUPS[field.group]
        yield _Slot(field.offset, field.width, field.name, f"{field.offset:03X}", group, field.gloss)


def _vmcs_text(slot: _Slot, value: int) -> Message | None:
    encoding = int(slot.where, 16)
    bits = controls.BITS.get(encoding)
    if bits is not None:
        return _set_bits([bit.name for bit in bits if value & bit.mask])
    if encoding == fields.EXIT_REASON:
        reason = reasons.BY_NUMBER.get(value & 0xFFFF)
        return None if reason is None else Message(reason.gloss)
    if encoding == fields.EXCEPTION_BITMAP:
        return _vectors(value)
    if encoding == fields.INSTRUCTION_ERROR and value in errors.ERRORS:
        return Message(errors.ERRORS[value])
    if encoding in (fields.ENTRY_INFO, fields.EXIT_INFO, fields.VECTORING_INFO):
        return vmx_words.event_in_words(value) or _NO_EVENT
    return None


def _vmcb_text(slot: _Slot, value: int) -> Message | None:
    if slot.name == "exitcode":
        signed = value if value < 1 << 63 else value - (1 << 64)
        return Message("{name}", {"name": codes.name_of(signed)})
    if slot.name in ("eventinj", "exitintinfo"):
        return svm_words.event_in_words(value) or _NO_EVENT
    if slot.name == "intercept_exceptions":
        return _vectors(value)
    held = [
        name
        for name, intercept in codes.INTERCEPTS.items()
        if intercept.field == slot.name and value >> intercept.bit & 1
    ]
    return _set_bits(held) if held else None


def _set_bits(names: list[str]) -> Message:
    return Message("{names}", {"names": ", ".join(names)}) if names else Message(N_("none"))


def _vectors(value: int) -> Message:
    return _set_bits([vectors.name(vector) for vector in range(32) if value >> vector & 1])
