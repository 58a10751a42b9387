"""Decoded code: what the processor executes instead of decoding each instruction each time.

Two stages. ``frames`` hold decoded instructions by host-physical address, so one decoding serves every
address space. ``hot`` leads from EIP straight to the instruction, for one way of looking at memory (ring and
code segment); it is disposable, and dropped whenever a page that it rests on changes its translation:

    EIP ──hot──▶ Decoded                                     the common case
    EIP ──CS, TLB──▶ host-physical ──frames──▶ Decoded       fills hot
    EIP ──CS, TLB──▶ host-physical ──bytes──▶ decode         fills frames

Each address space has its own links, by the tag of its translations; those of one that the processor has left
are kept as long as its translations hold.

An instruction that crosses into another page is fetched anew each time, through the second page's
translation as it is then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.decode import MAX_LENGTH, DecodeError, decode
from vizapp.isa.descriptors import AR_DB
from vizapp.isa.registers import CS
from vizapp.machine.decoded import MARKED, SILENT, Decoded, prepare, prepared
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.doors import Door
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.mmu import Mmu
    from vizapp.machine.segments import SegmentState


_MOST_SPACES = 64
_AHEAD = 32  # instructions


class _Links:
    """Of one address space: ``hot`` for each way of looking at it, and the pages that they rest on."""

    __slots__ = ("contexts", "linked")

    def __init__(self) -> None:
        self.contexts: dict[tuple[int, int, int, int], dict[int, Decoded]] = {}
        self.linked: dict[int, int] = {}


class CodeCache:
    """The decoded code of one PC.

    Attributes:
        hot: of the present ring and code segment; ``select`` changes it.
        covered: of each frame with decoded code, which of its bytes belong to an instruction: 1, else 0.
        linked: the linear pages that ``hot`` rests on, with their frames.
        doors: host-physical addresses that are not executed as they are.
        marks: linear addresses of progress marks.
        translated: linear addresses of instructions that a monitor has made of a guest's, with the guest
            instruction that each ends, or None.
        on_unlink: called when ``hot`` was dropped, for every way of looking at memory: of the address space
            with a tag, or of all (None).
    """

    def __init__(self, memory: PhysicalMemory, mmu: Mmu) -> None:
        self.hot: dict[int, Decoded] = {}
        self.doors: Mapping[HostPhysical, Door] = {}
        self.marks: Mapping[Linear, str] = {}
        self.translated: Mapping[Linear, Linear | None] = {}
        self._memory = memory
        self._mmu = mmu
        self._spaces: dict[int, _Links] = {}
        self._switched(mmu.tlb.tag)
        self.on_unlink: list[Callable[[int | None], None]] = []
        self._frames: dict[int, dict[int, Decoded]] = {}
        self.covered: dict[int, bytearray] = {}
        self._crossing: dict[bytes, Decoded] = {}
        memory.on_code_write.append(self._written)
        mmu.on_unmapped.append(self._unmapped)
        mmu.on_switched.append(self._switched)

    def select(self, cpu: Cpu) -> None:
        """The ring or the code segment changed."""
        code = cpu.segments[CS]
        key = (cpu.cpl, code.base, code.limit, code.access & AR_DB)
        hot = self._contexts.get(key)
        if hot is None:
            hot = self._contexts[key] = {}
        self.hot = hot

    def locate(self, cpu: Cpu) -> HostPhysical:
        """Where the instruction at EIP lies; raises the Fault of fetching its first byte."""
        code = cpu.segments[CS]
        if cpu.eip > code.limit:
            raise Fault(vectors.GP, 0)
        linear = code.base + cpu.eip & M32
        page, cpl = linear >> PAGE_SHIFT, cpu.cpl
        frame = self.linked.get(page)
        if frame is None or page not in self._mmu.readable[cpl]:  # else code has run there, and this ring may
            frame = self._mmu.translate(linear, False, cpl == 3, cpl, fetch=True)
        return HostPhysical(frame << PAGE_SHIFT | linear & PAGE_MASK)

    def instruction_at(self, cpu: Cpu, host: HostPhysical) -> Decoded:
        """The instruction at EIP, which ``locate`` found at ``host``.

        Raises:
            Fault: fetching or decoding it faults.
            Unimplemented: a real instruction that the product does not execute.
        """
        code = cpu.segments[CS]
        frame, offset = host >> PAGE_SHIFT, host & PAGE_MASK
        bits = 32 if code.big else 16
        known = self._frames.get(frame)
        found = None if known is None else known.get(offset | bits << PAGE_SHIFT)
        linear = Linear(code.base + cpu.eip & M32)
        is_new = found is None
        if found is None:
            found = self._decode(cpu, host, bits)
            crosses = offset + len(found[3]) > PAGE_SIZE
            if crosses or frame >= self._memory.frames:
                return self._marked(linear, found)
            self._keep(frame, offset, bits, found)
        _, _, kind, raw, _ = found
        if cpu.eip + len(raw) - 1 > code.limit:
            raise Fault(vectors.GP, 0)
        found = self._marked(linear, found)
        self.hot[cpu.eip] = found
        self.linked[linear >> PAGE_SHIFT] = frame
        if is_new and not kind:
            self._decode_ahead(code, cpu.eip + len(raw), frame, offset + len(raw), bits)
        return found

    def peek(self, frame: int, offset: int, bits: int) -> Decoded | None:
        """The instruction at a place in memory, decoded ahead of its execution.

        None where that could not be done without a fault, or where it crosses into another page.
        """
        found = self._frames.get(frame, {}).get(offset | bits << PAGE_SHIFT)
        if found is None and frame < self._memory.frames:
            host = HostPhysical(frame << PAGE_SHIFT | offset)
            raw = self._memory.dump(host, min(MAX_LENGTH, PAGE_SIZE - offset))
            try:
                found = prepared(raw, bits)
            except DecodeError:
                return None
            self._keep(frame, offset, bits, found)
        return found

    def unlink(self) -> None:
        """Forget which EIP leads where; nothing but time is lost."""
        for links in self._spaces.values():
            _clear(links)
        for call in self.on_unlink:
            call(None)

    def revalidate(self) -> None:
        """Memory was restored: keep what is still there."""
        self.unlink()
        for frame in list(self._frames):
            page = self._memory.page(frame)
            known = self._frames[frame]
            for key in list(known):
                start = key & PAGE_MASK
                raw = known[key][3]
                if page[start : start + len(raw)] != raw:
                    del known[key]

    def marked(self, linear: Linear) -> Linear:
        """The guest instruction that the one at a linear address ends: itself where nothing is translated."""
        return self.translated.get(linear) or linear

    def _marked(self, linear: Linear, found: Decoded) -> Decoded:
        run, price, kind, raw, source = found
        if linear in self.translated:
            ended = self.translated[linear]
            if ended is None:
                return run, price, kind | SILENT, raw, source
            linear = ended
        return (run, price, kind | MARKED, raw, source) if linear in self.marks else found

    def _keep(self, frame: int, offset: int, bits: int, found: Decoded) -> None:
        known = self._frames.get(frame)
        if known is None:
            known = self._frames[frame] = {}
            self.covered[frame] = bytearray(PAGE_SIZE)
            self._mmu.protect_code(frame)
        known[offset | bits << PAGE_SHIFT] = found
        length = len(found[3])
        self.covered[frame][offset : offset + length] = b"\1" * length

    def _decode_ahead(self, code: SegmentState, eip: int, frame: int, offset: int, bits: int) -> None:
        """Decode what follows a new instruction in its page, up to one that may lead elsewhere.

        It is most likely executed next. Nothing comes of it but time: no page is touched that has not been.
        """
        known, page, hot, start = self._frames[frame], self._memory.page(frame), self.hot, offset
        plain = not (self.marks or self.translated)
        for _ in range(_AHEAD):
            key = offset | bits << PAGE_SHIFT
            if key in known or HostPhysical(frame << PAGE_SHIFT | offset) in self.doors:
                break
            try:
                found = prepared(bytes(page[offset : offset + MAX_LENGTH]), bits)
            except DecodeError:
                break
            _, _, kind, raw, _ = found
            if eip + len(raw) - 1 > code.limit:
                break
            known[key] = found
            hot[eip] = found if plain else self._marked(Linear(code.base + eip & M32), found)
            eip += len(raw)
            offset += len(raw)
            if kind:
                break
        self.covered[frame][start:offset] = b"\1" * (offset - start)

    def _decode(self, cpu: Cpu, host: HostPhysical, bits: int) -> Decoded:
        """Fetch and decode; the second page is touched only if the instruction needs it."""
        room = min(MAX_LENGTH, cpu.segments[CS].limit - cpu.eip + 1)
        count = min(room, PAGE_SIZE - (host & PAGE_MASK))
        raw = self._memory.dump(host, count)
        try:
            return prepared(raw, bits)
        except DecodeError as error:
            if error.escape is not None:
                return prepare(error.escape)
            if error.kind != "truncated":
                raise _refusal(error) from None
        if count < room:
            linear = cpu.segments[CS].base + cpu.eip + count & M32
            raw += self._mmu.fetch(linear, room - count, cpu.cpl == 3)
            try:
                instruction = _decoded(raw, cpu.eip, bits)
            except DecodeError as error:
                raise _refusal(error) from None
            key = bytes((bits,)) + instruction.raw
            found = self._crossing.get(key)
            if found is None:
                found = self._crossing[key] = prepare(instruction)
            return found
        raise Fault(vectors.GP, 0)

    def _written(self, frame: int, offset: int, count: int) -> None:
        """Bytes of a frame with decoded code were written: forget the instructions that they belong to."""
        covered = self.covered.get(frame)
        if covered is None or 1 not in covered[offset : offset + count]:
            return
        known = self._frames[frame]
        for start in range(max(0, offset - MAX_LENGTH + 1), offset + count):
            for bits in (16, 32):
                found = known.get(start | bits << PAGE_SHIFT)
                if found is not None and start + len(found[3]) > offset:
                    del known[start | bits << PAGE_SHIFT]
        covered[offset : offset + count] = bytes(count)
        self.unlink()

    def _unmapped(self, page: int | None, tag: int) -> None:
        links = self._spaces.get(tag)
        # Nothing leads anywhere that does not rest on a page.
        if links is not None and (links.linked if page is None else page in links.linked):
            _clear(links)
            for call in self.on_unlink:
                call(tag)

    def _switched(self, tag: int) -> None:
        """The processor is in another address space; ``select`` follows."""
        links = self._spaces.get(tag)
        if links is None:
            if len(self._spaces) >= _MOST_SPACES:
                self.unlink()
                self._spaces.clear()
            links = self._spaces[tag] = _Links()
        self._contexts, self.linked, self.hot = links.contexts, links.linked, {}


def _clear(links: _Links) -> None:
    for hot in links.contexts.values():
        hot.clear()
    links.linked.clear()


def _decoded(raw: bytes, eip: int, bits: int) -> Instruction:
    """As ``decode``, and an escape to the x87 is an instruction too: what comes of it is not known yet."""
    try:
        return decode(raw, Linear(eip), bits)
    except DecodeError as error:
        if error.escape is None:
            raise
        return error.escape


def _refusal(error: DecodeError) -> Fault | Unimplemented:
    """What the processor, or the product, makes of bytes that do not decode."""
    if error.kind == "unimplemented":
        return Unimplemented(Message(N_("{kind} instructions are not implemented"), {"kind": error.detail}))
    # More than 15 bytes, or cut off by the limit of CS, is #GP; the rest is no instruction.
    return Fault(vectors.UD) if error.kind == "unknown" else Fault(vectors.GP, 0)
