import csv
import errno
import fcntl
import json
import os

import numpy as np
import pytest
import torch
from avcil.cache import FeatureCache, export, scan
from avcil.errors import InputError

from .conftest import flip_bit, one_line


@pytest.mark.parametrize(
    ("storage", "dtype", "numpy_type"),
    [
        ("float16", None, np.float16),
        ("float16", torch.float32, np.float32),
        ("bfloat16", None, np.float32),
        ("float32", None, np.float32),
        ("int8", None, np.float32),
    ],
)
def test_plain_numpy_reads_what_was_exported(make_cache, tmp_path, storage, dtype, numpy_type):
    known = make_cache(storage, sizes=(20, 30))  # more than one portion
    cache = FeatureCache(known.directory)
    cache.export(tmp_path / "out", dtype=dtype)
    visual, audio = np.load(tmp_path / "out/visual.npy"), np.load(tmp_path / "out/audio.npy")
    assert visual.dtype == audio.dtype == numpy_type
    read = cache.read(known.ids, dtype=torch.float32)
    np.testing.assert_array_equal(visual.astype(np.float32), read.visual.numpy())
    np.testing.assert_array_equal(audio.astype(np.float32), read.audio.numpy())
    with (tmp_path / "out/clips.csv").open() as stream:
        assert list(csv.reader(stream)) == [
            ["row", "video_id"],
            *([str(row), clip] for row, clip in enumerate(known.ids)),
        ]
    assert json.loads((tmp_path / "out/features.json").read_text())["facts"] == cache.fingerprint.facts


def test_some_clips_in_an_order_of_ones_own(known, tmp_path):
    ids = [known.ids[5], known.ids[0]]
    FeatureCache(known.directory).export(tmp_path / "deep/down/out", ids)
    np.testing.assert_array_equal(np.load(tmp_path / "deep/down/out/audio.npy"), known.audio[[5, 0]].astype(np.float16))


def test_what_exists_is_never_overwritten(known, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"out exists: give a directory that does not"):
        FeatureCache(known.directory).export(tmp_path / "out")


def test_an_export_that_fails_leaves_nothing(known, tmp_path):
    cache = FeatureCache(known.directory)
    with pytest.raises(InputError, match="lacks 1 of the 8 clips"):
        cache.export(tmp_path / "out", [*known.ids, "ghost"])
    with pytest.raises(InputError, match="no clips to export"):
        cache.export(tmp_path / "out", [])
    with pytest.raises(ValueError, match="float16 or float32"):
        cache.export(tmp_path / "out", dtype=torch.bfloat16)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_what_a_killed_export_left_goes_and_nothing_else(known, tmp_path):
    kept = ["out.part", "out.avcil-0123456789abcdef.parts", "other.avcil-0123456789abcdef.part", "at-work"]
    at_work = "out.avcil-00000000deadbeef.part"
    left = "out.avcil-0123456789abcdef.part"
    for name in (*kept, left, at_work):
        (tmp_path / name).mkdir()
        (tmp_path / name / "visual.npy").write_bytes(b"half")
    (tmp_path / "out.avcil-aaaaaaaaaaaaaaaa.part").symlink_to(tmp_path / "out.part")
    lock = os.open(tmp_path / at_work, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    export(FeatureCache(known.directory), tmp_path / "out", known.ids)
    os.close(lock)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "audio.npy",
        "clips.csv",
        "features.json",
        "visual.npy",
    ]
    assert not (tmp_path / left).exists()
    for name in (*kept, at_work, "out.avcil-aaaaaaaaaaaaaaaa.part"):
        assert (tmp_path / name / "visual.npy").read_bytes() == b"half"


@pytest.mark.parametrize(("step", "number"), [("fsync", errno.ENOSPC), ("mkdir", errno.EROFS)])
def test_a_system_that_refuses_is_one_line_and_nothing_is_left(known, tmp_path, monkeypatch, step, number):
    def refuse(*arguments, **named):
        raise OSError(number, os.strerror(number))

    cache = FeatureCache(known.directory)
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(InputError) as error:
        cache.export(tmp_path / "out")
    assert f"{tmp_path / 'out'} cannot be written ({os.strerror(number)})" in one_line(error)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_link_is_never_followed(known, tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="out exists: give a directory that does not"):
        FeatureCache(known.directory).export(tmp_path / "out")


def test_damaged_features_are_not_exported(known, tmp_path):
    flip_bit(known.shard(1), scan(known.directory).shards[1].datasets["audio"].row_offset(0))
    with pytest.raises(InputError, match=r"clip '-clip_003' in .* is damaged"):
        FeatureCache(known.directory).export(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
