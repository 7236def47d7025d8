"""Every clip is checked the first time that it is read in a process, by whichever way it is read."""

import pickle
import zlib
from types import SimpleNamespace

import pytest
import torch
from avcil.cache import STORAGE_TYPES, FeatureCache, checks, scan
from avcil.errors import InputError

from .conftest import AUDIO_SHAPE, VISUAL_SHAPE, as_version_0_1, change_row, flip_bit, one_line

WAYS = {
    "straight": lambda cache, ids: cache.read(ids),
    "converted": lambda cache, ids: cache.read(ids, dtype=torch.float64),
    "pictures alone": lambda cache, ids: cache.read_into(ids, torch.empty(len(ids), *VISUAL_SHAPE), None),
    "sound alone": lambda cache, ids: cache.read_into(ids, None, torch.empty(len(ids), *AUDIO_SHAPE)),
    "sound alone, straight": lambda cache, ids: cache.read_into(
        ids, None, torch.empty(len(ids), *AUDIO_SHAPE, dtype=torch.float16)
    ),
}
PARTS = {"pictures alone": ("visual",), "sound alone": ("audio",), "sound alone, straight": ("audio",)}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("storage", ["float16", "int8"])
@pytest.mark.parametrize("part", ["visual", "audio", "visual_scale", "audio_scale"])
@pytest.mark.parametrize("way", WAYS)
def test_a_flipped_bit_is_found_before_the_clip_is_used(make_cache, storage, part, way, listed):
    known = make_cache(storage)
    place = scan(known.directory).shards[1].datasets.get(part)
    if place is None or part.removesuffix("_scale") not in PARTS.get(way, ("visual", "audio")):
        return
    if not listed:
        as_version_0_1(known)
    flip_bit(known.shard(1), place.row_offset(2), 3)
    cache = FeatureCache(known.directory)
    WAYS[way](cache, known.shards[0])  # a shard and a clip beside it
    WAYS[way](cache, known.shards[1][:2])
    with pytest.raises(InputError) as error:
        WAYS[way](cache, known.ids)
    assert one_line(error) == (
        f"clip '{known.shards[1][2]}' in {known.shard(1)} is damaged: its features do not have the checksum they were "
        f"written with: `avcil-extract repair --cache {known.directory}` mends it"
    )


def test_sound_is_checked_where_pictures_are_damaged_and_a_record_of_version_0_1_has_no_sum_of_it(make_cache):
    known = make_cache()
    flip_bit(known.shard(0), scan(known.directory).shards[0].datasets["visual"].row_offset(0))
    WAYS["sound alone"](FeatureCache(known.directory), known.ids)
    with pytest.raises(InputError, match=r"clip '-clip_000' in"):
        WAYS["sound alone"](FeatureCache(as_version_0_1(known).directory), known.ids)


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("part", ["visual", "audio"])
@pytest.mark.parametrize(("sign", "name"), [(0, "infinity"), (1, "-infinity"), (2, "NaN")])
def test_values_that_are_not_finite_are_found_though_the_checksum_agrees(make_cache, storage, part, sign, name):
    known = as_version_0_1(make_cache(storage))
    value = torch.tensor([float("inf"), float("-inf"), float("nan")])[sign].to(getattr(torch, storage))
    change_row(known, 0, part, 1, value.reshape(1).view(torch.uint8).numpy().tobytes(), mend=True)
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory).read(known.ids, dtype=torch.float32)
    assert f"clip '-clip_001' in {known.shard(0)} is damaged: its features are not all finite" in one_line(error)


@pytest.mark.parametrize("storage", STORAGE_TYPES)
def test_each_clip_is_checked_once(make_cache, storage, monkeypatch):
    known = make_cache(storage)
    cache = FeatureCache(known.directory)
    sums = []

    def counted(*arguments):
        sums.append(len(arguments[0]))
        return zlib.crc32(*arguments)

    monkeypatch.setattr(checks, "zlib", SimpleNamespace(crc32=counted))
    parts = 4 if storage == "int8" else 2

    def count(way, *, again=False):
        sums.clear()
        reader = pickle.loads(pickle.dumps(cache)) if again else cache
        WAYS[way](reader, known.ids * 2)
        return len(sums) / len(known.ids)

    assert count("sound alone") == parts / 2
    assert count("sound alone") == 0
    assert count("pictures alone") == parts  # its sound once more: the checksum runs over both
    for way in WAYS:
        assert count(way) == 0
    assert count("straight", again=True) == parts  # another process
    assert count("sound alone", again=True) == parts / 2


def test_a_clip_found_damaged_is_refused_every_time(known):
    flip_bit(known.shard(0), scan(known.directory).shards[0].datasets["audio"].row_offset(0))
    cache = FeatureCache(known.directory)
    for _ in range(3):
        with pytest.raises(InputError, match="'-clip_000'"):
            cache.read(known.ids)
    assert cache.read(known.ids[1:]).audio.shape[0] == 6
