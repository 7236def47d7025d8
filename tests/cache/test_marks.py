"""What a shard's own bytes say, against HDF5's answers and against records that say otherwise."""

import dataclasses
import struct

import h5py
import pytest
from avcil.cache import STORAGE_TYPES, scan
from avcil.cache.layout import ShardRecord
from avcil.cache.marks import audio_crc32_of, checksums_of, record_in
from avcil.errors import InputError

from .conftest import as_version_0_1, flip_bit, one_line


def changed(record: ShardRecord, name: str, **values) -> ShardRecord:
    place = dataclasses.replace(record.datasets[name], **values)
    return dataclasses.replace(record, datasets={**record.datasets, name: place})


@pytest.mark.parametrize("storage", STORAGE_TYPES)
@pytest.mark.parametrize("sizes", [(1,), (2, 3), (300,)])
def test_a_sound_shard_agrees_with_its_record_and_its_checksums_are_those_of_hdf5(make_cache, storage, sizes):
    known = make_cache(storage, sizes)
    for number, record in enumerate(scan(known.directory).shards):
        crc32 = checksums_of(known.shard(number), record)
        with h5py.File(known.shard(number)) as file:
            assert crc32.tolist() == file["crc32"][:].tolist() == list(record.crc32)


def test_hdf5_is_not_asked(known, monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("HDF5 was opened")

    monkeypatch.setattr(h5py, "File", refuse)
    checksums_of(known.shard(0), scan(known.directory).shards[0])


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_whatever_a_record_says_of_a_place_is_compared(make_cache, storage):
    known = make_cache(storage)
    [record, _] = scan(known.directory).shards
    for name, place in record.datasets.items():
        for step in (1, 4, -4):
            try:
                moved = changed(record, name, offset=place.offset + step)
            except ValueError:  # into another data set, or out of the file
                continue
            with pytest.raises(InputError, match=f"{name} does not lie where its record says"):
                checksums_of(known.shard(0), moved)
    rows, slices, tokens, channels = record.datasets["visual"].shape
    if storage == "float16":
        for shape in ((rows, tokens, slices, channels), (rows, slices * 2, tokens, channels // 2)):
            with pytest.raises(InputError, match="visual is not of the shape that its record says"):
                checksums_of(known.shard(0), changed(record, "visual", shape=shape))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bytes": 10**6}, "bytes where its record says 1000000"),
        ({"fingerprint": "f" * 64}, f"is not marked as '{'f' * 64}', as its record is"),
        ({"ids": ("-clip_000", "-clip_002", "-clip_001")}, "calls the clip in row 1 '-clip_001' where its record says"),
        ({"crc32": (1, 2, 3)}, "has another checksum for clip '-clip_000'"),
    ],
)
def test_a_record_that_says_something_else_is_told_from_the_file(known, change, words):
    record = dataclasses.replace(scan(known.directory).shards[0], **change)
    with pytest.raises(InputError) as error:
        checksums_of(known.shard(0), record)
    assert words in one_line(error)


def test_a_file_far_larger_than_what_its_record_speaks_of_is_not_read(known):
    record = scan(known.directory).shards[0]
    with known.shard(0).open("ab") as file:
        file.truncate(2**33)
    with pytest.raises(InputError, match=r"leaves 85899\d+ of its bytes unexplained"):
        checksums_of(known.shard(0), dataclasses.replace(record, bytes=2**33))


@pytest.mark.parametrize("storage", STORAGE_TYPES)
def test_the_file_alone_gives_the_record_of_version_0_1(make_cache, storage):
    known = as_version_0_1(make_cache(storage))
    for number, record in enumerate(scan(known.directory).shards):
        assert record_in(known.shard(number), record.sha256, {"torch": "2"}) == record
        assert record_in(known.shard(number), record.sha256, None) == dataclasses.replace(record, versions={})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no HDF5",
        b"\x89HDF\r\n\x1a\n" + bytes(200),
        b"\x89HDF\r\n\x1a\n" + bytes(32) + struct.pack("<Q", 2000) + bytes(1952),
    ],
)
def test_what_is_no_shard_gives_none(tmp_path, content):
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    assert record_in(path, "0" * 64, {}) is None
    assert record_in(tmp_path, "0" * 64, {}) is None


def test_another_hdf5_file_gives_none(tmp_path, known):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["visual"] = 1
    assert record_in(tmp_path / "x.h5", "0" * 64, {}) is None
    with h5py.File(known.shard(0), "a") as file:
        del file["id"]
    assert record_in(known.shard(0), "0" * 64, {}) is None


def test_no_flipped_bit_of_the_head_makes_a_traceback(known):
    sound = known.shard(0).read_bytes()
    for byte in range(0, 2048, 5):
        flip_bit(known.shard(0), byte, byte % 8)
        record_in(known.shard(0), "0" * 64, {})
        known.shard(0).write_bytes(sound)


@pytest.mark.parametrize("storage", STORAGE_TYPES)
def test_checksums_of_sound_are_those_that_the_writer_wrote(make_cache, storage):
    known = make_cache(storage)
    for number, record in enumerate(scan(known.directory).shards):
        assert audio_crc32_of(known.shard(number), record) == record.audio_crc32
