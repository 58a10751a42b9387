"""A scenario: everything that decides a run. The same scenario gives the same events, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vizapp.machine.image import Image
from vizapp.vmm.scheduler import DEFAULT_WEIGHT


@dataclass(frozen=True, slots=True)
class VmScenario:
    """A further virtual machine on the same PC, under the same monitor; as the like of ``Scenario``."""

    image: Image
    memory: int = 16 << 20
    name: str = ""
    weight: int = DEFAULT_WEIGHT
    serial_input: bytes = b""
    disks: tuple[bytes, ...] = ()
    yardstick: Image | None = None


@dataclass(frozen=True, slots=True)
class VmAction:
    """What is done to virtual machine ``vm``, ``seconds`` after the start; see ``vmm.base.Action``.

    ``value`` is the memory that a balloon is to leave it, in KB.
    """

    seconds: float
    kind: str
    vm: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Guests on one PC under one technique; plain data, so that it can cross to a session process.

    ``memory`` is the first guest's, in bytes, and so are ``image``, ``serial_input``, ``disks``, ``name`` and
    ``weight`` the first virtual machine's; ``others`` are the rest. ``slice_seconds`` is how long one of
    several has the processor, ``actions`` what is done to them meanwhile. ``intercepts`` are exits that VT-x
    or AMD-V shall make, or not, against what their monitor would have. ``overrides`` re-price single inputs,
    in cycles. ``serial_input`` is what COM1 will receive, available from the start. ``yardstick`` is the
    native build of a ported guest, whose result is compared with this one's. ``disks`` are contents of IDE
    disks, behind those of the image. ``io`` says who has the machine's devices: under ``hosted`` an operating
    system ``host``, beside which the monitor runs with the optimizations that ``hosted`` turns on or off.
    ``lazy`` lets a translating monitor's shadow page tables follow the guest's only when the guest flushes.
    ``host_memory`` are the bytes of the PC itself, if the guests are to have no more than that between them.
    """

    image: Image
    technique: str = "native"
    processor: str = "pentium-4-672"
    paging: str = "shadow"
    virtualizable: bool = False
    memory: int = 16 << 20
    overrides: dict[str, int] = field(default_factory=dict)
    serial_input: bytes = b""
    exit_port: int | None = None
    log_ports: tuple[int, ...] = ()
    preset: str = ""
    yardstick: Image | None = None
    disks: tuple[bytes, ...] = ()
    name: str = ""
    weight: int = DEFAULT_WEIGHT
    others: tuple[VmScenario, ...] = ()
    slice_seconds: float | None = None
    intercepts: dict[str, bool] = field(default_factory=dict)
    actions: tuple[VmAction, ...] = ()
    full_pc: bool = False
    io: str = "bare-metal"
    host: Image | None = None
    hosted: dict[str, bool] = field(default_factory=dict)
    host_memory: int | None = None
    lazy: bool = False

    @property
    def needs_full_pc(self) -> bool:
        """Whether a guest expects the board of a full PC, or is to have it all the same."""
        return self.full_pc or any(vm.disks or vm.image.disks or vm.image.needs_pc for vm in self.machines)

    @property
    def has_unmodified_domains(self) -> bool:
        """Whether domain 0 makes domains of unmodified guests, which VT-x or AMD-V runs."""
        return self.technique == "paravirtual" and any(vm.image.build != "xen" for vm in self.others)

    @property
    def compared_by_result(self) -> bool:
        """Whether it is compared with the bare machine by what the guest says, not by its instructions.

        A ported guest has other instructions.
        """
        return self.image.build != "native"

    @property
    def machines(self) -> tuple[VmScenario, ...]:
        """Every virtual machine, the first included."""
        first = VmScenario(
            self.image, self.memory, self.name, self.weight, self.serial_input, self.disks, self.yardstick
        )
        return (first, *self.others)

    def alone(self, vm: int) -> Scenario:
        """The scenario in which virtual machine ``vm`` is the only one."""
        machine = self.machines[vm]
        return replace(
            self,
            image=machine.image,
            memory=machine.memory,
            serial_input=machine.serial_input,
            disks=machine.disks,
            name=machine.name,
            weight=machine.weight,
            yardstick=machine.yardstick,
            others=(),
            actions=(),
            full_pc=False,
        )
