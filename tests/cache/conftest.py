"""Small caches of known features, made through the public door; and ways of damaging them."""

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def record(self, number: int) -> Any:
        return json.loads(self.shard(number, "json").read_text())

    def files(self) -> dict[str, bytes]:
        """Every file of the cache but those that say nothing of the features, with its bytes."""
        paths = [
            path for path in self.directory.rglob("*") if path.is_file() and path.name not in (".lock", "shards.list")
        ]
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in paths}


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


def as_version_0_1(known: Known) -> Known:
    """Make of a cache what version 0.1 would have written: no list, and records that say less."""
    (known.directory / "shards.list").unlink()
    description = json.loads((known.directory / "cache.json").read_text())
    del description["list"]
    (known.directory / "cache.json").write_text(json.dumps(description, indent=1))
    for number in range(len(known.shards)):
        record = known.record(number)
        for name in ("crc32", "audio_crc32", "facts", "notes"):
            del record[name]
        known.shard(number, "json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return known


def change_record(known: Known, number: int, **values: Any) -> None:
    known.shard(number, "json").write_text(json.dumps({**known.record(number), **values}))


def change_row(known: Known, number: int, name: str, row: int, values: bytes, *, mend: bool) -> None:
    """Overwrite a clip's values; with `mend`, hash and checksum are made to agree again, as version 0.1 has them."""
    path, record = known.shard(number), known.record(number)
    places = {
        key: (place["offset"], place["shape"], np.dtype(place["dtype"])) for key, place in record["datasets"].items()
    }

    def bounds(key: str) -> tuple[int, int]:
        offset, shape, dtype = places[key]
        size = int(np.prod(shape[1:])) * dtype.itemsize
        return offset + row * size, offset + (row + 1) * size

    data = bytearray(path.read_bytes())
    start, _ = bounds(name)
    data[start : start + len(values)] = values
    if mend:
        crc32 = 0
        for key in ("visual", "visual_scale", "audio", "audio_scale"):
            if key in places:
                crc32 = zlib.crc32(data[slice(*bounds(key))], crc32)
        data[slice(*bounds("crc32"))] = np.uint32(crc32).tobytes()
        record["sha256"] = hashlib.sha256(data).hexdigest()
        known.shard(number, "json").write_text(json.dumps(record))
    path.write_bytes(data)


def flip_bit(path: Path, byte: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text
