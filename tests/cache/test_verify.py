import hashlib
import json
import shutil

import h5py
import pytest
from avcil.cache import STORAGE_TYPES, CacheWriter, FeatureCache, scan, verify
from avcil.errors import InputError

from .conftest import as_version_0_1, change_record, change_row, features, fingerprint, flip_bit, one_line


@pytest.mark.parametrize("storage", STORAGE_TYPES)
def test_a_sound_cache_passes(make_cache, storage):
    known = make_cache(storage)
    seen: list[str] = []
    report = FeatureCache(known.directory).verify(on_shard=seen.append)
    assert report.ok
    assert (report.shards, report.clips, report.remarks) == (2, 7, ())
    assert report.bytes == known.shard(0).stat().st_size + known.shard(1).stat().st_size
    assert seen == ["shard-00000-test", "shard-00001-test"]


@pytest.mark.parametrize("storage", ["float16", "int8"])
@pytest.mark.parametrize("name", ["visual", "audio", "visual_scale", "audio_scale"])
def test_a_flipped_bit_is_found_and_shard_and_clip_are_named(make_cache, storage, name):
    known = make_cache(storage)
    place = scan(known.directory).shards[1].datasets.get(name)
    if place is None:
        assert storage == "float16"
        return
    flip_bit(known.shard(1), place.row_offset(2), 3)
    report = verify(known.directory)
    assert [(problem.shard, problem.clip) for problem in report.problems] == [
        ("shard-00001-test", known.shards[1][2]),
        ("shard-00001-test", None),
    ]
    assert str(report.problems[0]) == (
        f"shard shard-00001-test, clip '{known.shards[1][2]}': its features do not have the checksum they were "
        "written with"
    )
    assert "its hash differs" in str(report.problems[1])
    assert report.damaged_shards == ("shard-00001-test",)


@pytest.mark.slow
def test_no_single_flipped_bit_goes_unseen_and_hdf5_never_opens_the_file(make_cache, monkeypatch):
    known = make_cache(sizes=(2,))
    sound = known.shard(0).read_bytes()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("HDF5 opened a damaged file")

    monkeypatch.setattr(h5py, "File", refuse)
    for byte in range(0, len(sound), 7):
        flip_bit(known.shard(0), byte, byte % 8)
        assert not verify(known.directory).ok, f"byte {byte}"
        known.shard(0).write_bytes(sound)


def test_damage_outside_the_clips_is_said_to_be_there(known):
    flip_bit(known.shard(0), scan(known.directory).shards[0].bytes - 1)  # HDF5's room behind the last clip
    place = scan(known.directory).shards[0].datasets["visual"]
    assert place.end < known.shard(0).stat().st_size
    (problem,) = verify(known.directory).problems
    assert problem.clip is None
    assert "no clip's features are hurt" in problem.words


def test_a_damaged_name_is_found(known):
    place = scan(known.directory).shards[0].datasets["id"]
    flip_bit(known.shard(0), place.row_offset(1) + 1)
    (problem,) = verify(known.directory).problems
    assert (
        problem.words
        == f"shard shard-00000-test calls the clip in row 1 '-blip_001' where its record says '{known.ids[1]}'"
    )


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", ["visual", "audio"])
def test_features_that_are_not_finite_are_found_though_every_checksum_agrees(make_cache, storage, name):
    known = as_version_0_1(make_cache(storage))
    infinity = {"float16": b"\x00\x7c", "bfloat16": b"\x80\x7f", "float32": b"\x00\x00\x80\x7f"}[storage]
    change_row(known, 0, name, 1, infinity, mend=True)
    (problem,) = verify(known.directory).problems
    assert (problem.shard, problem.clip) == ("shard-00000-test", known.shards[0][1])
    assert problem.words == "its features are not all finite"


def test_mending_hash_and_checksum_hides_a_finite_change_from_caches_without_a_list_alone(known):
    """The check of the check: `change_row` does make hash and checksum agree."""
    change_row(known, 0, "visual", 1, b"\x00\x3c", mend=True)
    assert not verify(known.directory).ok
    assert verify(as_version_0_1(known).directory).ok
    change_row(known, 0, "visual", 1, b"\x01\x3c", mend=False)
    assert not verify(known.directory).ok


def test_a_cache_too_damaged_to_be_opened_can_be_verified(known):
    known.shard(1).write_bytes(known.shard(1).read_bytes()[:-10])
    report = verify(known.directory)
    assert not report.ok
    assert report.shards == 2
    assert report.clips == 3
    assert "shard-00001-test has" in str(report.problems[0])


def test_a_hash_that_was_edited_is_found_without_a_list_too(known):
    change_record(as_version_0_1(known), 0, sha256="0" * 64)
    (problem,) = verify(known.directory).problems
    assert "its hash differs" in problem.words


@pytest.mark.parametrize("lost", [("json",), ("h5",), ("h5", "json")])
def test_a_lost_shard_is_named(known, lost):
    for suffix in lost:
        known.shard(0, suffix).unlink()
    report = verify(known.directory)
    assert report.damaged_shards == ("shard-00000-test",)
    words = "is missing, and with it 3 clips, the first '-clip_000'" if len(lost) == 2 else f"test.{lost[0]} is missing"
    assert words in str(report.problems[0])
    assert report.mending == f"`avcil-extract repair --cache {known.directory}` mends it"


def test_the_folder_of_all_shards_may_be_lost(known):
    shutil.rmtree(known.directory / "shards")
    assert verify(known.directory).damaged_shards == ("shard-00000-test", "shard-00001-test")
    assert [problem.words for problem in verify(as_version_0_1_without_shards(known)).problems] == [
        "the folder shards is missing"
    ]


def as_version_0_1_without_shards(known):
    (known.directory / "shards.list").unlink()
    path = known.directory / "cache.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "list"}))
    return known.directory


def test_what_cannot_be_listed_is_no_empty_cache(known, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(known.directory), "iterdir", refuse)
    with pytest.raises(InputError) as error:
        verify(known.directory)
    assert one_line(error) == f"{known.directory / 'shards'} cannot be read: Permission denied"


def test_a_cache_of_version_0_1_is_sound_but_cannot_tell_lost_shards(known):
    as_version_0_1(known)
    report = verify(known.directory)
    assert report.ok
    assert "without a list of its shards, as version 0.1 wrote caches" in report.remarks[0]
    known.shard(0).unlink()
    assert "shard-00000-test.h5 is missing" in str(verify(known.directory).problems[0])
    known.shard(0, "json").unlink()
    assert verify(known.directory).ok


def test_a_record_lost_by_a_cache_of_version_0_1_is_missed_but_a_copy_of_a_shard_is_not_taken_for_one(known):
    as_version_0_1(known)
    shutil.copy(known.shard(1), known.directory / "shards" / "backup.h5")
    known.shard(0, "json").unlink()
    report = verify(known.directory)
    assert [problem.words for problem in report.problems] == [
        "shard shard-00000-test is incomplete: shard-00000-test.json is missing"
    ]
    assert "shards/backup.h5 is no part of the cache and is left alone" in report.remarks


def test_a_lost_or_damaged_list_is_a_problem(known):
    path = known.directory / "shards.list"
    lines = path.read_bytes()
    for damage in (b"x" + lines[1:], lines.replace(b"-clip_001", b"-clip_010")):
        path.write_bytes(damage)
        assert [str(problem) for problem in verify(known.directory).problems] == [
            "shards.list, the list of shards, is damaged (line 1)"
        ]
    path.unlink()
    assert "shards.list, the list of shards, is missing" in str(verify(known.directory).problems[0])
    path.mkdir()
    assert "damaged (it cannot be read: Is a directory)" in str(verify(known.directory).problems[0])


def test_a_damaged_quarantine_is_a_problem(known):
    (known.directory / "quarantine.json").write_text("{")
    (problem,) = verify(known.directory).problems
    assert problem.shard is None
    assert "quarantine.json cannot be read as JSON" in problem.words


def test_clips_of_a_lost_shard_that_are_elsewhere_or_in_quarantine_are_not_missed(known):
    for suffix in ("h5", "json"):
        known.shard(0, suffix).unlink()
    visual, audio = features(2)
    with CacheWriter(known.directory, fingerprint()) as cache:
        cache.quarantine(known.shards[0][1], "no audio", "")
        cache.write_shard("other", [known.shards[0][0]], visual[:1], audio[:1])
        assert "1 clip, the first '-clip_002'" in str(verify(known.directory).problems[0])
        cache.write_shard("another", [known.shards[0][2]], visual[:1], audio[:1])
    assert verify(known.directory).ok


def test_a_record_that_points_elsewhere_is_found(known):
    """Hash, checksums and names may all agree while HDF5 would find other data than the record's readers."""
    path, record = as_version_0_1(known).shard(0), known.record(0)
    start, end = record["datasets"]["visual"]["offset"], record["bytes"]
    data = path.read_bytes() + path.read_bytes()[start:end]
    record["datasets"]["visual"]["offset"] = len(data) - (end - start)
    record.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    path.write_bytes(data)
    known.shard(0, "json").write_text(json.dumps(record))
    (problem,) = verify(known.directory).problems
    assert problem.words == "shard shard-00000-test: visual does not lie where its record says"


def test_a_disk_that_fails_when_hdf5_reads_is_one_line(known, monkeypatch):
    def fails(*given, **named):
        raise OSError("Unable to open file\n(file read failed: time = now\n, errno = 5)")

    monkeypatch.setattr(h5py, "File", fails)
    first, _ = verify(known.directory).problems
    assert str(first) == (
        "shard shard-00000-test cannot be read by HDF5: Unable to open file (file read failed: time = now , errno = 5)"
    )
