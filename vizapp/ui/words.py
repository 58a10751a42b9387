"""Words for what the layers below name in code: events, purposes, worlds, components, techniques."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine import events
from vizapp.messages import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_TITLES = {
    events.EXCEPTION_DELIVERED: N_("fault"),
    events.INTERRUPT_DELIVERED: N_("interrupt"),
    events.SOFTWARE_INTERRUPT_DELIVERED: N_("software interrupt"),
    events.RETURNED: N_("return"),
    events.GATE_CALLED: N_("call through a gate"),
    events.ADDRESS_SPACE_SWITCHED: N_("address space switch"),
    events.MARK_PASSED: N_("progress mark"),
    events.MACHINE_STOPPED: N_("machine stopped"),
    events.FRAME_SENT: N_("frame sent"),
    events.FRAME_RECEIVED: N_("frame received"),
    events.BLOCKS_ASKED: N_("blocks asked for"),
    events.FRAME_SWITCHED: N_("frame switched"),
    events.INSTRUCTION_EMULATED: N_("emulated"),
    events.FAULT_REFLECTED: N_("fault handed to the guest"),
    events.SYSTEM_CALL_REFLECTED: N_("system call handed to the guest"),
    events.INTERRUPT_INJECTED: N_("virtual interrupt"),
    events.PAGE_SHADOWED: N_("page shadowed"),
    events.SHADOW_SWITCHED: N_("shadow switched"),
    events.SHADOW_FLUSHED: N_("shadow flushed"),
    events.VIRTUAL_CPU_HALTED: N_("virtual CPU halted"),
    events.VM_STOPPED: N_("guest stopped"),
    events.UNIT_TRANSLATED: N_("unit translated"),
    events.CHAIN_PATCHED: N_("chain patched"),
    events.INSTRUCTION_RETRANSLATED: N_("instruction retranslated"),
    events.UNITS_DROPPED: N_("units dropped"),
    events.CACHE_FLUSHED: N_("cache flushed"),
    events.PAGE_SWAPPED_OUT: N_("page taken from a guest"),
    events.PAGE_SWAPPED_IN: N_("page given back"),
    events.ENGINE_SELECTED: N_("direct or translated"),
    events.HYPERCALL_MADE: N_("hypercall"),
    events.REQUEST_REFUSED: N_("request refused"),
    events.EVENT_SENT: N_("event sent"),
    events.UPCALL_DELIVERED: N_("upcall"),
    events.DOMAIN_CREATED: N_("domain created"),
    events.DOMAIN_DESTROYED: N_("domain destroyed"),
    events.MEMORY_MOVED: N_("memory moved"),
    events.GRANT_MAPPED: N_("grant mapped"),
    events.GRANT_UNMAPPED: N_("grant unmapped"),
    events.GRANT_COPIED: N_("copied by grant"),
    events.IO_REQUESTED: N_("device model asked"),
    events.IO_ANSWERED: N_("device model answered"),
    events.VM_ENTERED: N_("VM entry"),
    events.VM_EXITED: N_("VM exit"),
    events.VM_ENTRY_FAILED: N_("VM entry refused"),
    events.NESTED_PAGE_MAPPED: N_("nested page mapped"),
    events.VM_SCHEDULED: N_("another virtual machine"),
    events.WORLD_SWITCHED: N_("world switch"),
    events.DIVERGED: N_("diverged"),
}

PURPOSE_TITLES = {
    "guest": N_("guest work"),
    "transition": N_("transitions"),
    "monitor": N_("monitor"),
    "translation": N_("translation"),
    "memory": N_("memory virtualization"),
    "io": N_("devices"),
    "idle": N_("idle"),
}

TECHNIQUE_TITLES = {
    "native": N_("Native"),
    "trap-and-emulate": N_("Trap & emulate"),
    "binary-translation": N_("Binary translation"),
    "paravirtual": N_("Paravirtual (Xen)"),
    "vt-x": N_("VT-x"),
    "amd-v": N_("AMD-V"),
}

_RACER_TITLES = {
    ("paravirtual", "hvm"): N_("HVM domain (Xen)"),
    ("binary-translation", "hosted"): N_("Binary translation, hosted"),
}


def racer_titles(surroundings: Mapping[str, str]) -> dict[str, str]:
    """What techniques are called in a race; ``surroundings`` says by technique who has the devices."""
    own = {name: _RACER_TITLES.get((name, io)) for name, io in surroundings.items()}
    return TECHNIQUE_TITLES | {name: title for name, title in own.items() if title is not None}


WORLD_TITLES = {
    "bare": N_("bare machine"),
    "host": N_("host world"),
    "vmm": N_("VMM world"),
    "vmx-root": N_("VMX root"),
    "vmx-non-root": N_("VMX non-root"),
    "svm-host": N_("SVM host"),
    "svm-guest": N_("SVM guest"),
}

COMPONENT_TITLES = {
    "application": N_("application"),
    "guest-kernel": N_("guest kernel"),
    "translation-cache": N_("translation cache"),
    "vmm": N_("monitor"),
    "vmkernel": N_("VMkernel"),
    "hypervisor": N_("hypervisor"),
    "device": N_("device"),
    "host-kernel": N_("host kernel"),
    "host-process": N_("host process"),
    "vmdriver": N_("VMDriver"),
    "vmapp": N_("VMApp"),
}

MARK_TITLES = {
    "innocuous": N_("innocuous: runs the same at every ring"),
    "sensitive": N_("sensitive but unprivileged: behaves differently outside ring 0, and does not trap"),
    "privileged": N_("privileged: faults outside ring 0 (or below IOPL), so a monitor can catch it"),
    "monitor": N_("written by the monitor"),
}

VM_STATES = {
    "running": N_("▶ runs"),
    "ready": N_("ready"),
    "waiting": N_("waits"),
    "paused": N_("paused"),
    "stopped": N_("■ stopped"),
}

STOP_TITLES = {
    "halted": N_("halted"),
    "shutdown": N_("shut down"),
    "until": N_("reached"),
    "limit": N_("limit reached"),
    "crashed": N_("crashed"),
    "diverged": N_("diverged"),
    "exit-port": N_("ended by the exit port"),
}
