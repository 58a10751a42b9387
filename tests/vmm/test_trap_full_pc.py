"""A guest of trap-and-emulate finds a full PC: its devices, disk and network, answer as those of QEMU do."""

from __future__ import annotations

from functools import cache

import pytest

from tests.machine.test_devices_against_qemu import by_subject, golden
from tests.oracle import devices
from tests.oracle.sources import include
from vizapp.guest.assembler.assembler import assemble
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.features import Features
from vizapp.machine.identity import PENTIUM_4_VIRTUALIZABLE
from vizapp.machine.image import Image
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.vmm.base import Options, VmOptions
from vizapp.vmm.trap_and_emulate.monitor import TrapAndEmulateMonitor
from vizapp.vmm.trap_and_emulate.technique import TrapAndEmulate

MEMORY = 16 << 20
HERTZ = 62_500_000


@cache
def monitored(*programs: str) -> TrapAndEmulateMonitor:
    """The programs side by side, to their end."""
    features = Features(
        disks=(devices.disk(),), mac=bytes.fromhex(devices.MAC.replace(":", "")), large_pages=False
    )
    prices = {**dict.fromkeys(NAMES, 1), "io": 1000, "mon_lookup": 60_000}  # a second is soon over
    images = []
    for program in programs:
        code = assemble(include(f"{program}.asm"), f"{program}.asm", include=include)
        images.append(
            Image(program, "native", ((GuestPhysical(code.origin), code.data),), Linear(code.origin))
        )
    first, *others = (VmOptions(image, MEMORY, features=features) for image in images)
    options = Options(
        MEMORY,
        {"device": {"mon_lookup": 1}},
        virtualizable=True,
        features=first.features,
        others=tuple(others),
    )
    technique = TrapAndEmulate()
    pc = Pc(prices, technique.host_memory(options), HERTZ, PENTIUM_4_VIRTUALIZABLE)
    monitor = technique.start(pc, images[0], options)
    pc.run(max_steps=12_000_000)
    assert [vm.stopped and vm.stopped[0] for vm in monitor.vms] == ["halted"] * len(programs)
    return monitor


def answers(monitor: TrapAndEmulateMonitor, vm: int) -> dict[str, str]:
    return by_subject(monitor.vms[vm].devices.uart.output.decode("ascii"))


@pytest.mark.parametrize("program", [pytest.param("devices", marks=pytest.mark.oracle), "network"])
def test_each_device_answers_as_qemu_s(program: str) -> None:
    assert answers(monitored(program), 0) == golden(program)


def test_two_boards_know_nothing_of_each_other() -> None:
    monitor = monitored("network", "network")
    for vm, program in enumerate(("network", "network")):
        assert answers(monitor, vm) == golden(program)
