"""Binary translation as a technique: the classical monitor's machine, with a translation cache a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import AR_DPL_SHIFT, CODE_READ, DATA_READ_WRITE, Descriptor, segment
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_W
from vizapp.messages import N_, Message
from vizapp.vmm import ring0
from vizapp.vmm.base import cache_owner, segment_owner
from vizapp.vmm.binary_translation.cache import TranslationCache
from vizapp.vmm.binary_translation.layout import (
    CACHE,
    CODE_INDEX,
    DEFAULT_CACHE_BYTES,
    DOOR_VECTOR,
    LEAST_CACHE_BYTES,
    SEGMENT,
    SEGMENT_BYTES,
    SEGMENT_INDEX,
    SEGMENT_PAGES,
)
from vizapp.vmm.binary_translation.monitor import TranslatingMonitor
from vizapp.vmm.binary_translation.monitor_segment import MonitorSegment
from vizapp.vmm.binary_translation.task_priority import TaskPriority
from vizapp.vmm.binary_translation.traced_memory import TracedMemory
from vizapp.vmm.binary_translation.virtual8086 import Passage
from vizapp.vmm.binary_translation.virtual_cpu import TranslatedCpu
from vizapp.vmm.binary_translation.virtual_state import VirtualState
from vizapp.vmm.binary_translation.vm import TranslatedVm, places_of
from vizapp.vmm.binary_translation.windows import Windows
from vizapp.vmm.trap_and_emulate.monitor import OWNER
from vizapp.vmm.trap_and_emulate.technique import (
    FIRST_FRAME,
    MONITOR_PAGES,
    Kinds,
    machine_memory,
    make_host,
    make_vm,
)
from vizapp.vmm.trap_and_emulate.vm import MONITOR, Host
from vizapp.vmm.virtual_machines import VirtualMachines
from vizapp.vmm.vmkernel.kernel import pages_for

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Options, VmOptions

ROOTS: Final = 8  # address spaces of a guest whose shadows are kept
KINDS: Final = Kinds(TracedMemory, TranslatedCpu, TranslatedVm, places_of, real_mode=True, roots=ROOTS)
_READ_ONLY: Final = PTE_P | PTE_A
_WRITABLE: Final = _READ_ONLY | PTE_W | PTE_D


class BinaryTranslation:
    """VMware's technique on bare metal; each guest has a cache of ``cache_bytes``, 1024 at least."""

    name = "binary-translation"
    title = Message(N_("Binary translation"))
    build = "native"
    claims_equivalence = True
    kinds: Kinds = KINDS

    def __init__(self, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._bytes = max(cache_bytes, LEAST_CACHE_BYTES)
        self._pages = -(-self._bytes // PAGE_SIZE)

    def host_memory(self, options: Options) -> int:
        """The guests' memory, a megabyte and the cache for the monitor's work on each, and the first one."""
        return machine_memory(options, self._own_pages(options))

    def _own_pages(self, options: Options) -> int:
        each = MONITOR_PAGES + self._pages
        return FIRST_FRAME + (1 + len(options.others)) * each + pages_for(options)

    def start(self, pc: Pc, image: Image, options: Options) -> TranslatingMonitor:
        """Set the monitor up in ring 0 and the guests to start."""
        host = make_host(pc, options, self._own_pages(options))
        host.start_kernel(MONITOR, "resume")
        vms = tuple(self._make(host, index, one) for index, one in enumerate(options.machines(image)))
        for vm in vms:
            vm.eager = not options.lazy
        host.machines = VirtualMachines(pc, vms, MONITOR, options.slice_cycles, options.actions)
        host.serve_machines()
        monitor = TranslatingMonitor(host)
        first = vms[0]
        ring0.enter_protected(pc, first.tables, first.shadow.directory)
        host.timer.initialize()
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        pc.guest_state = monitor.translated_state
        pc.guest_address = monitor.guest_address
        pc.guest_next = monitor.guest_next
        pc.give_input = host.machines.take_input
        for vm in vms:
            vm.mmu.flush_requested = False
            ring0.open_doors(pc, vm.tables, guest="arrive", nested="nested", idle="wait")
        host.machines.start()
        host.start_paging()
        pc.code.translated = first.cache.ends
        if len(vms) > 1 or options.actions:
            host.timer.arm(host.machines.deadline())
        pc.phase = "resume"
        return monitor

    def _make(self, host: Host, index: int, options: VmOptions) -> TranslatedVm:
        vm = make_vm(host, index, options, self.kinds)
        assert isinstance(vm, TranslatedVm)
        tables, memory = vm.tables, host.pc.memory
        frame = host.frames.allocate(segment_owner(index), SEGMENT_PAGES)
        for page in range(SEGMENT_PAGES):
            tables.map(Linear(tables.base + SEGMENT + page * PAGE_SIZE), frame + page, _WRITABLE)
        cache_frame = host.frames.allocate(cache_owner(index), self._pages)
        for page in range(self._pages):
            tables.map(Linear(tables.base + CACHE + page * PAGE_SIZE), cache_frame + page, _READ_ONLY)
        at = HostPhysical(frame << PAGE_SHIFT)
        base = Linear(tables.base + CACHE)
        vm.virtual.segment = MonitorSegment(memory, at, vm.bill.charge)
        vm.windows = Windows(host.pc, tables, at, vm.bill)
        full = vm.devices.peripherals
        vm.priority = TaskPriority(vm.virtual.segment, vm.mmu, None if full is None else full.apic)
        vm.state_read = VirtualState(memory, vm.virtual.segment, vm.devices, vm.bill)
        vm.virtual.cache = TranslationCache(memory, cache_frame, self._bytes, base, at)
        end = base + self._pages * PAGE_SIZE - 1
        tables.set_descriptor(CODE_INDEX, _ring_1(segment(0, end, CODE_READ)))
        tables.set_descriptor(
            SEGMENT_INDEX, _ring_1(segment(tables.base + SEGMENT, SEGMENT_BYTES - 1, DATA_READ_WRITE))
        )
        tables.set_gate(DOOR_VECTOR, dpl=1)
        vm.passage = Passage(host.pc, host.frames, tables, OWNER, "arrive")
        return vm


def _ring_1(descriptor: Descriptor) -> Descriptor:
    return descriptor._replace(access=descriptor.access | 1 << AR_DPL_SHIFT)
