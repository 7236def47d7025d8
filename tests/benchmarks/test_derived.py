"""The benchmark of derived caches: what it draws, what it derives, and what stands in its table."""

from pathlib import Path
from types import SimpleNamespace

import torch
from avcil.benchmarks.derived import Drawn, caches_of, table
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.cache.derived import derivation_of


def small(folder: Path) -> Path:
    with CacheWriter(folder, Fingerprint({"storage": "float16"})) as writer:
        writer.write_shard("shard-0", ["a"], torch.ones(1, 2, 49, 4), torch.ones(1, 4))
    return folder


def test_a_drawn_clip_shows_its_class_among_three_and_lets_it_be_heard():
    drawn = Drawn(5, shown=1.0, heard=1.0)
    visual, audio = drawn.clip(3, 7)
    assert all(torch.equal(*pair) for pair in zip(drawn.clip(3, 7), (visual, audio), strict=True))
    seen = (visual.mean(dim=0) @ drawn.shown.T / 768).amax(dim=0)  # of each class, in the token that shows it best
    assert seen[3] > 0.5
    assert (seen > 0.5).sum() == 3
    assert (drawn.heard @ audio).argmax() == 3


def test_all_but_the_first_cache_are_derived(tmp_path: Path):
    source = small(tmp_path / "source")
    caches = caches_of(source, tmp_path, ["7x7", "mean"], ["float16", "int8"])
    assert caches.pop(("7x7", "float16")) == source
    for (tokens, stored), cache in caches.items():
        features = FeatureCache(cache)
        how = derivation_of(features.fingerprint.facts)
        assert how is not None
        assert (how.tokens, how.storage) == ((7, 7) if tokens == "7x7" else (1, 1), stored)


def test_rows_are_compared_with_the_first_seed_by_seed(tmp_path: Path):
    cache = small(tmp_path / "cache")
    metrics = [
        [{"mean_accuracy": 50.0 + seed, "average_forgetting": 5.0, "seconds": 2.0} for seed in range(2)],
        [{"mean_accuracy": 48.0 + seed, "average_forgetting": 6.0, "seconds": 1.0} for seed in range(2)],
    ]
    runs = [[SimpleNamespace(metrics=of_seed) for of_seed in of_cache] for of_cache in metrics]
    _, _, first, second = table({("7x7", "float16"): (cache, runs[0]), ("mean", "int8"): (cache, runs[1])})
    assert first.startswith("| 7x7 | float16 | 50.50 ± 0.71")
    assert "| -2.00 ± 0.00" in second
    assert "| 1.00 ± 0.00" in second
