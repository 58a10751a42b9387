"""The 8042 keyboard controller of a PC/AT at ports 60h and 64h.

    64h read   | PERR TO AUXB KEYL | C/D SYS IBF OBF |     written: a command
    60h read   the output buffer                           written: data for the last command, or the keyboard
    command byte   | 0 XLAT DISAUX DISKBD | 0 SYS AUXINT KBDINT |
    output port    | KBDDAT KBDCLK AUXOBF OBF | . . A20 RESET |

IBM PC/AT Technical Reference, "Keyboard Controller"; Intel 8042. There is no mouse. Commands take no time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vizapp.machine.devices.a20 import A20Gate
from vizapp.machine.devices.keyboard import RESEND, Keyboard
from vizapp.machine.devices.scan_codes import BREAK, TRANSLATION

DATA_PORT, COMMAND_PORT = 0x60, 0x64
KEYBOARD_PORTS = (range(DATA_PORT, DATA_PORT + 1), range(COMMAND_PORT, COMMAND_PORT + 1))
KEYBOARD_IRQ = 1

STATUS_OBF = 1 << 0
STATUS_SYS = 1 << 2
STATUS_COMMAND = 1 << 3
STATUS_UNLOCKED = 1 << 4
STATUS_AUX = 1 << 5
STATUS_TIMEOUT = 1 << 6
MODE_INTERRUPT = 1 << 0
MODE_SYS = 1 << 2
MODE_DISABLE_KEYBOARD = 1 << 4
MODE_DISABLE_AUX = 1 << 5
MODE_TRANSLATE = 1 << 6
OUTPUT_RESET = 1 << 0  # low resets
OUTPUT_A20 = 1 << 1
OUTPUT_OBF = 1 << 4
OUTPUT_IDLE = 0xCC  # clocks and data high
INPUT_PORT = 0xB0  # not locked, colour display, no manufacturing jumper
TEST_PASSED = 0x55
NO_PASSWORD = 0xF1
WRITE_MODE, WRITE_OUTPUT, WRITE_AS_KEYBOARD, WRITE_AS_AUX, WRITE_AUX = 0x60, 0xD1, 0xD2, 0xD3, 0xD4


class KeyboardController:
    """The controller with its keyboard. A port device; ``irq`` is called with the level of IRQ1.

    The command byte is as firmware leaves it: translation and interrupts on, no mouse.
    """

    _STATE = ("_ram", "_status", "_buffer", "_awaited", "_output", "_up", "_line")

    def __init__(self, irq: Callable[[bool], None], gate: A20Gate) -> None:
        self.keyboard = Keyboard()
        self._irq = irq
        self._gate = gate
        mode = MODE_TRANSLATE | MODE_DISABLE_AUX | MODE_SYS | MODE_INTERRUPT
        self._ram = bytes([mode]) + bytes(31)
        self._status = STATUS_UNLOCKED
        self._buffer = 0
        self._awaited = 0  # the command, or 60h-7Fh, whose data byte comes next
        self._output = OUTPUT_IDLE | OUTPUT_RESET | (OUTPUT_A20 if gate.line else 0)
        self._up = 0  # F0h came and is to become bit 7 of the next code
        self._line = False

    def key(self, name: str, down: bool) -> None:
        """A key of the keyboard goes down or comes up; see ``scan_codes.KEYS``."""
        self.keyboard.key(name, down)
        self._fill()

    def read_port(self, port: int) -> int:
        """IN from the output buffer or the status register."""
        if port == COMMAND_PORT:
            return self._status | (STATUS_SYS if self._mode & MODE_SYS else 0)
        value = self._buffer
        self._status &= ~(STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT)
        # The line falls between two bytes, which an edge-triggered controller must see.
        self._drive()
        self._fill()
        return value

    def write_port(self, port: int, value: int) -> None:
        """OUT: a command at 64h, data at 60h."""
        if port == COMMAND_PORT:
            self._status |= STATUS_COMMAND
            self._awaited = 0
            self._command(value)
        else:
            self._status &= ~STATUS_COMMAND
            self._data(value)
        self._drive()
        self._fill()

    def save(self) -> dict[str, object]:
        """Controller and keyboard, as plain data."""
        state = tuple(getattr(self, name) for name in self._STATE)
        return {"state": state, "keyboard": self.keyboard.save()}

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off, without driving the interrupt line."""
        state, keyboard = saved["state"], saved["keyboard"]
        assert isinstance(state, tuple)
        assert isinstance(keyboard, Mapping)
        for name, value in zip(self._STATE, state, strict=True):
            setattr(self, name, value)
        self.keyboard.load(keyboard)

    @property
    def _mode(self) -> int:
        return self._ram[0]

    def _command(self, value: int) -> None:
        match value:
            case _ if 0x20 <= value <= 0x3F:
                self._put(self._ram[value & 0x1F])
            case _ if 0x60 <= value <= 0x7F or WRITE_OUTPUT <= value <= WRITE_AUX:
                self._awaited = value
            case 0xA4:
                self._put(NO_PASSWORD)
            case 0xA7 | 0xA8:
                self._set_mode(MODE_DISABLE_AUX, value == 0xA7)
            case 0xA9:
                self._put(0)
            case 0xAA:
                self._put(TEST_PASSED)
            case 0xAB:
                self._put(0)
            case 0xAD | 0xAE:
                self._set_mode(MODE_DISABLE_KEYBOARD, value == 0xAD)
            case 0xC0:
                self._put(INPUT_PORT)
            case 0xD0:
                self._put(self._output | (OUTPUT_OBF if self._status & STATUS_OBF else 0))
            case 0xE0:
                self._put(0)
            case _ if value >= 0xF0 and not value & OUTPUT_RESET:
                # Pulses the low four outputs that have a 0; of the others nothing hangs on a pulse.
                self._gate.request_reset()
            case _:
                pass

    def _data(self, value: int) -> None:
        awaited, self._awaited = self._awaited, 0
        match awaited:
            case _ if 0x60 <= awaited <= 0x7F:
                index = awaited & 0x1F
                self._ram = self._ram[:index] + bytes([value]) + self._ram[index + 1 :]
            case 0xD1:
                self._output = value & ~OUTPUT_OBF
                self._gate.drive_keyboard(bool(value & OUTPUT_A20))
                if not value & OUTPUT_RESET:
                    self._gate.request_reset()
            case 0xD2:
                self._put(value)
            case 0xD3:
                self._put(value, STATUS_AUX)
            case 0xD4:
                self._put(RESEND, STATUS_AUX | STATUS_TIMEOUT)  # nobody there
            case _:
                # To talk to the keyboard is to enable it.
                self._set_mode(MODE_DISABLE_KEYBOARD, False)
                self.keyboard.command(value)

    def _set_mode(self, bit: int, on: bool) -> None:
        self._ram = bytes([self._mode | bit if on else self._mode & ~bit]) + self._ram[1:]

    def _fill(self) -> None:
        """Take the keyboard's next byte into the output buffer if that is empty."""
        while (
            not self._status & STATUS_OBF and not self._mode & MODE_DISABLE_KEYBOARD and self.keyboard.waiting
        ):
            value = self.keyboard.take()
            if not self._mode & MODE_TRANSLATE:
                self._put(value)
            elif value == BREAK:
                self._up = 0x80
            else:
                self._put(TRANSLATION[value] | self._up)
                self._up = 0

    def _put(self, value: int, flags: int = 0) -> None:
        self._buffer = value
        self._status = self._status & ~(STATUS_AUX | STATUS_TIMEOUT) | STATUS_OBF | flags
        self._drive()

    def _drive(self) -> None:
        full = self._status & (STATUS_OBF | STATUS_AUX) == STATUS_OBF
        line = full and bool(self._mode & MODE_INTERRUPT)
        if line != self._line:
            self._line = line
            self._irq(line)
