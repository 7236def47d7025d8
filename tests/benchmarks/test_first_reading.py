"""What is counted as the checks of a run."""

from pathlib import Path

import numpy as np
import pytest
from avcil.benchmarks.first_reading import spent_on_checks
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.errors import InputError


def cache_of_three(folder: Path) -> FeatureCache:
    with CacheWriter(folder, Fingerprint({"storage": "float16"})) as writer:
        visual, audio = np.ones((3, 2, 5, 4), np.float16), np.ones((3, 4), np.float16)
        writer.write_shard("shard-000000", ["a", "b", "c"], visual, audio)
    return FeatureCache(folder)


def test_each_first_reading_counts_once_and_only_while_it_is_entered(tmp_path: Path):
    cache = cache_of_three(tmp_path / "cache")
    cache.read(["c"])
    with spent_on_checks() as spent:
        cache.read(["a", "b"])
        cache.read(["b", "a", "c"])
    FeatureCache(tmp_path / "cache").read(["a"])
    assert spent.checks == 2
    assert spent.seconds > 0


def test_what_is_timed_still_checks(tmp_path: Path):
    cache = cache_of_three(tmp_path / "cache")
    shard = next((tmp_path / "cache" / "shards").glob("*.h5"))
    content = bytearray(shard.read_bytes())
    place = content.find(np.ones(16, np.float16).tobytes())
    content[place] ^= 1
    shard.write_bytes(bytes(content))
    with spent_on_checks(), pytest.raises(InputError, match=r"clip .a. .* is damaged"):
        cache.read(["a", "b", "c"])
