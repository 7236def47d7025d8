"""What runs in a worker: the encoders, and decoding processes of their own. Knows no Ray.

A worker is asked for a shard while it is still at another one: it decodes the clips of the second meanwhile, so that
the encoders need not wait between the two.
"""

import os
import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ...cache import Fingerprint, Sealed, ShardOutline, ShardWriter
from ...devices import describe_device
from ...versions import versions
from ..assembly import LIBRARIES, fingerprint, load_encoders
from ..config import ExtractionConfig
from ..decoding.workers import READER, Job
from ..pipeline import Filling, Pace, encode_if_it_fits
from ..preparation.recipes import ClipPreparation
from ..selection import ShardPlan


@dataclass(frozen=True)
class Orders:
    """What a worker has to know before its first shard."""

    encoders: ExtractionConfig
    """Its choices of encoders, device and precision count, and the paths in it are whole."""
    preparation: ClipPreparation
    pace: Pace
    threads: int
    """Of PyTorch's arithmetic."""
    fingerprint: Fingerprint
    """Of the cache that is to be added to."""
    reader: str = READER
    """The decoding function, as "module:function"."""


@dataclass(frozen=True)
class Greeting:
    """What a worker says when it is ready."""

    host: str
    pid: int
    device: str
    difference: str
    """In what its features would differ from those of the cache; empty where in nothing."""


@dataclass(frozen=True)
class Note:
    """A worker is alive and at work on a shard."""

    clips: tuple[str, ...] = ()
    """Those that are given to the encoders next."""
    encoded: int = 0
    """Clips encoded since the note before."""
    quarantined: int = 0


@dataclass(frozen=True)
class Made:
    """A shard's features are on disk, beside its name."""

    sealed: Sealed | None
    """None where no clip of it could be encoded."""
    quarantined: Mapping[str, tuple[str, str]]
    """Reason and words, by clip."""
    files: Mapping[str, Path]
    """The file that each clip was read from."""
    second_choice: int
    batch_size: int | None
    encoder_seconds: float
    """Of this worker so far."""
    encoded: int = 0
    """Since the last note, as `Note` counts them."""
    quarantined_since: int = 0


@dataclass(frozen=True)
class Tried:
    """The worker has survived all the clips that were to be tried."""


@dataclass
class OutlinedShelf:
    """Stands for the cache in a process that does not hold its lock: keeps what is to be committed and quarantined."""

    outline: ShardOutline
    versions: Mapping[str, str]
    sealed: Sealed | None = None

    def __post_init__(self) -> None:
        self.quarantined: dict[str, tuple[str, str]] = {}

    def shard(
        self, name: str, ids: Sequence[str], visual_shape: Sequence[int], audio_shape: Sequence[int]
    ) -> ShardWriter:
        """Begin the outlined shard, the only one there is."""
        asked = name, tuple(ids), tuple(visual_shape), tuple(audio_shape)
        outline = self.outline
        if asked != (outline.name, outline.ids, outline.visual_shape, outline.audio_shape):
            raise ValueError(f"shard {outline.name} is to be made as it was outlined, not as {asked}")
        return outline.begin(self.versions, self._keep)

    def quarantine(self, clip: str, reason: str, words: str) -> None:
        """Note that a clip cannot be encoded."""
        self.quarantined[clip] = reason, words

    def _keep(self, sealed: Sealed) -> None:
        self.sealed = sealed


class ShardWorker:
    """Makes shards. `make` and `attempt` may be called in a second thread while a first one is in them."""

    def __init__(self, orders: Orders) -> None:
        torch.set_num_threads(orders.threads)
        encoders, _ = load_encoders(orders.encoders)
        self._orders = orders
        self._filling = Filling(encoders, orders.pace)
        self._versions = versions(LIBRARIES)
        self._encoding = threading.Lock()
        # Its processes die with this one.
        self._pool = self._filling.decoding(orders.preparation, orders.reader).__enter__()

    def greet(self) -> Greeting:
        """Say that all is loaded."""
        orders, encoders = self._orders, self._filling.encoders
        storage: Literal["storage"] = "storage"
        mine = fingerprint(encoders, orders.preparation.recipe, str(orders.fingerprint.facts.get(storage)))
        return Greeting(
            platform.node(),
            os.getpid(),
            describe_device(encoders.device),
            mine.difference(orders.fingerprint),
        )

    def make(self, outline: ShardOutline, jobs: Sequence[Job]) -> Iterator[Note | Made]:
        """Make a shard.

        Args:
            outline: of the shard; its clips are those of the jobs.
            jobs: in the order of its rows.

        Raises:
            InputError: there is no room on the disk, or none on the device for a single clip.
        """
        torch.set_num_threads(self._orders.threads)  # each thread has its own number
        plan, filling, files = ShardPlan(outline.name, tuple(jobs)), self._filling, dict[str, Path]()
        shelf = OutlinedShelf(outline, self._versions)
        outcomes = self._pool.read_all(plan.jobs, ahead=self._orders.pace.ahead)
        with filling.sink(shelf) as sink:
            encoded = quarantined = 0
            with self._encoding:  # the one behind goes on from here while this one is synced and hashed
                before = filling.tally.second_choice
                yield Note()
                for step in filling.shard(plan, outcomes, sink, files.update):
                    encoded, quarantined = encoded + step.encoded, quarantined + step.quarantined
                    if step.encoding:
                        yield Note(step.encoding, encoded, quarantined)
                        encoded = quarantined = 0
                second_choice = filling.tally.second_choice - before
                seconds = filling.encode.seconds()
        yield Made(
            sealed=shelf.sealed,
            quarantined=shelf.quarantined,
            files=files,
            second_choice=second_choice,
            batch_size=filling.tally.batch_size,
            encoder_seconds=seconds,
            encoded=encoded,
            quarantined_since=quarantined,
        )

    def attempt(self, jobs: Sequence[Job]) -> Iterator[Note | Tried]:
        """Decode and encode clips one by one, and keep nothing: to find out which of them kills this process."""
        torch.set_num_threads(self._orders.threads)
        with self._encoding:
            yield Note()
            for outcome in self._pool.read_all(jobs, ahead=1):
                if outcome.clip is not None:
                    yield Note((outcome.job.id,))
                    features = encode_if_it_fits(self._filling.encode, [outcome.clip])
                    if features is not None:
                        features[2]()
        yield Tried()
