import json
import shutil

import pytest
from avcil.cache import FeatureCache, scan
from avcil.errors import InputError

from .conftest import flip_bit, one_line


def test_a_sound_cache_has_shards_and_nothing_else(known):
    contents = scan(known.directory)
    assert [record.ids for record in contents.shards] == list(known.shards)
    assert (contents.damaged, contents.leftovers, contents.duplicates) == ((), (), ())
    assert contents.description.versions == {"torch": "2"}


def test_what_a_killed_writer_left_is_passed_over(make_cache):
    known = make_cache(sizes=(2, 3, 4))
    (known.directory / "shards" / "shard-00009-test.h5.part").write_bytes(b"half of a shard")
    (known.directory / "shards" / "shard-00009-test.json.part").write_text("{")
    known.shard(0, "json").unlink()  # a shard without its record
    known.shard(1).unlink()  # a record without its shard
    contents = scan(known.directory)
    assert [record.name for record in contents.shards] == ["shard-00002-test"]
    assert [path.name for path in contents.leftovers] == [
        "shard-00000-test.h5",
        "shard-00001-test.json",
        "shard-00009-test.h5.part",
        "shard-00009-test.json.part",
    ]
    reader = FeatureCache(known.directory)
    assert reader.ids == known.shards[2]
    assert reader.verify().ok
    assert len(reader.verify().remarks) == 4
    with pytest.raises(InputError, match="lacks 1 of the 1 clips asked for, the first '-clip_000'"):
        reader.read(["-clip_000"])


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data[:100], lambda data: b"", lambda d: d + b"x"]
)
def test_a_shard_of_another_size_is_named_in_one_line(known, change):
    data = known.shard(1).read_bytes()
    known.shard(1).write_bytes(change(data))
    assert [damaged.name for damaged in scan(known.directory).damaged] == ["shard-00001-test"]
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory)
    words = f"shard shard-00001-test has {len(change(data))} bytes where its record says {len(data)}"
    assert words in one_line(error)
    assert "run the extraction again" in one_line(error)


def test_a_damaged_record_is_named_in_one_line(known):
    known.shard(0, "json").write_text("{ not JSON")
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory)
    assert "shard-00000-test.json cannot be read as JSON" in one_line(error)


def test_a_clip_in_two_shards_is_read_from_the_first_and_said(known):
    for suffix in ("h5", "json"):
        shutil.copy(known.shard(0, suffix), known.directory / "shards" / f"twin.{suffix}")
    record = json.loads((known.directory / "shards/twin.json").read_text())
    (known.directory / "shards/twin.json").write_text(json.dumps({**record, "name": "twin"}))
    reader = FeatureCache(known.directory)
    assert reader.ids == known.ids
    contents = scan(known.directory)
    assert contents.duplicates[0] == "clip '-clip_000' is in shard shard-00000-test and in twin"
    assert len(contents.duplicates) == 3
    assert reader.verify().ok
    assert contents.duplicates[0] in reader.verify().remarks
    flip_bit(known.directory / "shards/twin.h5", record["datasets"]["visual"]["offset"], 3)
    before = reader.read(known.ids)
    known.shard(0).rename(known.shard(0, "aside"))
    known.shard(0, "json").unlink()
    assert not reader.verify().ok
    assert FeatureCache(known.directory).read(known.ids).visual.ne(before.visual).sum() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(format="something"), "does not describe a feature cache"),
        (lambda content: content.update(format_version=2), "has format version 2; this program reads 1"),
        (lambda content: content["facts"].update(storage="int8"), "do not have the fingerprint it states"),
        (lambda content: content.pop("notes"), "'notes' is not a table"),
    ],
)
def test_a_description_that_cannot_be_trusted_is_refused(known, change, words):
    path = known.directory / "cache.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory)
    assert words in one_line(error)


def test_what_is_no_cache_is_said_in_one_line(tmp_path):
    for target in (tmp_path, tmp_path / "nothing here"):
        with pytest.raises(InputError) as error:
            FeatureCache(target)
        assert f"{target} is not a feature cache: it has no cache.json" in one_line(error)
