import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from avcil.cache import CacheWriter, FeatureCache, NotStorable, read_quarantine, scan
from avcil.errors import InputError

from .conftest import AUDIO_SHAPE, VISUAL_SHAPE, features, fingerprint, one_line

SHAPES = VISUAL_SHAPE, AUDIO_SHAPE


def test_a_new_cache_says_what_made_it(known):
    content = json.loads((known.directory / "cache.json").read_text())
    assert content["format"] == "avcil-cache"
    assert content["format_version"] == 1
    assert content["facts"] == fingerprint().facts
    assert content["fingerprint"] == fingerprint().digest
    assert content["versions"] == {"torch": "2"}
    assert content["notes"] == {"why": "test"}


def test_a_second_writer_goes_on_where_the_first_stopped(known):
    visual, audio = features(2, seed=9)
    with CacheWriter(known.directory, fingerprint()) as cache:
        assert cache.have == frozenset(known.ids)
        assert (cache.lines, cache.lost) == ((), ())
        cache.write_shard("shard-00002-test", ["new_a", "new_b"], visual, audio)
        assert cache.have == frozenset(known.ids) | {"new_a", "new_b"}
    assert FeatureCache(known.directory).ids == (*known.ids, "new_a", "new_b")


def test_another_fingerprint_is_refused_with_the_difference_named(known):
    before = sorted(path.name for path in known.directory.rglob("*"))
    with (
        pytest.raises(InputError) as error,
        CacheWriter(known.directory, fingerprint(recipe={"rate": 11430}, store="x")),
    ):
        pass
    assert "recipe.rate: 11430 here, 16000 there" in one_line(error)
    assert 'store: "x" here, nothing there' in one_line(error)
    assert sorted(path.name for path in known.directory.rglob("*")) == before
    with (
        pytest.raises(InputError, match='storage: "int8" here, "float16" there'),
        CacheWriter(known.directory, fingerprint("int8")),
    ):
        pass


def test_two_writers_cannot_be_at_work_at_once(known):
    with CacheWriter(known.directory, fingerprint()):
        with pytest.raises(InputError, match="another process is writing"), CacheWriter(known.directory, fingerprint()):
            pass
        program = (
            "import sys\nfrom pathlib import Path\nfrom avcil.cache import CacheWriter, FeatureCache, Fingerprint\n"
            "try:\n    CacheWriter(Path(sys.argv[1]), FeatureCache(sys.argv[1]).fingerprint).__enter__()\n"
            "except ValueError as error:\n    print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(known.directory)], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("another process is writing to")
    with CacheWriter(known.directory, fingerprint()):  # the lock is free again
        pass


def test_the_lock_is_freed_when_a_writer_is_refused(known):
    with pytest.raises(InputError), CacheWriter(known.directory, fingerprint("int8")):
        pass
    with CacheWriter(known.directory, fingerprint()) as cache:
        assert cache.have


@pytest.mark.parametrize("kind", ["file", "strange folder", "cache.json of another program", "newer format"])
def test_what_is_no_cache_is_left_alone(tmp_path, known, kind):
    target = tmp_path / "other"
    if kind == "file":
        target.write_text("mine")
    elif kind == "strange folder":
        target.mkdir()
        (target / "holiday.txt").write_text("mine")
    elif kind == "newer format":
        target = known.directory
        content = json.loads((target / "cache.json").read_text())
        (target / "cache.json").write_text(json.dumps({**content, "format_version": 2}))
    else:
        target.mkdir()
        (target / "cache.json").write_text("{}")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(InputError) as error, CacheWriter(target, fingerprint()):
        pass
    assert str(target) in one_line(error)
    assert [name for name in sorted(path.name for path in tmp_path.rglob("*")) if name != ".lock"] == [
        name for name in before if name != ".lock"
    ]


def test_an_empty_folder_becomes_a_cache(tmp_path):
    with CacheWriter(tmp_path, fingerprint()) as cache:
        assert cache.have == frozenset()
    assert scan(tmp_path).shards == ()


@pytest.mark.parametrize("left", [[], ["shards.list"], ["shards", "shards.list"]])
def test_what_a_writer_killed_at_its_very_beginning_left_becomes_a_cache(tmp_path, left):
    (tmp_path / ".lock").touch()
    for name in left:
        (tmp_path / name).mkdir() if name == "shards" else (tmp_path / name).touch()
    (tmp_path / "cache.json.avcil-0123456789abcdef.part").write_text("{")
    with CacheWriter(tmp_path, fingerprint()) as cache:
        cache.write_shard("s", ["a"], *features(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "cache.json", "shards", "shards.list"]
    assert FeatureCache(tmp_path).verify().ok


def test_a_new_cache_into_which_nothing_came_is_gone_after_an_error(tmp_path):
    directory = tmp_path / "deep" / "cache"

    def fail(say):
        with CacheWriter(directory, fingerprint()) as cache:
            say(cache)
            raise InputError("no room")

    for nothing in (lambda cache: None, lambda cache: cache.beside("missing.csv").write_text("video_id\n")):
        with pytest.raises(InputError, match="no room"):
            fail(nothing)
        assert not directory.exists()
    with pytest.raises(InputError, match="no room"):
        fail(lambda cache: cache.quarantine("a", "no audio", ""))
    assert set(read_quarantine(directory)) == {"a"}
    with pytest.raises(InputError, match="no room"):
        fail(lambda cache: cache.write_shard("s", ["b"], *features(1)))
    assert FeatureCache(directory).ids == ("b",)


def test_nothing_can_be_written_outside_the_with_block(tmp_path):
    cache = CacheWriter(tmp_path / "cache", fingerprint())
    with pytest.raises(RuntimeError, match="with"):
        cache.quarantine("a", "b", "c")
    with cache:
        pass
    with pytest.raises(RuntimeError, match="with"):
        cache.write_shard("s", ["a"], *features(1))


@pytest.mark.parametrize("source", [np.asarray, torch.from_numpy, lambda x: torch.from_numpy(x).to(torch.float16)])
def test_arrays_and_tensors_of_any_float_type_are_taken(tmp_path, source):
    visual, audio = (part.astype(np.float16).astype(np.float32) for part in features(3))
    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        cache.write_shard("s", ["a", "b", "c"], source(visual), source(audio))
    read = FeatureCache(tmp_path / "cache").read(["a", "b", "c"], dtype=torch.float32)
    np.testing.assert_array_equal(read.visual.numpy(), visual)
    np.testing.assert_array_equal(read.audio.numpy(), audio)


def test_clips_put_in_any_order_lie_in_the_order_of_the_ids(tmp_path, known):
    ids = known.shards[1]
    rows = [known.ids.index(clip) for clip in ids]
    with CacheWriter(tmp_path / "fresh", fingerprint(), versions={"torch": "2"}) as cache:
        with cache.shard("shard-00001-test", ids, *SHAPES) as shard:
            for index in (2, 0, 3, 1):
                shard.put(index, known.visual[rows[index]] + 1, known.audio[rows[index]])
                shard.put(index, known.visual[rows[index]], known.audio[rows[index]])  # a second put counts
        assert shard.record is not None
        assert shard.record.ids == ids
    assert (tmp_path / "fresh/shards/shard-00001-test.h5").read_bytes() == known.shard(1).read_bytes()


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_clips_that_were_never_put_are_left_out_as_if_never_meant(tmp_path, storage):
    visual, audio = features(5)
    ids = ["a_long_name_that_never_came", "b", "c", "d", "e"]
    kept = [1, 2, 4]
    with CacheWriter(tmp_path / "some", fingerprint(storage)) as cache:
        with cache.shard("s", ids, *SHAPES) as shard:
            for index in (4, 1, 2):
                shard.put(index, visual[index], audio[index])
        assert cache.have == {"b", "c", "e"}
    with CacheWriter(tmp_path / "plain", fingerprint(storage)) as cache:
        cache.write_shard("s", [ids[index] for index in kept], visual[kept], audio[kept])
    assert (tmp_path / "some/shards/s.h5").read_bytes() == (tmp_path / "plain/shards/s.h5").read_bytes()
    assert sorted(path.name for path in (tmp_path / "some/shards").iterdir()) == ["s.h5", "s.json"]
    assert FeatureCache(tmp_path / "some").verify().ok


def test_a_file_system_that_gives_fewer_bytes_than_asked_for_loses_none(tmp_path, monkeypatch):
    """As network file systems may; with the clips that are left out the others are read once more."""
    visual, audio = features(4)
    pread, preadv, pwrite = os.pread, os.preadv, os.pwrite
    shards = []
    for name in ("whole", "halves"):
        with CacheWriter(tmp_path / name, fingerprint()) as cache, cache.shard("s", list("abcd"), *SHAPES) as shard:
            for index in (3, 1):
                shard.put(index, visual[index], audio[index])
        shards.append((tmp_path / name / "shards" / "s.h5").read_bytes())
        monkeypatch.setattr(os, "pread", lambda file, size, at: pread(file, (size + 1) // 2, at))
        monkeypatch.setattr(os, "preadv", lambda file, into, at: preadv(file, [into[0][: (len(into[0]) + 1) // 2]], at))
        monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, data[: (len(data) + 1) // 2], at))
    assert shards[0] == shards[1]


def test_a_shard_without_any_clip_is_no_shard(tmp_path):
    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        with cache.shard("s", ["a"], *SHAPES) as shard:
            pass
        assert shard.record is None
        assert cache.have == frozenset()
    assert list((tmp_path / "cache/shards").iterdir()) == []


def test_an_exception_leaves_nothing(tmp_path):
    visual, audio = features(2)

    def interrupted(cache: CacheWriter) -> None:
        with cache.shard("s", ["a", "b"], *SHAPES) as shard:
            shard.put(0, visual[0], audio[0])
            raise KeyboardInterrupt

    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        with pytest.raises(KeyboardInterrupt):
            interrupted(cache)
        assert cache.have == frozenset()
        assert list((tmp_path / "cache/shards").iterdir()) == []
        cache.write_shard("s", ["a", "b"], visual, audio)  # and the name is free
        assert cache.have == {"a", "b"}


def test_features_that_do_not_fit_can_be_left_out(tmp_path):
    visual, audio = features(3)
    visual[1, 0, 0, 0] = 1e5
    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        with cache.shard("s", ["a", "b", "c"], *SHAPES) as shard:
            shard.put(0, visual[0], audio[0])
            with pytest.raises(NotStorable, match="the visual features of clip 'b' reach 100000"):
                shard.put(1, visual[1], audio[1])
            shard.put(2, visual[2], audio[2])
        assert cache.have == {"a", "c"}
        with pytest.raises(NotStorable, match="clip 'z'"):
            cache.write_shard("t", ["z"], visual[1:2], audio[:1])
        assert cache.have == {"a", "c"}
    assert FeatureCache(tmp_path / "cache").verify().ok


def test_what_does_not_belong_into_the_cache_is_refused(known):
    visual, audio = features(2)
    with CacheWriter(known.directory, fingerprint()) as cache:
        with pytest.raises(InputError, match=r"clip '-clip_000' is already in shard shard-00000-test"):
            cache.write_shard("new", ["fresh", "-clip_000"], visual, audio)
        with pytest.raises(InputError, match="holds features of shapes"):
            cache.write_shard("new", ["fresh", "fresher"], visual[:, :1], audio)
        with pytest.raises(ValueError, match="exists; shards are never written again"):
            cache.write_shard("shard-00000-test", ["fresh", "fresher"], visual, audio)
        for ids in ([], ["a", "a"], ["", "b"]):
            with pytest.raises(ValueError, match="each of them once"):
                cache.shard("new", ids, *SHAPES)
        with pytest.raises(ValueError, match="3 ids for 2 visual and 2 audio"):
            cache.write_shard("new", ["a", "b", "c"], visual, audio)
        with pytest.raises(ValueError, match="audio has shape"), cache.shard("new", ["a"], *SHAPES) as shard:
            shard.put(0, visual[0], audio[0, :3])
        assert cache.have == frozenset(known.ids)


def test_files_of_somebody_else_are_left_alone_and_named(known, tmp_path):
    own = {
        "backup.h5": b"mine",
        "my notes.json": b"{}",
        "shard-00009-test.h5.part": b"half",
        "a.part": b"",
        "b.h5": b"",
    }
    for name, content in own.items():
        (known.directory / "shards" / name).write_bytes(content)
    visual, audio = features(2)
    with CacheWriter(known.directory, fingerprint()) as cache:
        assert sorted(cache.lines) == sorted(f"shards/{name} is no part of the cache and is left alone" for name in own)
        assert cache.lost == ()
        cache.write_shard("b", ["new_a", "new_b"], visual, audio)  # a name that is taken by somebody's file
    for name, content in own.items():
        place = known.directory / ("set-aside" if name == "b.h5" else "shards")
        assert (place / name).read_bytes() == content
    assert FeatureCache(known.directory).ids == ("new_a", "new_b", *known.ids)


def test_shards_that_are_a_link_to_another_folder_are_refused(known, tmp_path):
    home = tmp_path / "thesis"
    home.mkdir()
    (home / "thesis.h5").write_bytes(b"mine")
    (home / "package.json").write_text("{}")
    (known.directory / "shards").rename(tmp_path / "shards")
    (known.directory / "shards").symlink_to(home)
    with pytest.raises(InputError) as error:
        CacheWriter(known.directory, fingerprint()).__enter__()
    assert f"{known.directory / 'shards'} is a link, and nothing is written or moved through one" in one_line(error)
    assert sorted(path.name for path in home.iterdir()) == ["package.json", "thesis.h5"]
    (known.directory / "shards").unlink()
    (known.directory / "shards").symlink_to(tmp_path / "shards")
    assert FeatureCache(known.directory).ids == known.ids  # to read through one is another matter


@pytest.mark.parametrize("name", ["cache.json", "quarantine.json", "shards.list", ".lock", "set-aside", "shards/s.h5"])
def test_nothing_is_written_through_a_link(tmp_path, known, name):
    victim = tmp_path / "victim"
    victim.mkdir() if name == "set-aside" else victim.write_bytes(b"mine")
    before = sorted(tmp_path.glob("victim/*")), victim.is_file() and victim.read_bytes()
    path = known.directory / name
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    known.shard(1).write_bytes(b"damaged")
    try:
        with CacheWriter(known.directory, fingerprint()) as cache:
            cache.quarantine("a", "no audio", "")
            cache.write_shard("s", ["new"], *features(1))
    except InputError as error:
        assert "link" in str(error)  # noqa: PT017
        assert name in (".lock", "set-aside")
    else:
        assert name not in (".lock", "set-aside")
    assert (sorted(tmp_path.glob("victim/*")), victim.is_file() and victim.read_bytes()) == before


def test_a_clip_that_is_encoded_after_all_leaves_the_quarantine(tmp_path):
    visual, audio = features(1)
    with CacheWriter(tmp_path / "cache", fingerprint()) as cache:
        cache.quarantine("a", "no audio", "no audio stream")
        cache.quarantine("b", "timeout", "")
        cache.write_shard("s", ["a"], visual, audio)
        assert set(cache.quarantined) == {"b"}
