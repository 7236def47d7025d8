"""Runs that learnt from derived caches: a video's features go the same way as the cache's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.errors import InputError
from avcil.extract.config import DerivationConfig, Storage
from avcil.extract.derive import derive
from avcil.incremental import configure
from avcil.incremental import run as learn
from avcil.predict.recogniser import load
from rich.console import Console

from .conftest import Taught


def made_smaller(source: Path, out: Path, tokens: str, store: Storage) -> FeatureCache:
    derive(DerivationConfig(cache=source, out=out, tokens=tokens, store=store), Console(quiet=True))
    return FeatureCache(out)


@pytest.mark.slow
@pytest.mark.parametrize(("tokens", "store"), [("mean", "int8"), ("mean", "float16"), ("7x7", "int8")])
def test_a_video_takes_the_way_of_the_derived_cache(tokens: str, store: Storage, taught: Taught, tmp_path: Path):
    cache = made_smaller(taught.cache, tmp_path / "cache", tokens, store)
    lists: dict[str, Any] = {"manifest": str(taught.data.manifest), "classes": str(taught.data.classes)}
    learn(configure("ridge", **lists, cache=str(cache.directory), classes_per_task=3, device="cpu"), tmp_path / "run")
    recogniser = load(tmp_path / "run", device="cpu")
    clip = next(name for name in cache.ids if "train" in name)
    (encoded,) = recogniser.encoding.of([taught.video(clip)])
    assert encoded.features is not None
    kept = cache[clip]
    for found, expected in zip(encoded.features, kept, strict=True):
        assert found.dtype == expected.dtype
        step = expected.abs().max().item() / 127 if store == "int8" else 2e-3
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=step)
    verdict = recogniser.predict(taught.video(clip))
    (scores,) = recogniser.scores(cache, [clip])
    by_label = dict(zip(verdict.labels, verdict.scores, strict=True))
    found = torch.tensor([by_label[label] for label in recogniser.classes])
    torch.testing.assert_close(found, scores.float(), rtol=1e-2, atol=1e-2)


def test_attention_has_the_coarser_grid(tmp_path: Path):
    drawn = torch.Generator().manual_seed(0)
    ids = [f"{label}-{split}" for split in ("train", "val", "test") for label in "abcd"]
    visual, audio = torch.randn(12, 2, 16, 8, generator=drawn), torch.randn(12, 8, generator=drawn)
    with CacheWriter(tmp_path / "source", Fingerprint({"storage": "float32"})) as writer:
        writer.write_shard("shard-0", ids, visual, audio)
    rows = [f"{clip},{clip[0]},{clip[2:]}" for clip in ids]
    (tmp_path / "clips.csv").write_text("\n".join(["video_id,label,split", *rows]) + "\n")
    cache = made_smaller(tmp_path / "source", tmp_path / "cache", "2x2", "float16")
    settings: dict[str, Any] = {"manifest": str(tmp_path / "clips.csv"), "cache": str(cache.directory)}
    learn(configure("av-cil", **settings, classes_per_task=2, epochs=1, memory_size=4, device="cpu"), tmp_path / "run")
    recogniser = load(tmp_path / "run", device="cpu")
    maps = recogniser.attention("a-test")
    assert maps.grid == (2, 2)
    torch.testing.assert_close(maps.spatial.sum(dim=1), torch.ones(2))
    with pytest.raises(InputError, match="did not make"):
        recogniser.predict(tmp_path / "clips.csv")
