import csv
import json

import numpy as np
import pytest
import torch
from avcil.cache import FeatureCache, export
from avcil.errors import InputError


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
    assert json.loads((tmp_path / "out/cache.json").read_text())["facts"] == cache.fingerprint.facts


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


def test_what_a_killed_export_left_is_replaced(known, tmp_path):
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part/visual.npy").write_bytes(b"half")
    export(FeatureCache(known.directory), tmp_path / "out", known.ids)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "audio.npy",
        "cache.json",
        "clips.csv",
        "visual.npy",
    ]
    assert not (tmp_path / "out.part").exists()
