"""A client of the GDB remote serial protocol, enough to step qemu-system-i386 and read its registers."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import NamedTuple


class Registers(NamedTuple):
    """``general``: EAX ECX EDX EBX ESP EBP ESI EDI; ``selectors``: CS SS DS ES FS GS, the stub's order."""

    general: tuple[int, ...]
    eip: int
    eflags: int
    selectors: tuple[int, ...]


class GdbRemote:
    """A connection to a stub that listens on a Unix socket."""

    def __init__(self, path: Path, seconds: float = 60.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._socket.settimeout(seconds)
        self._buffer = b""
        self.ask("qSupported")

    def close(self) -> None:
        """Let the machine go."""
        self._socket.close()

    def ask(self, command: str) -> str:
        """Send a packet; the stub's answer."""
        data = command.encode()
        self._socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))
        return self._receive()

    def step(self) -> None:
        """Execute one instruction, or deliver one exception."""
        self.ask("s")

    def run_to(self, address: int) -> None:
        """Run until EIP is ``address``."""
        self.ask(f"Z1,{address:x},1")
        self.ask("c")
        self.ask(f"z1,{address:x},1")

    def registers(self) -> Registers:
        """The integer registers."""
        raw = bytes.fromhex(self.ask("g")[: 16 * 8])
        words = [int.from_bytes(raw[index : index + 4], "little") for index in range(0, 64, 4)]
        return Registers(tuple(words[:8]), words[8], words[9], tuple(words[10:16]))

    def memory(self, linear: int, count: int) -> bytes:
        """Bytes at a linear address."""
        return bytes.fromhex(self.ask(f"m{linear:x},{count:x}"))

    def _receive(self) -> str:
        while True:
            start = self._buffer.find(b"$")
            end = self._buffer.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._buffer) >= end + 3:
                body = self._buffer[start + 1 : end]
                self._buffer = self._buffer[end + 3 :]
                self._socket.sendall(b"+")
                return body.decode()
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the stub closed the connection")
            self._buffer += received
