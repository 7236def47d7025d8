import hashlib
import json
import zlib

import h5py
import numpy as np
import pytest
from avcil.cache import STORAGE_TYPES, FeatureCache, scan, verify

from .conftest import flip_bit


def change_row(known, number: int, name: str, row: int, values: bytes, *, mend: bool) -> None:
    """Overwrite a clip's values; with `mend`, hash and checksum are made to agree again."""
    path, record = known.shard(number), json.loads(known.shard(number, "json").read_text())
    places = {
        key: (place["offset"], place["shape"], np.dtype(place["dtype"])) for key, place in record["datasets"].items()
    }

    def bounds(key: str) -> tuple[int, int]:
        offset, shape, dtype = places[key]
        size = int(np.prod(shape[1:])) * dtype.itemsize
        return offset + row * size, offset + (row + 1) * size

    data = bytearray(path.read_bytes())
    start, _ = bounds(name)
    data[start : start + len(values)] = values
    if mend:
        crc32 = 0
        for key in ("visual", "visual_scale", "audio", "audio_scale"):
            if key in places:
                crc32 = zlib.crc32(data[slice(*bounds(key))], crc32)
        data[slice(*bounds("crc32"))] = np.uint32(crc32).tobytes()
        record["sha256"] = hashlib.sha256(data).hexdigest()
        known.shard(number, "json").write_text(json.dumps(record))
    path.write_bytes(data)


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
    flip_bit(known.shard(0), 0)  # the signature of HDF5
    (problem,) = verify(known.directory).problems
    assert problem.clip is None
    assert "no clip's features are hurt" in problem.words


def test_a_damaged_name_is_found(known):
    place = scan(known.directory).shards[0].datasets["id"]
    flip_bit(known.shard(0), place.row_offset(1) + 1)
    problems = verify(known.directory).problems
    assert problems[0].clip == known.shards[0][1]
    assert "the shard itself calls this clip" in problems[0].words


def test_a_record_that_renames_a_clip_is_found(known):
    record = json.loads(known.shard(0, "json").read_text())
    record["ids"][0] = "-clip_777"
    known.shard(0, "json").write_text(json.dumps(record))
    (problem,) = verify(known.directory).problems
    assert (problem.shard, problem.clip) == ("shard-00000-test", "-clip_777")


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", ["visual", "audio"])
def test_features_that_are_not_finite_are_found_though_every_checksum_agrees(make_cache, storage, name):
    known = make_cache(storage)
    infinity = {"float16": b"\x00\x7c", "bfloat16": b"\x80\x7f", "float32": b"\x00\x00\x80\x7f"}[storage]
    change_row(known, 0, name, 1, infinity, mend=True)
    (problem,) = verify(known.directory).problems
    assert (problem.shard, problem.clip) == ("shard-00000-test", known.shards[0][1])
    assert problem.words == "its features are not all finite"


def test_mending_hash_and_checksum_hides_a_finite_change(known):
    """The check of the check: `change_row` does make hash and checksum agree."""
    change_row(known, 0, "visual", 1, b"\x00\x3c", mend=True)
    assert verify(known.directory).ok
    change_row(known, 0, "visual", 1, b"\x01\x3c", mend=False)
    assert not verify(known.directory).ok


def test_a_cache_too_damaged_to_be_opened_can_be_verified(known):
    known.shard(1).write_bytes(known.shard(1).read_bytes()[:-10])
    report = verify(known.directory)
    assert not report.ok
    assert report.shards == 2
    assert report.clips == 3
    assert "shard-00001-test has" in str(report.problems[0])


def test_a_record_that_points_elsewhere_is_found(known):
    """Hash, checksums and names may all agree while HDF5 would find other data than the record's readers."""
    path, record = known.shard(0), json.loads(known.shard(0, "json").read_text())
    start, end = record["datasets"]["visual"]["offset"], record["bytes"]
    data = path.read_bytes() + path.read_bytes()[start:end]
    record["datasets"]["visual"]["offset"] = len(data) - (end - start)
    record.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    path.write_bytes(data)
    known.shard(0, "json").write_text(json.dumps(record))
    (problem,) = verify(known.directory).problems
    assert problem.words == "shard shard-00000-test: visual does not lie where its record says"
