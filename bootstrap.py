"""Prepares a bare machine and runs the program or its tests: what `make run` and `make test` call.

Needs Python 3.11-3.13 and nothing else. It makes a virtual environment in .venv with the versions of
constraints.txt, sees to Qt's system libraries (on Debian as root it installs them, otherwise it says which
command does), and then does the job:

    python bootstrap.py run [ARGUMENTS OF vizapp]
    python bootstrap.py test        format, lint, types, layers, tests with and without Qt, a real window
    python bootstrap.py oracle      the long comparisons with other programs, in full
    python bootstrap.py bench       speed, beside unicorn, in one run
    python bootstrap.py prepare     only the environment
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
WITHOUT_QT = ROOT / ".venv" / "without-qt"
OLDEST, NEWEST = (3, 11), (3, 13)
WINDOWS = os.name == "nt"

QT_LIBRARIES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
TEST_PROGRAMS = {"Xvfb": "xvfb", "xdotool": "xdotool"}
ORACLE_PROGRAMS = {"nasm": "nasm", "qemu-system-i386": "qemu-system-x86", "bochs-bin": "bochs"}
BESIDE = {"bochs": ("bochs-term", "vgabios")}  # a display that needs no screen, and the ROM of its adapter


def fail(sentence: str) -> None:
    """End with one sentence and the exit status of bad input."""
    print(f"vizapp: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def call(*command: str | Path, environment: dict[str, str] | None = None) -> None:
    """Run a command to its end; its failure is ours."""
    status = subprocess.call([str(word) for word in command], cwd=ROOT, env=environment)
    if status:
        raise SystemExit(status)


@contextmanager
def beside(*command: str | Path) -> Iterator[None]:
    """Run a command on another core meanwhile; its failure is ours once both are done."""
    words = [str(word) for word in command]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        try:
            yield
        except BaseException:
            other.terminate()
            raise
        print(other.communicate()[0], end="", flush=True)
    if other.returncode:
        raise SystemExit(other.returncode)


def interpreter(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if WINDOWS else "bin/python")


def on_debian() -> bool:
    """Whether apt-get installs packages here."""
    return Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def install_packages(packages: list[str], purpose: str) -> None:
    """Install Debian packages as root; otherwise say in one sentence which command does."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *sorted(set(packages))]
    if not on_debian():
        fail(
            f"{purpose} needs what Debian calls {' '.join(sorted(set(packages)))}; install them and try again"
        )
    if os.geteuid() != 0:
        fail(f"{purpose} needs system packages; run: sudo {' '.join(command)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    call("apt-get", "-qq", "update", environment=quiet)
    call(*command[:2], "-qq", *command[2:], environment=quiet)


def missing_libraries() -> list[str]:
    """Debian packages of the shared libraries that Qt's xcb and offscreen plugins cannot find."""
    if not sys.platform.startswith("linux"):
        return []
    packages = []
    for library, package in QT_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            packages.append(package)
    return packages


def missing_programs(programs: dict[str, str]) -> list[str]:
    """Debian packages of the programs that are not on the path."""
    packages = [package for program, package in programs.items() if shutil.which(program) is None]
    return packages + [other for package in packages for other in BESIDE.get(package, ())]


def make_environment(environment: Path) -> None:
    """Create a virtual environment; a Debian Python without ensurepip gets it first."""
    command = (sys.executable, "-m", "venv", environment)
    if subprocess.call([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        shutil.rmtree(environment, ignore_errors=True)
        install_packages(
            [f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"], "the virtual environment"
        )
        call(*command)


def install(environment: Path, requirements: list[str], stamp: str) -> None:
    """Install requirements at the versions of constraints.txt, once for each state of the two files."""
    digest = hashlib.sha256(stamp.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    mark = environment / ".installed"
    if mark.exists() and mark.read_text() == digest.hexdigest():
        return
    if not interpreter(environment).exists():
        make_environment(environment)
    print(f"vizapp: installing into {environment.relative_to(ROOT)}", file=sys.stderr)
    call(interpreter(environment), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--constraint", ROOT / "constraints.txt", *requirements)  # fmt: skip
    mark.write_text(digest.hexdigest())


def prepare(*, development: bool) -> Path:
    """Make everything ready and return the environment's Python."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        fail(f"Python 3.11, 3.12 or 3.13 is needed, and this is {sys.version.split()[0]}; set PYTHON=")
    # The tests' environment also runs the program, so one that has it is not stripped by `run`.
    full = development or (VENV / ".development").exists()
    install(VENV, ["--editable", f"{ROOT}[dev]" if full else f"{ROOT}"], "dev" if full else "run")
    if full:
        (VENV / ".development").touch()
    packages = missing_libraries()
    if packages:
        install_packages(packages, "Qt")
    return interpreter(VENV)


def has_display() -> bool:
    """Whether a window can open here."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def run(arguments: list[str]) -> None:
    """Open the window; with no display compare in the terminal and leave pictures in out/."""
    python = prepare(development=False)
    if has_display():
        call(python, "-m", "vizapp", *arguments)
        return
    print("vizapp: there is no display, so no window; comparing and drawing instead", file=sys.stderr)
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    call(python, "-m", "vizapp", "compare", "minikernel")
    for view in ("step", "compare"):
        picture = out / f"{view}.png"
        technique = ["--technique", "trap-and-emulate", "--virtualizable"] if view == "step" else []
        call(python, "-m", "vizapp", "picture", "minikernel", *technique, "--view", view, "-o", picture)
        print(picture.relative_to(ROOT))


def test(arguments: list[str]) -> None:
    """Every check that CI makes, in the order in which a failure is cheapest."""
    python = prepare(development=True)
    packages = missing_programs({**TEST_PROGRAMS, **ORACLE_PROGRAMS})
    if packages and on_debian() and os.geteuid() == 0:
        install_packages(packages, "the tests")
    elif packages:
        print(f"vizapp: without {' '.join(packages)} the tests that need them are skipped", file=sys.stderr)
    tools = python.parent
    call(tools / "ruff", "format", "--check", ".")
    call(tools / "ruff", "check", ".")
    with beside(tools / "mypy"):
        call(tools / "lint-imports", "--no-cache")
        test_without_qt()
    # Each of the two takes half of the files, so that a file is set up once; then it helps the other.
    call(python, "-m", "pytest", "-n", "2", "--dist", "worksteal", "--no-xvfb", "--ignore", "tests/window",
         *arguments, environment={**os.environ, "QT_QPA_PLATFORM": "offscreen"})  # fmt: skip
    if sys.platform.startswith("linux"):
        call(python, "-m", "pytest", "tests/window", "-p", "no:cacheprovider", "--no-xvfb")


def test_without_qt() -> None:
    """The layers below the window, in an environment that never had Qt."""
    install(
        WITHOUT_QT,
        ["PyYAML", "pydantic", "platformdirs", "markdown-it-py", "Pygments", "pillow", "capstone", "rich",
         "pytest", "pytest-timeout", "hypothesis"],
        "without-qt",
    )  # fmt: skip
    call(
        interpreter(WITHOUT_QT),
        "-m",
        "pytest",
        "-q",
        "-c",
        "tests/without-qt.ini",
        "--rootdir",
        ".",
        "tests/without_qt",
    )


def oracle(arguments: list[str]) -> None:
    """The long comparisons, in full, a line for each that is done; as many at a time as there are cores."""
    python = prepare(development=True)
    packages = missing_programs(ORACLE_PROGRAMS)
    if packages:
        install_packages(packages, "the oracles")
    workers = str(os.cpu_count() or 1)
    call(python, "-m", "pytest", "tests", "-m", "oracle", "--timeout", "0", "--no-xvfb", "-v",
         "-n", workers, "--dist", "worksteal", *arguments,
         environment={**os.environ, "VIZAPP_ORACLE": "full", "QT_QPA_PLATFORM": "offscreen"})  # fmt: skip


def main() -> None:
    """Do what the first argument names."""
    job, *arguments = sys.argv[1:] or ["run"]
    if job == "prepare":
        prepare(development=True)
    elif job == "run":
        run(arguments)
    elif job == "test":
        test(arguments)
    elif job == "oracle":
        oracle(arguments)
    elif job == "bench":
        call(prepare(development=True), "-m", "tests.bench", *arguments)
    else:
        fail(f"there is no job {job}; there are: run, test, oracle, bench, prepare")


if __name__ == "__main__":
    main()
