"""A real window in a real X server, driven by keys and mouse as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GRAB = """
import sys
from PySide6.QtGui import QGuiApplication
application = QGuiApplication(sys.argv)
application.primaryScreen().grabWindow(0).save(sys.argv[1])
"""
PATIENCE = 240.0  # seconds, on a machine that does many other things as well

pytestmark = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")),
    reason="needs Xvfb and xdotool, which bootstrap.py installs",
)


class Screen:
    """An X server with nothing on it, and hands for it."""

    def __init__(self, size: str) -> None:
        read, write = os.pipe()
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-nolisten", "tcp"],
            pass_fds=(write,),
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as numbers:
            self.display = f":{numbers.readline().strip()}"

    def do(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words], env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DISPLAY": self.display, "QT_QPA_PLATFORM": "xcb"}

    def title(self) -> str:
        window = self.do("search", "--onlyvisible", "--name", "vizapp").splitlines()
        return self.do("getwindowname", window[0]) if window else ""

    def focus(self) -> None:
        window = self.do("search", "--onlyvisible", "--name", "vizapp").splitlines()[0]
        self.do("windowfocus", "--sync", window)

    def picture(self, file: Path) -> bytes:
        """What is on the screen now, as a PNG."""
        subprocess.run(
            [sys.executable, "-c", GRAB, str(file)], env=self.environment, check=True, timeout=PATIENCE
        )
        return file.read_bytes()

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen("1440x900")
    yield screen
    screen.close()


@pytest.fixture
def program(screen: Screen, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "vizapp", "rings", "--lang", "en"],
        cwd=ROOT,
        env={**screen.environment, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        yield program
        program.kill()


def wait_for(what: Callable[[], bool], why: str) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(line) for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_window_opens_steps_runs_and_closes_by_keys(
    screen: Screen, program: subprocess.Popen[str], tmp_path: Path
) -> None:
    wait_for(lambda: "rings" in screen.title(), "the window shows its guest in its title")
    screen.focus()
    seen = screen.picture(tmp_path / "picture.png")

    def changed() -> bool:
        return screen.picture(tmp_path / "picture.png") != seen

    for keys in (("Home",), ("Page_Down",), ("Right", "Right", "Right"), ("Left", "Left"), ("End",)):
        wait_until_still(screen, tmp_path)
        seen = screen.picture(tmp_path / "picture.png")
        screen.do("key", *keys)
        wait_for(changed, f"{keys} moves the machine")
    screen.do("mousemove", "330", "20", "click", "1")
    wait_for(changed, "a click on another technique changes the view")
    assert program.poll() is None
    screen.focus()
    screen.do("key", "ctrl+q")
    wait_for(lambda: program.poll() is not None, "Ctrl+Q closes the window")
    assert program.returncode == 0
    assert program.stderr is not None
    assert "Traceback" not in program.stderr.read()


def wait_until_still(screen: Screen, folder: Path) -> None:
    """Until two pictures in a row are alike: nothing moves, nothing grows."""
    pictures = [screen.picture(folder / "before.png")]

    def still() -> bool:
        pictures.append(screen.picture(folder / "after.png"))
        return pictures[-1] == pictures[-2]

    wait_for(still, "the window comes to rest")


def test_a_killed_session_leaves_the_window_alive(screen: Screen, program: subprocess.Popen[str]) -> None:
    wait_for(lambda: "rings" in screen.title(), "the window opens")
    wait_for(lambda: bool(children(program.pid)), "a session process runs")
    for child in children(program.pid):
        os.kill(child, 9)
    time.sleep(1.0)
    assert program.poll() is None
    screen.focus()
    screen.do("key", "ctrl+q")
    wait_for(lambda: program.poll() is not None, "the window still obeys")
    assert program.returncode == 0
