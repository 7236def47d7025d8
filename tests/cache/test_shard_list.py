import errno
import os

import pytest
from avcil.cache import CacheWriter, scan
from avcil.cache.shard_list import add_to_list, read_list, write_list
from avcil.errors import InputError

from .conftest import as_version_0_1, features, fingerprint, one_line


def test_each_finished_shard_is_a_line_and_says_what_its_record_says(known):
    lines = (known.directory / "shards.list").read_bytes().splitlines()
    assert len(lines) == 2
    listed = read_list(known.directory)
    assert listed is not None
    assert (listed.damaged, listed.unfinished) == ((), False)
    for number, record in enumerate(listed.records.values()):
        assert record.to_json() == known.record(number)


def test_the_last_line_of_a_name_counts(known):
    first, second = scan(known.directory).shards
    add_to_list(known.directory, second)
    add_to_list(known.directory, first)
    listed = read_list(known.directory)
    assert listed is not None
    assert listed.records == {first.name: first, second.name: second}


def test_what_a_killed_writer_left_of_a_line_is_no_line_and_no_damage(known):
    path = known.directory / "shards.list"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole), 37):
        path.write_bytes(whole[:end])
        listed = read_list(known.directory)
        assert listed is not None
        assert (list(listed.records), listed.damaged, listed.unfinished) == (["shard-00000-test"], (), end > first)
        with CacheWriter(known.directory, fingerprint()) as cache:
            assert cache.lost == ()
        assert path.read_bytes() == whole


def test_no_flipped_bit_of_a_line_goes_unseen(known):
    path = known.directory / "shards.list"
    whole = path.read_bytes()
    for byte in range(0, whole.index(b"\n"), 11):
        data = bytearray(whole)
        data[byte] ^= 1 << byte % 8
        path.write_bytes(data)
        listed = read_list(known.directory)
        assert listed is not None
        assert listed.damaged[0] == "line 1"


@pytest.mark.parametrize("line", [b"", b"no line", b"%08x " % 0 + b"", b"[" * 200_000])
def test_a_line_that_is_none_costs_itself_alone(known, line):
    path = known.directory / "shards.list"
    path.write_bytes(line + b"\n" + path.read_bytes())
    listed = read_list(known.directory)
    assert listed is not None
    assert (len(listed.records), listed.damaged) == (2, ("line 1",))


def test_a_cache_of_version_0_1_has_none_and_a_new_one_an_empty_one(known, tmp_path):
    assert read_list(as_version_0_1(known).directory) is None
    write_list(tmp_path, ())
    assert (tmp_path / "shards.list").read_bytes() == b""
    listed = read_list(tmp_path)
    assert listed is not None
    assert listed.records == {}


def test_a_full_disk_or_a_link_is_one_line(known, monkeypatch):
    record = scan(known.directory).shards[0]

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"shards\.list cannot be written \(No space left on device\)"):
            add_to_list(known.directory, record)
    path = known.directory / "shards.list"
    path.rename(known.directory / "victim")
    path.symlink_to(known.directory / "victim")
    before = (known.directory / "victim").read_bytes()
    with pytest.raises(InputError) as error:
        add_to_list(known.directory, record)
    assert "a link lies there, and nothing is written through links: remove it" in one_line(error)
    assert (known.directory / "victim").read_bytes() == before


def test_a_shard_whose_line_could_not_be_written_is_entered_by_the_next_writer(known, monkeypatch):
    visual, audio = features(1)

    def fail(directory, record):
        raise InputError("full")

    with monkeypatch.context() as patched:
        patched.setattr("avcil.cache.writer.add_to_list", fail)
        with pytest.raises(InputError, match="full"), CacheWriter(known.directory, fingerprint()) as cache:
            cache.write_shard("late", ["new"], visual, audio)
    with CacheWriter(known.directory, fingerprint()) as cache:
        assert "new" in cache.have
    listed = read_list(known.directory)
    assert listed is not None
    assert "late" in listed.records
