"""Runs a native guest build on qemu-system-i386: a bare machine that we did not write."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.oracle.sources import HERE, nasm
from vizapp.guest.catalogue import Guest
from vizapp.guest.library import spare_disk
from vizapp.machine.devices.station import Station

LOAD_ADDRESS = 0x0010_0000
# Virtual time follows the instruction count (16 ns each), so that a run is the same on any computer.
BY_INSTRUCTIONS = ("-accel", "tcg", "-icount", "shift=4,sleep=off")
IN_REAL_TIME = ("-accel", "tcg")
_PATIENCE = 15  # seconds that may pass for one of QEMU's
_SCHEDULED = 2  # which of Linux's clocks of a process: what it was given by the scheduler

available = shutil.which("qemu-system-i386") is not None and shutil.which("nasm") is not None


def cpu_for(*, needs_apic: bool) -> str:
    """QEMU's name of the processor that a guest expects."""
    return "pentium3" if needs_apic else "pentium3,-apic"


def build_rom(directory: Path, *defines: str) -> Path:
    """Assemble the ROM that starts the guest; the path of the 64 KB file."""
    rom = directory / "flat_boot.rom"
    options = [f"-D{name}" for name in defines]
    nasm(HERE / "flat_boot.asm", rom, *options)
    return rom


def run_library_guest(guest: Guest, binary: Path, directory: Path) -> str:
    """As ``run_guest``, with what a guest of the library needs: an APIC, its disk, a network."""
    cpu = cpu_for(needs_apic=guest.needs_apic)
    drive: list[str] = []
    if guest.needs_disk:
        image = directory / "disk.img"
        image.write_bytes(spare_disk())
        drive = ["-drive", f"file={image},format=raw,if=ide,index=0"]
    # A disk and the station live in our time, so a guest that waits for them has to as well.
    time_base = IN_REAL_TIME if drive or guest.needs_network else BY_INSTRUCTIONS
    if not guest.needs_network:
        return run_guest(binary, directory, cpu=cpu, options=drive, time_base=time_base)
    with StationSocket() as station:
        network = [*drive, "-netdev", station.option("wire"), "-device", "pcnet,netdev=wire,addr=3"]
        return run_guest(binary, directory, cpu=cpu, options=network, rom=("PCNET",), time_base=time_base)


class StationSocket:
    """The station of the network guests at the other end of a wire of QEMU's, a frame a UDP packet."""

    def __init__(self) -> None:
        self._station = Station()
        self._ours, self._theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for end in (self._ours, self._theirs):
            end.bind(("127.0.0.1", 0))
        self._port = self._theirs.getsockname()[1]
        self._theirs.close()  # QEMU takes its place
        self._ours.settimeout(0.1)
        self._thread = threading.Thread(target=self._serve)
        self._over = threading.Event()

    def option(self, name: str) -> str:
        """QEMU's description of its end."""
        ends = f"udp=127.0.0.1:{self._ours.getsockname()[1]},localaddr=127.0.0.1:{self._port}"
        return f"socket,id={name},{ends}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._thread.join()
        self._ours.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                for answer in self._station.answer(self._ours.recv(2048)):
                    self._ours.sendto(answer, ("127.0.0.1", self._port))


def run_guest(
    binary: Path,
    directory: Path,
    seconds: float = 20.0,
    cpu: str = "pentium3,-apic",
    options: Sequence[str] = (),
    rom: Sequence[str] = (),
    time_base: Sequence[str] = BY_INSTRUCTIONS,
) -> str:
    """COM1's output of a guest loaded flat at 1 MB, up to the end of its ``result:`` line.

    Returns what was printed so far when QEMU has had ``seconds`` of a processor, or waited for ever.
    """
    machine = ["-machine", "pc", "-cpu", cpu, "-m", "16", "-nodefaults", "-display", "none"]
    image = ["-device", f"loader,file={binary},addr={LOAD_ADDRESS:#x},force-raw=on"]
    start = ["-bios", str(build_rom(directory, *rom)), "-serial", "stdio"]
    command = ["qemu-system-i386", *machine, *time_base, *image, *start, *options]
    deadline = time.monotonic() + _PATIENCE * seconds
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = b""
        try:
            while not _finished(output) and _spent(process) < seconds and time.monotonic() < deadline:
                ready, _, _ = select.select([process.stdout], [], [], 0.1)
                if ready:
                    piece = process.stdout.read1(4096)  # type: ignore[attr-defined]
                    if not piece:
                        break
                    output += piece
        finally:
            process.kill()
    return output.decode("latin-1")


def _spent(process: subprocess.Popen[bytes]) -> float:
    """Seconds of a processor that a process has had: less than have passed, where others run too."""
    try:
        return time.clock_gettime(~process.pid << 3 | _SCHEDULED)
    except OSError:  # it has ended, and what it printed is still to be read
        return 0.0


def _finished(output: bytes) -> bool:
    head, found, tail = output.rpartition(b"result: ")
    return bool(found) and b"\n" in tail and (not head or head.endswith(b"\n"))
