"""Decode, encode and write at the same time, in bounded memory, with results that repeat bit for bit.

Worker processes decode; this process encodes; a thread writes. Shapes: B clips, T frames, H x W pixels, F time frames
and M mel bins of the fbank, L time slices, S tokens, D channels.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..cache import CacheWriter
from ..errors import InputError
from .config import CLIP_MEMORY
from .decoding.workers import READER, DecodingPool, Outcome
from .encoders import AudioEncoder, VisualEncoder
from .preparation.encoder_input import PreparedClip
from .preparation.recipes import ClipPreparation
from .selection import ShardPlan
from .sink import ShardSink, Shelf


@dataclass(frozen=True)
class Encoders:
    """Both frozen encoders and the device they compute on."""

    visual: VisualEncoder
    audio: AudioEncoder
    device: torch.device


@dataclass(frozen=True)
class Pace:
    """How the work is cut up. None of it but the batch size has any influence on the features."""

    workers: int
    """Decoding worker processes, at least 1."""
    batch_size: int
    """Clips encoded at once, at least 1. Another size may round differently."""
    clip_timeout: float
    """Seconds that one decoder may take for one clip."""
    clip_memory: float = CLIP_MEMORY
    """Gigabytes that each decoding worker process may use."""

    @property
    def ahead(self) -> int:
        """Decoded clips that may exist at once beside those being encoded (2.9 MB each by default)."""
        return self.workers + 2 * self.batch_size


@dataclass
class Tally:
    """What a run did."""

    encoded: int = 0
    quarantined: dict[str, str] = field(default_factory=dict)
    """Clip id -> reason."""
    second_choice: int = 0
    """Clips that only the second decoder could read."""
    batch_size: int | None = None
    """Clips encoded at once at the end, where the device had no memory for as many as were asked for."""
    seconds: float = 0.0
    encoder_seconds: float = 0.0
    """Of these, with the encoders at work; of several workers the mean."""
    died: int = 0
    """Workers that died and were replaced."""
    given_up: dict[str, str] = field(default_factory=dict)
    """Shards over which too many workers died -> how the last one did."""

    @property
    def clips_per_second(self) -> float:
        """Encoded and quarantined ones."""
        return (self.encoded + len(self.quarantined)) / self.seconds if self.seconds else 0.0


def extract(
    plans: Sequence[ShardPlan],
    writer: CacheWriter,
    encoders: Encoders,
    preparation: ClipPreparation,
    pace: Pace,
    *,
    on_done: Callable[[int, int], None] = lambda encoded, quarantined: None,
    on_read: Callable[[Mapping[str, Path]], None] = lambda files: None,
    reader: str = READER,
) -> Tally:
    """Make the shards of `plans`.

    A batch holds consecutive decodable clips of one shard, in the order of the manifest, whatever the order in
    which decoding ends: so a shard comes out the same with any number of workers.

    Args:
        plans: from `selection.shard_plans`.
        writer: an open cache.
        encoders: frozen.
        preparation: of a clip.
        pace: workers, batch size, deadline.
        on_done: called with how many more clips were encoded and quarantined.
        on_read: called before a shard is finished, with the file that each of its clips was read from, by id.
        reader: the decoding function in the worker processes, as "module:function".

    Raises:
        InputError: the cache cannot take more (no room), or the device has no memory for a clip. Where it has none for
            a batch, batches are halved for the rest of the run.
        WorkersCannotStartError: no clip can be decoded at all.
    """
    started = time.perf_counter()
    filling = Filling(encoders, pace)
    jobs = (job for plan in plans for job in plan.jobs)
    with filling.decoding(preparation, reader) as pool, filling.sink(writer) as sink:
        outcomes = pool.read_all(jobs, ahead=pace.ahead)
        for plan in plans:
            for step in filling.shard(plan, itertools.islice(outcomes, len(plan.jobs)), sink, on_read):
                if step.encoded or step.quarantined:
                    on_done(step.encoded, step.quarantined)
    tally = filling.tally
    tally.encoded, tally.quarantined = sink.written, sink.quarantined
    tally.encoder_seconds = filling.encode.seconds()
    tally.seconds = time.perf_counter() - started
    return tally


@dataclass(frozen=True)
class Step:
    """What has happened to a shard since the step before."""

    encoded: int = 0
    quarantined: int = 0
    encoding: tuple[str, ...] = ()
    """Clips that are given to the encoders next."""


class NoMemoryError(InputError):
    """The device has no memory for a single clip."""


class Filling:
    """Fill shards, one after the other, with what the encoders make of decoded clips.

    Args:
        encoders: frozen.
        pace: batch size, and what the decoding processes may do.
    """

    def __init__(self, encoders: Encoders, pace: Pace) -> None:
        self.encoders, self.pace = encoders, pace
        self.encode = BatchEncoder(encoders)
        self.tally = Tally()
        """Of all shards: how many clips only the second decoder could read, and the size of batches in the end."""

    def decoding(self, preparation: ClipPreparation, reader: str = READER) -> DecodingPool:
        """The processes that decode, to be entered."""
        pace = self.pace
        return DecodingPool(
            preparation,
            workers=pace.workers,
            timeout=pace.clip_timeout,
            memory=pace.clip_memory,
            reader=reader,
        )

    def sink(self, shelf: Shelf) -> ShardSink:
        """The thread that writes, to be entered."""
        return ShardSink(shelf, self.encoders.visual.feature_shape, self.encoders.audio.feature_shape)

    def shard(
        self,
        plan: ShardPlan,
        outcomes: Iterable[Outcome],
        sink: ShardSink,
        on_read: Callable[[Mapping[str, Path]], None] = lambda files: None,
    ) -> Iterator[Step]:
        """Hand a shard to `sink`, from its beginning to its end.

        Args:
            plan: of the shard.
            outcomes: what decoding made of its jobs, in their order.
            sink: which has no other shard at work.
            on_read: called before the shard is ended, with the file that each of its clips was read from, by id.
        """
        sink.begin(plan)
        rows: list[int] = []
        clips: list[PreparedClip] = []
        files: dict[str, Path] = {}
        for row, outcome in enumerate(outcomes):
            if outcome.clip is None:
                sink.quarantine(outcome.job.id, outcome.reason, outcome.words)
                yield Step(quarantined=1)
                continue
            self.tally.second_choice += outcome.second_choice
            files[outcome.job.id] = outcome.job.path
            rows.append(row)
            clips.append(outcome.clip)
            if len(clips) == self.pace.batch_size:
                yield from self._batch(plan, rows, clips, sink)
        if clips:
            yield from self._batch(plan, rows, clips, sink)
        on_read(files)
        sink.end()

    def _batch(self, plan: ShardPlan, rows: list[int], clips: list[PreparedClip], sink: ShardSink) -> Iterator[Step]:
        """Encode these clips, at once or, where there is no memory for that, by halves; both lists are emptied."""
        while clips:
            size = min(self.tally.batch_size or self.pace.batch_size, len(clips))
            yield Step(encoding=tuple(plan.jobs[row].id for row in rows[:size]))
            features = encode_if_it_fits(self.encode, clips[:size])
            if features is not None:
                sink.put(tuple(rows[:size]), *features)
                del rows[:size], clips[:size]
                yield Step(encoded=size)
            elif size > 1:
                self.tally.batch_size = size // 2
            else:
                raise NoMemoryError(
                    f"{self.encoders.device} has no memory for a single clip beside the encoders: "
                    "free some, or choose another --device"
                )


def encode_if_it_fits(
    encode: "BatchEncoder", clips: Sequence[PreparedClip]
) -> tuple[Tensor, Tensor, Callable[[], None]] | None:
    """What `encode` gives, or None where the device has no memory for these clips; what it took is then let go."""
    try:
        return encode(clips)
    except torch.OutOfMemoryError:
        pass  # the error holds on to tensors: only behind it can they be let go
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


class BatchEncoder:
    """Encode batches; on a GPU without waiting for it, so that the next batch is gathered meanwhile."""

    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders
        self._on_gpu = encoders.device.type == "cuda"
        self._seconds = 0.0
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __call__(self, clips: Sequence[PreparedClip]) -> tuple[Tensor, Tensor, Callable[[], None]]:
        """Encode B clips.

        Returns:
            visual (B, L, S, D) and audio (B, D) in host memory, and a function that returns when they are there.
        """
        pixels = self._gather([torch.from_numpy(clip.pixels) for clip in clips])  # (B, T, 3, H, W)
        fbank = self._gather([torch.from_numpy(clip.fbank) for clip in clips])  # (B, F, M)
        if not self._on_gpu:
            started = time.perf_counter()
            visual, audio = self._encoders.visual.encode(pixels), self._encoders.audio.encode(fbank)
            visual, audio = visual.cpu(), audio.cpu()
            self._seconds += time.perf_counter() - started
            return visual, audio, lambda: None
        with torch.cuda.device(self._encoders.device):
            return self._encode_on_gpu(pixels, fbank)

    def _encode_on_gpu(self, pixels: Tensor, fbank: Tensor) -> tuple[Tensor, Tensor, Callable[[], None]]:
        begun, ended, arrived = (torch.cuda.Event(enable_timing=True) for _ in range(3))
        begun.record()
        visual = self._encoders.visual.encode(pixels.to(self._encoders.device, non_blocking=True))
        audio = self._encoders.audio.encode(fbank.to(self._encoders.device, non_blocking=True))
        ended.record()
        self._spans.append((begun, ended))
        host = [torch.empty_like(features, device="cpu", pin_memory=True) for features in (visual, audio)]
        for target, features in zip(host, (visual, audio), strict=True):
            target.copy_(features, non_blocking=True)
        arrived.record()
        return host[0], host[1], arrived.synchronize

    def _gather(self, rows: Sequence[Tensor]) -> Tensor:
        """Stack rows, in page-locked memory where a GPU is to fetch them."""
        out = torch.empty((len(rows), *rows[0].shape), dtype=rows[0].dtype, pin_memory=self._on_gpu)
        return torch.stack(list(rows), out=out)

    def seconds(self) -> float:
        """Time that the encoders took so far."""
        if self._spans:
            torch.cuda.synchronize(self._encoders.device)
            self._seconds += sum(begun.elapsed_time(ended) for begun, ended in self._spans) / 1000
            self._spans.clear()
        return self._seconds
