"""What stage 2's benchmarks learn: random features, of true shape unless said, on a disk or without one.

Shapes: L = 8 time slices, S = 196 tokens, D = 768 channels.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.incremental.data.tasks import ClipTable
from torch import Tensor

VISUAL, AUDIO = (8, 196, 768), (768,)
PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class RandomSource:
    """Features without a disk: a pool of random clips that all ids share."""

    def __init__(
        self, pool: int = 64, visual_shape: tuple[int, ...] = VISUAL, audio_shape: tuple[int, ...] = AUDIO
    ) -> None:
        draw = torch.Generator().manual_seed(0)
        self.visual_shape, self.audio_shape = visual_shape, audio_shape
        self.visual = torch.randn(pool, *visual_shape, generator=draw).to(torch.bfloat16)
        self.audio = torch.randn(pool, *audio_shape, generator=draw)

    def read_into(
        self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
    ) -> None:
        """Rows of the pool, by the number in the id."""
        for row, clip in enumerate(ids):
            place = int(clip) % len(self.visual)
            if visual is not None:
                visual[row] = self.visual[place]
            if audio is not None:
                audio[row] = self.audio[place]


def table_of(tasks: int, classes: int, train: int, val: int, test: int) -> ClipTable:
    """A clip table of `tasks` tasks with so many classes and clips each."""
    labels, splits = [], []
    for task in range(tasks):
        for split, count in (("train", train), ("val", val), ("test", test)):
            labels += [task * classes + number % classes for number in range(count)]
            splits += [split] * count
    names = [f"class {label}" for label in range(tasks * classes)]
    return ClipTable(
        ids=tuple(str(number) for number in range(len(labels))),
        labels=torch.tensor(labels),
        splits=tuple(splits),
        tasks=tuple(tuple(names[task * classes : (task + 1) * classes]) for task in range(tasks)),
    )


def write_cache(directory: Path, table: ClipTable) -> FeatureCache:
    """A float16 cache of random features for the clips of `table`."""
    source = RandomSource()
    with CacheWriter(directory, Fingerprint({"visual_encoder": {"random_weights": 0}, "storage": "float16"})) as writer:
        for begin in range(0, len(table.ids), 50):
            ids = table.ids[begin : begin + 50]
            visual, audio = torch.empty(len(ids), *VISUAL), torch.empty(len(ids), *AUDIO)
            source.read_into(ids, visual, audio)
            writer.write_shard(f"shard-{begin // 50:05d}", ids, visual, audio)
    return FeatureCache(directory)
