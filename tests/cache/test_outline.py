"""Shards that another process writes: no data before they are committed, then as if one process had done all."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest
from avcil.cache import CacheWriter, FeatureCache, Fingerprint, Sealed, ShardOutline, scan, verify
from avcil.errors import InputError

FINGERPRINT = Fingerprint({"storage": "float16"})
SHAPES = (2, 3, 4), (5,)
OTHER_PROCESS = """
import pickle, sys
import numpy as np
outline = pickle.load(open(sys.argv[1], "rb"))
sealed = []
with outline.begin({"torch": "elsewhere"}, sealed.append) as shard:
    for row in map(int, sys.argv[3:]):
        random = np.random.default_rng(row)
        shard.put(row, random.normal(size=(2, 3, 4)), random.normal(size=5))
pickle.dump(sealed, open(sys.argv[2], "wb"))
"""


def put(shard, rows):
    for row in rows:
        random = np.random.default_rng(row)
        shard.put(row, random.normal(size=(2, 3, 4)), random.normal(size=5))


def written(outline: ShardOutline, rows=(0, 1, 2)):
    """What is to be committed, by somebody who has the outline alone."""
    sealed: list[Sealed] = []
    with pickle.loads(pickle.dumps(outline)).begin({}, sealed.append) as shard:
        put(shard, rows)
    return sealed


def written_by_another_process(outline: ShardOutline, rows, place):
    (place / "outline").write_bytes(pickle.dumps(outline))
    places = str(place / "outline"), str(place / "sealed")
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, *places, *map(str, rows)], check=True, cwd="/")
    return pickle.loads((place / "sealed").read_bytes())


@pytest.mark.parametrize("rows", [(0, 1, 2), (2, 0)])
def test_a_committed_shard_is_what_one_process_writes(tmp_path, rows):
    with CacheWriter(tmp_path / "alone", FINGERPRINT) as writer, writer.shard("s", "abc", *SHAPES) as shard:
        put(shard, rows)
    with CacheWriter(tmp_path / "both", FINGERPRINT) as writer:
        [sealed] = written_by_another_process(writer.outline("s", "abc", *SHAPES), rows, tmp_path)
        assert not scan(tmp_path / "both").shards
        assert not writer.have
        writer.commit(sealed)
        assert writer.have == {"abc"[row] for row in rows}
    alone, both = ((tmp_path / name / "shards/s.h5").read_bytes() for name in ("alone", "both"))
    assert alone == both
    assert verify(tmp_path / "both").ok
    [record] = scan(tmp_path / "both").shards
    assert record.versions == {"torch": "elsewhere"}
    assert FeatureCache(tmp_path / "both").ids == tuple(sorted("abc"[row] for row in rows))


def test_without_clips_there_is_nothing_to_commit(tmp_path):
    with CacheWriter(tmp_path / "cache", FINGERPRINT) as writer:
        assert written(writer.outline("s", "abc", *SHAPES), ()) == []
        assert not list((tmp_path / "cache/shards").iterdir())


def test_what_was_not_committed_is_cleared_away_by_name(tmp_path):
    with CacheWriter(tmp_path / "cache", FINGERPRINT) as writer:
        for name, clips in (("s", "abc"), ("s-1", "def")):
            written(writer.outline(name, clips, *SHAPES))
        writer.clear_away("s")
        [left] = (tmp_path / "cache/shards").iterdir()
        assert left.name.startswith("s-1.h5.")
        writer.clear_away()
        assert not list((tmp_path / "cache/shards").iterdir())


def test_the_next_writer_removes_what_was_not_committed(tmp_path):
    with CacheWriter(tmp_path / "cache", FINGERPRINT) as writer:
        written(writer.outline("s", "abc", *SHAPES))
    with CacheWriter(tmp_path / "cache", FINGERPRINT) as writer:
        [line] = writer.lines
        assert line.endswith("was left unfinished: removed")
        assert not writer.have


def test_a_file_that_is_not_what_its_record_says_is_no_data(tmp_path):
    with CacheWriter(tmp_path / "cache", FINGERPRINT) as writer:
        [sealed] = written(writer.outline("s", "abc", *SHAPES))
        with sealed.part.open("r+b") as stream:
            stream.truncate(sealed.record.bytes - 1)
        with pytest.raises(InputError, match=r"shard s has .* bytes where its record says"):
            writer.commit(sealed)
        assert not writer.have
        assert not scan(tmp_path / "cache").shards


def test_nothing_is_committed_twice_or_from_elsewhere(tmp_path):
    with CacheWriter(tmp_path / "cache", FINGERPRINT) as writer:
        [sealed] = written(writer.outline("s", "abc", *SHAPES))
        [again] = written(writer.outline("s", "abc", *SHAPES))
        other = dataclasses.replace(sealed, part=tmp_path / sealed.part.name)
        with pytest.raises(ValueError, match="no file that was written aside"):
            writer.commit(other)
        stranger = dataclasses.replace(sealed, record=dataclasses.replace(sealed.record, fingerprint="0" * 64))
        with pytest.raises(ValueError, match="made for another cache"):
            writer.commit(stranger)
        writer.commit(sealed)
        with pytest.raises(ValueError, match=r"is in .* already"):
            writer.commit(again)
        with pytest.raises(ValueError, match="exists"):
            writer.outline("s", "x", *SHAPES)
        with pytest.raises(InputError, match="clip 'b' is already in shard s"):
            writer.outline("t", "b", *SHAPES)
