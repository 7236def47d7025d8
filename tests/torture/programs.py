"""avcil's commands as processes that can be killed, starved and listened to, without two seconds of imports each.

A server process (multiprocessing's) imports PyTorch and both stages once and forks for every command, so that a kill
at a random moment falls into the command's work. The commands run as from a shell, by their own `main`, in a session
of their own, with their own folder for temporary files, and die with the server.
"""

import ctypes
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

COMMANDS = {
    "avcil-extract": "avcil.extract.cli:main",
    "avcil-incr": "avcil.incremental.cli:main",
    "manifests": "avcil.manifests.__main__:main",
    "fuzz": "avcil.tests.torture.fuzz:main",
}
"""What a user types -> where it is; and fuzzing, which wants a process of its own too."""
IMPORTED_BEFOREHAND = (
    "avcil.extract.run",
    "avcil.extract.inspect",
    "avcil.extract.released.importing",
    "avcil.incremental.runs.call",
    "avcil.incremental.runs.screen",
    "avcil.incremental.results.collect",
    "avcil.incremental.results.tables",
    "avcil.incremental.model.kernels.cpu",
    "avcil.extract.encoders.audiomae",
    "avcil.extract.encoders.videomae",
    "transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer",
    "transformers.models.videomae.modeling_videomae",
    "transformers.models.vit.modeling_vit",
    "hypothesis.strategies",
    # What the program that starts commands is made of: multiprocessing imports it in every process anew.
    "avcil.tests.torture.parts",
    "pytest",
)
LONGEST = 180.0
"""Seconds after which a command counts as hanging."""
SOON = 10.0
"""Seconds within which the processes of a command that has ended have to be gone."""
MARK = "AVCIL_TORTURE"
"""Environment variable by which the processes that a command starts are known."""

_CONTEXT = multiprocessing.get_context("forkserver")
_LOCK = threading.Lock()  # multiprocessing's list of processes is not meant for several threads


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    """As a shell shows it: 128 and the signal's number where one ended it."""
    out: str
    err: str
    seconds: float = 0.0
    """Since its work began, without imports."""
    late: bool = False
    """Whether it had to be killed after `LONGEST`."""
    left: tuple[str, ...] = ()
    """Processes that outlived it, and temporary files that it left."""

    @property
    def one_line(self) -> bool:
        """Whether it ended as bad input has to: status 2, and one line that says why."""
        said = [line for line in self.err.splitlines() if line.startswith("error:")]
        return self.status == 2 and len(said) == 1 and "Traceback" not in self.err

    @property
    def said(self) -> str:
        """Its last line, for a table."""
        lines = [line for line in f"{self.out}\n{self.err}".splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else ""


@dataclass(frozen=True)
class Circumstances:
    """What a command runs under, besides its words."""

    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[int, int] = field(default_factory=dict)
    """By `resource.RLIMIT_...`."""
    change: str | None = None
    """"module:function" to be called in the process before the command begins: puts faults into the program."""


PLAIN = Circumstances()


class Program:
    """A command at work. `wait` or `kill` has to be called."""

    def __init__(self, words: Sequence[str], folder: Path, circumstances: Circumstances = PLAIN) -> None:
        """Start `words` in `folder`, which exists."""
        self.words = tuple(words)
        self._mark = uuid.uuid4().hex
        self._temporary = Path(tempfile.mkdtemp(prefix="avcil-torture-"))
        surroundings = {**circumstances.environment, MARK: self._mark, "TMPDIR": str(self._temporary)}
        pipes = [_CONTEXT.Pipe(duplex=False) for _ in range(3)]
        self._heard = [_Listener(reader) for reader, _ in pipes[:2]]
        with _LOCK:
            self._process = _CONTEXT.Process(
                target=_work,
                args=(self.words, str(folder), surroundings, circumstances, [writer for _, writer in pipes]),
            )
            self._process.start()
        for _, writer in pipes:
            writer.close()
        for listener in self._heard:
            listener.start()
        self.pid = self._process.pid or 0
        with pipes[2][0] as begun:
            begun.poll(LONGEST)  # until it closes the other end
        self._since = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the command has not ended yet."""
        return self._status() is None

    def ended_within(self, seconds: float) -> bool:
        """Whether the command ended of itself before `seconds` after it had begun."""
        while time.monotonic() - self._since < seconds:
            if not self.alive:
                return True
            time.sleep(0.002)
        return not self.alive

    def send(self, number: int) -> None:
        """Send a signal to the command's process alone."""
        if self.alive:
            os.kill(self.pid, number)

    def kill(self) -> Ended:
        """Kill the process as a power cut would, and look what is left of it."""
        self.send(signal.SIGKILL)
        return self.wait()

    def wait(self) -> Ended:
        """Wait for the end, and look what is left."""
        late = not self.ended_within(LONGEST)
        if late:
            self.send(signal.SIGKILL)
            self.ended_within(2 * LONGEST)
        seconds = time.monotonic() - self._since
        status = self._status()
        assert status is not None
        left = [f"process {pid} ({name})" for pid, name in self._survivors()]
        left += [
            f"temporary file {path.name}"
            for path in sorted(self._temporary.rglob("*"))
            if "torchinductor" not in str(path)  # PyTorch's own
        ]
        for listener in self._heard:
            listener.join(SOON)
        for path in sorted(self._temporary.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self._temporary.rmdir()
        with _LOCK:
            self._process.join()
            self._process.close()
        shown = 128 - status if status < 0 else status
        return Ended(shown, self._heard[0].text(), self._heard[1].text(), seconds, late, tuple(left))

    def _status(self) -> int | None:
        with _LOCK:
            return self._process.exitcode

    def _survivors(self) -> list[tuple[int, str]]:
        """Processes with this command's mark that are still there after a while; they are killed."""
        until = time.monotonic() + SOON
        while found := marked(self._mark):
            if time.monotonic() > until:
                for pid, _ in found:
                    os.kill(pid, signal.SIGKILL)
                return found
            time.sleep(0.02)
        return []


class _Listener(threading.Thread):
    """Reads what a command writes."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(name="listening", daemon=True)
        self._connection = connection
        self._pieces: list[bytes] = []

    def run(self) -> None:
        while piece := os.read(self._connection.fileno(), 1 << 16):
            self._pieces.append(piece)
        self._connection.close()

    def text(self) -> str:
        return b"".join(self._pieces).decode(errors="replace")


def marked(mark: str) -> list[tuple[int, str]]:
    """Number and name of every process whose environment holds `mark` (Linux; elsewhere none)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((int(folder.name), (folder / "comm").read_text().strip()))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def run(words: Sequence[str], folder: Path, circumstances: Circumstances = PLAIN) -> Ended:
    """Run a command to its end."""
    return Program(words, folder, circumstances).wait()


def start_server(environment: Mapping[str, str]) -> None:
    """Start the server with `environment` added to its own; does nothing where it runs already."""
    from multiprocessing import forkserver

    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        _CONTEXT.set_forkserver_preload(list(IMPORTED_BEFOREHAND))
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _work(
    words: tuple[str, ...],
    folder: str,
    environment: Mapping[str, str],
    circumstances: Circumstances,
    pipes: list[Connection],
) -> None:
    """In the new process: become the command."""
    os.setsid()
    os.dup2(pipes[0].fileno(), 1)
    os.dup2(pipes[1].fileno(), 2)
    os.chdir(folder)
    os.environ.update(environment)
    tempfile.tempdir = None  # asked for again
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    import torch

    torch.set_num_threads(1)  # the commands run side by side
    if circumstances.change is not None:
        named(circumstances.change)()
    for limit, value in circumstances.limits.items():
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
    sys.argv = list(words)
    main = named(COMMANDS[words[0]])
    pipes[0].close()
    pipes[1].close()
    pipes[2].close()  # says that it begins
    try:
        main(list(words[1:]), prog_name=words[0])
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        traceback.print_exc()
        sys.exit(1)


def named(place: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, _, function = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found
