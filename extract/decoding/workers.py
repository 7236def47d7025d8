"""Decoding in worker processes that can be killed: a clip that hangs or crashes a decoder costs itself, no more.

decord and PyAV can hang while they hold the interpreter's lock, crash, or leak (decord's issues 154, 269, 279,
373, 375). So neither is ever called in the process that owns the encoders. Needs POSIX.
"""

import concurrent.futures
import dataclasses
import itertools
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from ...errors import InputError
from ..preparation.encoder_input import PreparedClip
from ..preparation.recipes import ClipPreparation
from .faults import ANOTHER_MAY_HELP, DIED, OUT_OF_MEMORY, TIMED_OUT, ClipError
from .frames import decoders_for
from .worker_process import Orders, Refusal, Shapes, read_array

READER = "avcil.extract.decoding.decode:read_clip"
PROGRAM = (
    f"import sys; from {__package__}.limits import set_limits; set_limits(int(sys.argv[2]), int(sys.argv[3])); "
    f"from {__package__}.worker_process import main; main()"
)
START_SECONDS = 120.0  # for a worker process to import what it needs, on a slow disk too
CLIPS_A_WORKER = 500  # decoders leak; a fresh process costs about a second
LAST_WORDS = 4096  # bytes at the end of what a process wrote to standard error, which may be much


@dataclass(frozen=True)
class Job:
    """A clip to decode."""

    id: str
    path: Path
    others: tuple[Path, ...] = ()
    """Files to try in turn where the one at `path` cannot be decoded."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a clip, or a reason and the decoders' words."""

    job: Job
    """Its `path` is the file that was read."""
    clip: PreparedClip | None = None
    decoder: str = ""
    """Which one succeeded."""
    second_choice: bool = False
    """Whether it was not the first one asked."""
    reason: str = ""
    words: str = ""


class WorkersCannotStartError(InputError):
    """Not one clip can be decoded: a worker process does not even start."""


class Worker:
    """One decoding process, started when it is first needed and again whenever it has gone.

    Args:
        orders: for the process.
        timeout: seconds that a clip may take.
        memory: gigabytes that the process may use.
        clips: after so many the process is replaced, which bounds what decoders leak.
    """

    def __init__(self, orders: Orders, timeout: float, memory: float, clips: int = CLIPS_A_WORKER) -> None:
        self._orders, self._timeout, self._memory, self._clips = orders, timeout, memory, clips
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._said: IO[bytes] | None = None
        self._served = 0
        self._closed = False
        self._lock = threading.Lock()  # between starting a process and `kill` from another thread

    def read(self, path: Path, decoder: str) -> PreparedClip:
        """Have one clip decoded.

        Raises:
            ClipError: the decoder refused it, died, or took longer than the deadline.
            WorkersCannotStartError: a new process was needed and did not come up, twice.
        """
        if self._process is None or self._served >= self._clips:
            self._restart()
        process, connection, said = self._process, self._connection, self._said
        assert process is not None
        assert connection is not None
        assert said is not None
        said.seek(0)
        said.truncate()
        self._served += 1
        deadline = _Deadline(process, self._timeout)
        try:
            connection.send((path, decoder))
            answer = connection.recv()
            if isinstance(answer, Shapes):
                clip = PreparedClip(np.empty(answer.pixels, np.uint8), np.empty(answer.fbank, np.float32))
                read_array(connection.fileno(), clip.pixels)
                read_array(connection.fileno(), clip.fbank)
        except (EOFError, OSError) as error:
            late = deadline.expired()
            words = f"no answer within {self._timeout:g} s" if late else how_it_ended(process.wait())
            words += self._last_words()
            self.stop()
            raise ClipError(TIMED_OUT if late else DIED, words) from error
        if deadline.expired():  # it answered at the last moment and was killed all the same
            self.stop()
        if isinstance(answer, Refusal):
            if answer.reason != OUT_OF_MEMORY:
                raise ClipError(answer.reason, answer.words)
            self.stop()
            if self._served > 1:  # earlier clips may have leaked: once more in a fresh process
                return self.read(path, decoder)
            words = f"{answer.words} than the {self._memory:g} GB that --clip-memory allows a decoding process"
            raise ClipError(answer.reason, words)
        return clip

    def kill(self) -> None:
        """Kill the process for good, from any thread: whoever waits for it sees it end, and none starts again."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def stop(self) -> None:
        """Kill the process, if there is one, and let go of all that belonged to it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        if self._said is not None:
            self._said.close()
        self._process = self._connection = self._said = None

    def _restart(self) -> None:
        self.stop()
        for attempt in (1, 2):
            try:
                return self._start()
            except (EOFError, OSError) as error:
                words = f"a decoding process does not start{self._last_words()}"
                self.stop()
                if attempt == 2 or self._closed:
                    raise WorkersCannotStartError(words) from error

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the process
        self._connection, theirs = Pipe()
        memory = int(self._memory * 1e9)
        with theirs, self._lock:
            if self._closed:
                raise EOFError
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, *map(str, (theirs.fileno(), os.getpid(), memory))],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then kills
            )
        self._served = 0
        deadline = _Deadline(self._process, START_SECONDS)
        try:
            self._connection.send(self._orders)
            self._connection.recv()
        finally:
            deadline.expired()

    def _last_words(self) -> str:
        """The last line that the process wrote to its standard error, to be put behind a sentence."""
        if self._said is None:
            return ""
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - LAST_WORDS))
        lines = self._said.read(LAST_WORDS).decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"; its last words: {said[-1][:300]}" if said else ""


class _Deadline:
    """Kills a process after some seconds, unless `expired` is asked before, which ends the watch."""

    def __init__(self, process: "subprocess.Popen[bytes]", seconds: float) -> None:
        self._process, self._expired = process, False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()

    def expired(self) -> bool:
        """End the watch; whether the process was killed."""
        self._timer.cancel()
        self._timer.join()
        return self._expired


def how_it_ended(status: int) -> str:
    """A process's exit status in words."""
    if status >= 0:
        return f"its process ended with status {status}"
    try:
        return f"its process was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"its process was killed by signal {-status}"


class DecodingPool:
    """Several worker processes at work. A context manager: on leaving it, however, no process is left.

    Args:
        preparation: what is wanted of each clip.
        workers: how many.
        timeout: seconds that one decoder may take for one clip.
        memory: gigabytes that each process may use.
        decoders: to try in turn; None for those that suit the recipe.
        reader: the decoding function, as "module:function".
        clips_a_worker: after so many a process is replaced.
    """

    def __init__(
        self,
        preparation: ClipPreparation,
        *,
        workers: int,
        timeout: float,
        memory: float,
        decoders: tuple[str, ...] | None = None,
        reader: str = READER,
        clips_a_worker: int = CLIPS_A_WORKER,
    ) -> None:
        if not 0 < timeout <= threading.TIMEOUT_MAX:  # nan as well; a clock for more would stop without a word
            raise InputError(f"a clip may take more than 0 and up to {threading.TIMEOUT_MAX:.0f} s (given {timeout!r})")
        self.decoders = decoders or decoders_for(preparation.recipe)
        orders = Orders(preparation, reader)
        self._workers = [Worker(orders, timeout, memory, clips_a_worker) for _ in range(workers)]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="decoding")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.stop()

    def read_all(self, jobs: Iterable[Job], *, ahead: int) -> Iterator[Outcome]:
        """Decode clips side by side, the first ones from now on; outcomes come in the order of the jobs.

        Args:
            jobs: taken from the iterable as there is room.
            ahead: clips that may be under way or waiting to be taken; bounds the memory in use.

        Raises:
            WorkersCannotStartError: no worker process can be started.
        """
        rest = iter(jobs)
        first = itertools.islice(rest, max(ahead, 1))
        return self._outcomes(deque(self._threads.submit(self._read_first, job) for job in first), rest)

    def _outcomes(self, pending: "deque[concurrent.futures.Future[Outcome]]", rest: Iterator[Job]) -> Iterator[Outcome]:
        while pending:
            yield pending.popleft().result()
            pending.extend(self._threads.submit(self._read_first, job) for job in itertools.islice(rest, 1))

    def _read_first(self, job: Job) -> Outcome:
        """One clip from the first of its files that can be decoded; where none can, what was said of each."""
        refused = []
        for path in (job.path, *job.others):
            outcome = self._read(dataclasses.replace(job, path=path))
            if outcome.clip is not None:
                return outcome
            refused.append(outcome)
        if len(refused) == 1:
            return refused[0]
        words = "; ".join(f"{outcome.job.path}: {outcome.words}" for outcome in refused)
        return dataclasses.replace(refused[0], words=words)

    def _read(self, job: Job) -> Outcome:
        """One clip by the first decoder, and once more by the next if the first died or was late."""
        said: dict[str, list[str]] = {}
        reason = ""
        worker = self._idle.get()
        try:
            for decoder in self.decoders:
                try:
                    clip = worker.read(job.path, decoder)
                    return Outcome(job, clip, decoder, second_choice=decoder != self.decoders[0])
                except ClipError as error:
                    said.setdefault(error.words, []).append(decoder)
                    reason = error.reason
                    if reason not in ANOTHER_MAY_HELP:
                        break
        finally:
            self._idle.put(worker)
        words = "; ".join(f"{', '.join(names)}: {words}" for words, names in said.items())
        return dataclasses.replace(Outcome(job), reason=reason, words=words)
