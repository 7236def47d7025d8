import os
import pickle
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from avcil.cache import STORAGE_TYPES, CacheWriter, FeatureCache, Fingerprint
from avcil.errors import InputError

from .conftest import AUDIO_SHAPE, VISUAL_SHAPE, features, fingerprint, one_line

MIXED = (5, 0, 6, 0, 3, 2, 2, 1)  # of seven clips in two shards: any order, some of them twice


def expected(known, rows, storage) -> tuple[torch.Tensor, torch.Tensor]:
    """What the storage type makes of the features, worked out by its definition, in float32."""
    results = []
    for values in (known.visual[list(rows)], known.audio[list(rows)]):
        kept = torch.from_numpy(values)
        if storage == "int8":
            scale = np.abs(values).max(-1, keepdims=True) / np.float32(127)
            kept = torch.from_numpy(np.rint(values / scale) * scale)
        else:
            kept = kept.to(getattr(torch, storage)).float()
        results.append(kept)
    return results[0], results[1]


@pytest.mark.parametrize("storage", STORAGE_TYPES)
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 3])
def test_clips_come_in_the_order_asked_for_in_the_type_asked_for(make_cache, storage, dtype, threads):
    known = make_cache(storage)
    cache = FeatureCache(known.directory)
    assert (cache.visual_shape, cache.audio_shape, cache.storage) == (VISUAL_SHAPE, AUDIO_SHAPE, storage)
    read = cache.read([known.ids[row] for row in MIXED], dtype=dtype, threads=threads)
    visual, audio = expected(known, MIXED, storage)
    default = torch.float32 if storage == "int8" else getattr(torch, storage)
    assert read.visual.dtype == (dtype or default) == read.audio.dtype
    assert torch.equal(read.visual, visual.to(dtype or default))
    assert torch.equal(read.audio, audio.to(dtype or default))


def test_ids_are_in_the_order_of_the_shards(known):
    cache = FeatureCache(known.directory)
    assert cache.ids == known.ids
    assert known.ids[3] in cache
    assert "nobody" not in cache
    assert cache.missing(["nobody", known.ids[0], "nothing"]) == ("nobody", "nothing")
    assert cache.fingerprint == fingerprint()
    assert not cache.random_weights


def test_random_weights_are_known_to_the_reader(tmp_path):
    facts = Fingerprint({"audio_encoder": {"random_weights": 0}, "storage": "float16"})
    with CacheWriter(tmp_path / "cache", facts) as cache:
        cache.write_shard("s", ["a"], *features(1))
    assert FeatureCache(tmp_path / "cache").random_weights


def test_no_clips_are_no_work(known):
    read = FeatureCache(known.directory).read([])
    assert read.visual.shape == (0, *VISUAL_SHAPE)
    assert read.audio.shape == (0, *AUDIO_SHAPE)


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_reading_into_tensors_touches_the_rows_asked_for_alone(make_cache, storage):
    known = make_cache(storage)
    cache = FeatureCache(known.directory)
    ids = [known.ids[row] for row in (4, 1)]
    visual, audio = torch.full((3, *VISUAL_SHAPE), 7.0), torch.full((3, *AUDIO_SHAPE), 7.0)
    cache.read_into(ids, visual, audio)
    wanted_visual, wanted_audio = expected(known, (4, 1), storage)
    assert torch.equal(visual[:2], wanted_visual)
    assert torch.equal(audio[:2], wanted_audio)
    assert (visual[2] == 7).all()
    assert (audio[2] == 7).all()


def test_one_modality_can_be_left_out(known):
    cache = FeatureCache(known.directory)
    both = cache.read(known.ids)
    visual, audio = torch.empty_like(both.visual), torch.empty_like(both.audio)
    cache.read_into(known.ids, visual, None)
    cache.read_into(known.ids, None, audio)
    cache.read_into(known.ids, None, None)
    assert torch.equal(visual, both.visual)
    assert torch.equal(audio, both.audio)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_targets_need_not_be_contiguous(known, dtype):
    cache = FeatureCache(known.directory)
    slices, tokens, channels = VISUAL_SHAPE
    visual = torch.empty(slices, tokens, channels, len(known.ids), dtype=dtype).permute(3, 0, 1, 2)
    audio = torch.empty(len(known.ids), AUDIO_SHAPE[0] * 2, dtype=dtype)[:, ::2]
    cache.read_into(known.ids, visual, audio)
    assert torch.equal(visual, cache.read(known.ids, dtype=dtype).visual)
    assert torch.equal(audio, cache.read(known.ids, dtype=dtype).audio)


@pytest.mark.parametrize(
    "visual",
    [
        torch.empty(6, *VISUAL_SHAPE),  # too few rows
        torch.empty(7, 2, 5, 7),  # another shape
        torch.empty(7, *VISUAL_SHAPE, dtype=torch.int32),
    ],
)
def test_tensors_that_do_not_fit_are_refused(known, visual):
    with pytest.raises(ValueError, match="visual: 7 clips of shape"):
        FeatureCache(known.directory).read_into(known.ids, visual, None)


def test_unknown_clips_are_refused_before_anything_is_read(known):
    audio = torch.full((3, *AUDIO_SHAPE), 7.0)
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory).read_into([known.ids[0], "ghost", "spook"], None, audio)
    assert "lacks 2 of the 3 clips asked for, the first 'ghost'" in one_line(error)
    assert (audio == 7).all()


def test_reading_needs_no_hdf5(known, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("HDF5 was opened")

    monkeypatch.setattr(h5py, "File", refuse)
    read = FeatureCache(known.directory).read(known.ids, dtype=torch.float32)
    assert torch.equal(read.visual, torch.from_numpy(known.visual).half().float())


def test_a_cache_can_be_pickled_and_holds_no_file_open(known):
    descriptors = Path("/proc/self/fd")  # Linux only
    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    cache = FeatureCache(known.directory)
    again = pickle.loads(pickle.dumps(cache))
    assert torch.equal(again.read(known.ids).visual, cache.read(known.ids).visual)
    assert (len(list(descriptors.iterdir())) if descriptors.exists() else 0) == before


def test_many_threads_may_read_at_once(make_cache):
    known = make_cache(sizes=(20, 20, 20))
    cache = FeatureCache(known.directory)
    whole = cache.read(known.ids).visual
    failures: list[int] = []

    def work(seed: int) -> None:
        draw = np.random.default_rng(seed)
        for _ in range(20):
            rows = draw.integers(0, len(known.ids), 17)
            if not torch.equal(cache.read([known.ids[row] for row in rows], threads=2).visual, whole[rows]):
                failures.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


@pytest.mark.parametrize("threads", [1, 4])
def test_a_shard_cut_off_while_the_cache_is_open_is_named(make_cache, threads):
    known = make_cache(sizes=(9, 9, 9))
    cache = FeatureCache(known.directory)
    os.truncate(known.shard(1), known.shard(1).stat().st_size // 2)
    assert cache.read(known.shards[0], threads=threads).visual.shape[0] == 9
    with pytest.raises(InputError) as error:
        cache.read(known.ids, threads=threads)
    assert "shard-00001-test.h5 ends early" in one_line(error)
    known.shard(1).unlink()
    with pytest.raises(InputError, match=r"shard-00001-test.h5 cannot be read: No such file"):
        cache.read(known.ids, threads=threads)


def test_a_cache_without_shards_is_said(tmp_path):
    with CacheWriter(tmp_path / "cache", fingerprint()):
        pass
    with pytest.raises(InputError, match="holds no finished shard yet: run the extraction"):
        FeatureCache(tmp_path / "cache")


def test_a_new_shard_is_seen_when_the_cache_is_opened_again(known):
    first = FeatureCache(known.directory)
    with CacheWriter(known.directory, fingerprint()) as cache:
        cache.write_shard("shard-00002-test", ["late"], *features(1, seed=5))
        assert "late" not in first
        assert first.read(known.ids).visual.shape[0] == 7  # it can be read beside the writer
    assert "late" in FeatureCache(known.directory)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("storage", STORAGE_TYPES)
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_reading_to_a_gpu_gives_what_reading_to_memory_gives(make_cache, storage, dtype):
    known = make_cache(storage, sizes=(30, 40))  # more than one portion
    cache = FeatureCache(known.directory)
    here, there = cache.read(known.ids, dtype=dtype), cache.read(known.ids, dtype=dtype, device="cuda")
    assert there.visual.device.type == "cuda"
    assert torch.equal(there.visual.cpu(), here.visual)
    assert torch.equal(there.audio.cpu(), here.audio)


def test_a_digest_tells_features_apart_by_content_and_order(tmp_path):
    """Made again from other pictures it is another one; at another place it is the same."""
    visual, audio = features(4)
    ids = ["a", "b", "c", "d"]
    for name in ("one", "two", "other"):
        with CacheWriter(tmp_path / name, fingerprint()) as writer:
            writer.write_shard("shard-0", ids[:2], visual[:2], audio[:2])
            writer.write_shard("shard-1", ids[2:], visual[2:], audio[2:] if name != "other" else audio[2:] + 1)
    one, two, other = (FeatureCache(tmp_path / name) for name in ("one", "two", "other"))
    assert one.digest(ids) == two.digest(ids)
    assert one.digest(ids[:2]) == other.digest(ids[:2])
    assert one.digest(ids) != other.digest(ids)
    assert one.digest(ids) != one.digest(ids[::-1])
    with pytest.raises(KeyError):
        one.digest(["e"])
