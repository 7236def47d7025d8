from pathlib import Path

import pytest
import torch
from avcil.cache import CacheWriter, FeatureCache, Fingerprint, NotStorable
from avcil.cache.storage import STORAGE_TYPES
from avcil.predict.encoding import as_read


@pytest.mark.parametrize("storage", list(STORAGE_TYPES))
def test_features_are_rounded_as_in_a_cache(storage: str, tmp_path: Path):
    drawn = torch.Generator().manual_seed(0)
    visual, audio = torch.randn(1, 2, 3, 8, generator=drawn), torch.randn(1, 8, generator=drawn)
    with CacheWriter(tmp_path / "cache", Fingerprint({"storage": storage})) as writer:
        writer.write_shard("shard-00000", ["clip"], visual, audio)
    kept = FeatureCache(tmp_path / "cache").read(["clip"])
    kind = STORAGE_TYPES[storage]
    assert torch.equal(as_read(visual[0], kind), kept.visual[0])
    assert torch.equal(as_read(audio[0], kind), kept.audio[0])


def test_what_the_cache_could_not_hold_is_refused():
    with pytest.raises(NotStorable, match="float16"):
        as_read(torch.tensor([1e6]), STORAGE_TYPES["float16"])
