"""A writer on disks that are full, limited, failing or without locks: one line, and nothing left behind."""

import errno
import fcntl
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from avcil import files
from avcil.cache import CacheWriter, FeatureCache, shard_writer
from avcil.errors import InputError

from .conftest import features, fingerprint, one_line


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        with pytest.raises(InputError, match=r"no room for shard s in .*: it needs 8\.33 kB, 10 B are free"):
            cache.write_shard("s", ["a"], *features(1))
        assert list((tmp_path / "cache/shards").iterdir()) == []


def test_a_limit_of_file_sizes_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda what: (1000, 1000))
    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        with pytest.raises(InputError, match=r"it needs 8\.33 kB, and no file may be larger than 1 kB \(ulimit -f\)"):
            cache.write_shard("s", ["a"], *features(1))
        assert list((tmp_path / "cache/shards").iterdir()) == []


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from avcil.cache import CacheWriter, Fingerprint, shard_writer
from avcil.errors import InputError
with CacheWriter(Path(sys.argv[1]), Fingerprint({"storage": "float16"})) as cache:
    features = np.ones((1, 20, 30, 40), np.float32), np.ones((1, 40), np.float32)
    cache.write_shard("first", ["a"], *features)
    shard_writer.ShardWriter._refuse_without_room = lambda self: None
    for size in range(100, 20_000, 900):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            cache.write_shard("s", ["b"], *features)
        except InputError as error:
            print(error)
"""


@pytest.mark.slow
def test_wherever_the_system_refuses_hdf5_the_bytes_it_is_one_line_and_leaves_nothing(tmp_path):
    """HDF5 tells of it by OSError or RuntimeError, in its own words."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "c")], capture_output=True, text=True, check=True
    )
    words = (
        f"{tmp_path / 'c/shards/s.h5'} cannot be written (File too large): raise the limit of file sizes (ulimit -f)"
    )
    assert done.stdout.splitlines() == [words] * len(range(100, 20_000, 900))
    assert done.stderr == ""
    assert sorted(path.name for path in (tmp_path / "c/shards").iterdir()) == ["first.h5", "first.json"]


@pytest.mark.parametrize("step", ["pwrite", "fsync"])
def test_a_disk_that_becomes_full_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, step):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(os, step, full)
            with pytest.raises(InputError) as error:
                cache.write_shard("s", ["a"], *features(1))
        assert one_line(error) == (
            f"{tmp_path / 'cache/shards/s.h5'} cannot be written (No space left on device): "
            "make room there, or choose another place"
        )
        assert list((tmp_path / "cache/shards").iterdir()) == []
        cache.write_shard("s", ["a"], *features(1))


def test_a_disk_that_fails_between_a_shards_name_and_its_record_leaves_nothing(tmp_path, monkeypatch):
    """Once renamed, the shard's own file would be set aside by the next run as one without a record."""
    sync, shards = files.sync_directory, tmp_path / "cache" / "shards"

    def full(directory):
        if (shards / "s.h5").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(directory)

    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(files, "sync_directory", full)
            patched.setattr(shard_writer, "sync_directory", full)
            with pytest.raises(InputError, match="No space left on device"):
                cache.write_shard("s", ["a"], *features(1))
        assert list(shards.iterdir()) == []
        cache.write_shard("s", ["a"], *features(1))


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch, known):
    def read_only(*arguments, **named):
        raise OSError(errno.EROFS, "Read-only file system")

    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory\)"):
        CacheWriter(tmp_path / "file" / "cache", fingerprint()).__enter__()
    for method, directory in (("mkdir", tmp_path / "new"), ("open", known.directory), ("open", tmp_path / "newer")):
        with monkeypatch.context() as patched:
            patched.setattr(os, method, read_only)
            with pytest.raises(InputError) as error:
                CacheWriter(directory, fingerprint()).__enter__()
        assert "(Read-only file system): choose a place that can be written to" in one_line(error)
        assert directory == known.directory or not directory.exists()


def test_a_file_system_without_locks_is_one_line_for_the_writer_and_none_for_the_reader(known, tmp_path, monkeypatch):
    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    for directory in (known.directory, tmp_path / "new"):
        with pytest.raises(InputError) as error:
            CacheWriter(directory, fingerprint()).__enter__()
        assert f"{directory} is on a file system without locks (No locks available)" in one_line(error)
    assert not (tmp_path / "new").exists()
    reader = FeatureCache(known.directory)
    assert reader.read(known.ids).visual.shape[0] == len(known.ids)
    assert reader.verify().ok
