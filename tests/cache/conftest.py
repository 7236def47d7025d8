"""Small caches of known features, made through the public door."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from avcil.cache import CacheWriter, Fingerprint

VISUAL_SHAPE, AUDIO_SHAPE = (2, 5, 6), (7,)


def fingerprint(storage: str = "float16", **facts: object) -> Fingerprint:
    return Fingerprint({"visual_encoder": {"name": "v"}, "recipe": {"rate": 16000}, "storage": storage, **facts})


@dataclass(frozen=True)
class Known:
    """A cache on disk and what was put into it."""

    directory: Path
    ids: tuple[str, ...]
    visual: np.ndarray  # (N, L, S, D) float32
    audio: np.ndarray  # (N, D) float32
    shards: tuple[tuple[str, ...], ...]  # ids by shard

    def shard(self, number: int, suffix: str = "h5") -> Path:
        return self.directory / "shards" / f"shard-{number:05d}-test.{suffix}"


def features(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    visual = draw.standard_normal((count, *VISUAL_SHAPE)).astype(np.float32)
    return visual, draw.standard_normal((count, *AUDIO_SHAPE)).astype(np.float32)


MakeCache = Callable[..., Known]


@pytest.fixture
def make_cache(tmp_path: Path) -> MakeCache:
    """`make_cache(storage, sizes)` writes shards of these sizes and says what is in them."""

    def make(storage: str = "float16", sizes: Sequence[int] = (3, 4), name: str = "cache") -> Known:
        total = sum(sizes)
        visual, audio = features(total)
        ids = tuple(f"-clip_{number:03d}" for number in range(total))
        shards, start = [], 0
        with CacheWriter(
            tmp_path / name, fingerprint(storage), versions={"torch": "2"}, notes={"why": "test"}
        ) as cache:
            for number, size in enumerate(sizes):
                part = slice(start, start + size)
                cache.write_shard(f"shard-{number:05d}-test", ids[part], visual[part], audio[part])
                shards.append(ids[part])
                start += size
        return Known(tmp_path / name, ids, visual, audio, tuple(shards))

    return make


@pytest.fixture
def known(make_cache: MakeCache) -> Known:
    return make_cache()


def flip_bit(path: Path, byte: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text
