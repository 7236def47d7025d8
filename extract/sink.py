"""Write features in a thread of its own, so that encoding does not wait for the disk.

B clips of a batch, L time slices, S tokens, D channels.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from torch import Tensor

from ..cache import NotStorable, ShardWriter
from ..errors import shown
from .decoding.faults import NOT_FINITE
from .selection import ShardPlan

WAIT_SECONDS = 0.2  # how soon a waiting producer sees that the thread has failed
BATCHES_WAITING = 2


@dataclass(frozen=True)
class _Features:
    rows: Sequence[int]
    visual: Tensor
    audio: Tensor
    wait: Callable[[], None]


@dataclass(frozen=True)
class _Quarantined:
    id: str
    reason: str
    words: str


class _EndOfShard:
    """Nothing more comes for this shard."""


class _Stopped(Exception):  # noqa: N818 - no error: the run was broken off
    """Leave the shard unfinished."""


_Message = ShardPlan | _Features | _Quarantined | _EndOfShard | None


class Shelf(Protocol):
    """Where shards go: a cache open for writing, or what stands for one in a process that does not hold its lock."""

    def shard(
        self, name: str, ids: Sequence[str], visual_shape: Sequence[int], audio_shape: Sequence[int]
    ) -> ShardWriter:
        """Begin a shard."""

    def quarantine(self, clip: str, reason: str, words: str) -> None:
        """Note that a clip cannot be encoded."""


class ShardSink:
    """The only one that touches the cache during a run. A context manager.

    Leaving it normally waits until all is written; by an exception, the shard at work is left unfinished,
    of which nothing stays. A failure to write (a full disk) is raised by the next call.

    Args:
        writer: where the shards go.
        visual_shape: (L, S, D).
        audio_shape: (D,).
    """

    def __init__(self, writer: Shelf, visual_shape: tuple[int, ...], audio_shape: tuple[int, ...]) -> None:
        self._writer, self._shapes = writer, (visual_shape, audio_shape)
        self._queue: queue.Queue[_Message] = queue.Queue(maxsize=BATCHES_WAITING)
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="writing", daemon=True)
        self.quarantined: dict[str, str] = {}
        """Clips quarantined so far, with the reason. Complete when the `with` block has ended."""
        self.written = 0
        """Clips written so far, in shards that may not be finished yet; likewise."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._send(None)
        else:
            self._stopping.set()
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def begin(self, plan: ShardPlan) -> None:
        """Start a shard; the one before has to have been ended."""
        self._send(plan)

    def put(self, rows: Sequence[int], visual: Tensor, audio: Tensor, wait: Callable[[], None]) -> None:
        """Hand over a batch of the current shard.

        Args:
            rows: the clips' places in the shard's plan.
            visual: (B, L, S, D) in host memory.
            audio: (B, D), likewise.
            wait: returns when the features have arrived in host memory.
        """
        self._send(_Features(rows, visual, audio, wait))

    def quarantine(self, id: str, reason: str, words: str) -> None:
        """Note a clip of the current shard that cannot be encoded."""
        self._send(_Quarantined(id, reason, words))

    def end(self) -> None:
        """Finish the current shard; one without any clip is left out."""
        self._send(_EndOfShard())

    def _send(self, message: _Message) -> None:
        while True:
            if self._error is not None:
                raise self._error
            try:
                return self._queue.put(message, timeout=WAIT_SECONDS)
            except queue.Full:
                continue

    def _receive(self) -> _Message:
        while True:
            if self._stopping.is_set():
                raise _Stopped
            try:
                return self._queue.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                continue

    def _run(self) -> None:
        try:
            while (plan := self._receive()) is not None:
                assert isinstance(plan, ShardPlan)
                ids = [job.id for job in plan.jobs]
                with self._writer.shard(plan.name, ids, *self._shapes) as shard:
                    self._fill(shard)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error

    def _fill(self, shard: ShardWriter) -> None:
        while not isinstance(message := self._receive(), _EndOfShard):
            if isinstance(message, _Quarantined):
                self._quarantine(message)
            elif isinstance(message, _Features):
                message.wait()
                for row, visual, audio in zip(message.rows, message.visual, message.audio, strict=True):
                    try:
                        shard.put(row, visual, audio)
                    except NotStorable as error:
                        self._quarantine(_Quarantined(shard.ids[row], NOT_FINITE, str(error)))
                    else:
                        self.written += 1

    def _quarantine(self, clip: _Quarantined) -> None:
        self._writer.quarantine(clip.id, clip.reason, shown(clip.words))  # a file's name may be no text
        self.quarantined[clip.id] = clip.reason
