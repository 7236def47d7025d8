import json
import os
import shutil

import numpy as np
import pytest
from avcil.cache import CacheWriter, FeatureCache, scan
from avcil.errors import InputError

from .conftest import as_version_0_1, change_record, fingerprint, flip_bit, one_line


def names(paths):
    return [path.name for path in paths]


def test_a_sound_cache_has_shards_and_nothing_else(known):
    contents = scan(known.directory)
    assert [record.ids for record in contents.shards] == list(known.shards)
    assert (contents.damaged, contents.leftovers, contents.strangers, contents.duplicates) == ((), (), (), ())
    assert contents.description.versions == {"torch": "2"}
    assert contents.listed is not None
    assert list(contents.listed.records.values()) == list(contents.shards)


def test_a_cache_of_version_0_1_is_read_as_before(known):
    there = FeatureCache(known.directory).read(known.ids)
    as_version_0_1(known)
    contents = scan(known.directory)
    assert contents.listed is None
    assert (contents.damaged, contents.strangers) == ((), ())
    read = FeatureCache(known.directory).read(known.ids)
    assert read.visual.equal(there.visual)
    assert read.audio.equal(there.audio)


def test_what_a_killed_writer_left_is_passed_over_and_so_are_files_of_somebody_else(known):
    left = ["shard-00009-test.h5.avcil-0123456789abcdef.part", "shard-00009-test.json.avcil-00000000deadbeef.part"]
    others = ["my notes.json", "backup.h5", "shard-00009-test.h5.part", "x.avcil-0123456789abcdef.part.txt", "a.h5"]
    for name in [*left, *others[:-1]]:
        (known.directory / "shards" / name).write_bytes(b"half of a shard")
    (known.directory / "shards" / others[-1]).mkdir()
    (known.directory / "cache.json.avcil-0123456789abcdef.part").write_text("{")
    contents = scan(known.directory)
    assert names(contents.leftovers) == ["cache.json.avcil-0123456789abcdef.part", *left]
    assert sorted(names(contents.strangers)) == sorted(others)
    reader = FeatureCache(known.directory)
    assert reader.ids == known.ids
    assert reader.verify().ok
    assert len(reader.verify().remarks) == len(left) + len(others) + 1


def test_a_shard_that_is_whole_but_not_listed_yet_is_data(known):
    """Its writer was killed before the last line of the list."""
    path = known.directory / "shards.list"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:30])
    assert FeatureCache(known.directory).ids == known.ids
    assert scan(known.directory).damaged == ()


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
    assert one_line(error).endswith(f"`avcil-extract repair --cache {known.directory}` mends it")


def test_a_damaged_record_is_named_in_one_line(known):
    known.shard(0, "json").write_text("{ not JSON")
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory)
    assert "shard-00000-test.json cannot be read as JSON" in one_line(error)


def test_lost_shards_are_named_before_anything_is_read(known):
    for suffix in ("h5", "json"):
        known.shard(0, suffix).unlink()
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory)
    assert one_line(error) == (
        f"{known.directory}: shard shard-00000-test is missing, and with it 3 clips, the first '-clip_000': "
        f"`avcil-extract repair --cache {known.directory}` mends it"
    )


def test_a_lost_or_damaged_list_is_named_before_anything_is_read(known):
    path = known.directory / "shards.list"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(InputError, match=r"shards\.list is damaged \(line 1\): `avcil-extract repair"):
        FeatureCache(known.directory)
    path.unlink()
    with pytest.raises(InputError, match=r"has lost shards\.list, the list of its shards: `avcil-extract repair"):
        FeatureCache(known.directory)


def swap_files(known):
    """Two equally large .h5 files."""
    aside = known.directory / "aside"
    known.shard(0).rename(aside)
    known.shard(1).rename(known.shard(0))
    aside.rename(known.shard(1))


def swap_ids(known):
    ids = known.record(0)["ids"]
    change_record(known, 0, ids=[ids[1], ids[0], *ids[2:]])


def rename_a_clip(known):
    change_record(known, 0, ids=["-clip_777", *known.record(0)["ids"][1:]])


def move_an_offset(known):
    record = known.record(0)
    record["datasets"]["visual"]["offset"] -= 2 * record["datasets"]["visual"]["shape"][-1]
    known.shard(0, "json").write_text(json.dumps(record))


def reshape(known):
    """(2L, S, D / 2) has as many bytes as (L, S, D): no checksum tells."""
    record = known.record(0)
    rows, slices, tokens, channels = record["datasets"]["visual"]["shape"]
    record["datasets"]["visual"]["shape"] = [rows, slices * 2, tokens, channels // 2]
    known.shard(0, "json").write_text(json.dumps(record))


def another_storage(known):
    change_record(known, 0, storage="bfloat16")


def another_dtype(known):
    record = known.record(0)
    record["datasets"]["audio"]["dtype"] = ">f2"
    known.shard(0, "json").write_text(json.dumps(record))


def a_dtype_of_garbage(known):
    record = known.record(0)
    record["datasets"]["audio"]["dtype"] = "no such type"
    known.shard(0, "json").write_text(json.dumps(record))


def nested_deeply(known):
    known.shard(0, "json").write_text("[" * 200_000)


def a_folder_as_file(known):
    known.shard(0).unlink()
    known.shard(0).mkdir()


def a_folder_as_record(known):
    known.shard(0, "json").unlink()
    known.shard(0, "json").mkdir()


def a_link_to_nothing(known):
    known.shard(0).unlink()
    known.shard(0).symlink_to("nowhere")


def a_pipe(known):
    known.shard(0).unlink()
    os.mkfifo(known.shard(0))


def a_pipe_as_record(known):
    known.shard(0, "json").unlink()
    os.mkfifo(known.shard(0, "json"))


def another_fingerprint(known):
    change_record(known, 0, fingerprint="f" * 64)


def no_header(known):
    data = known.shard(0).read_bytes()
    known.shard(0).write_bytes(bytes(64) + data[64:])


def the_name_of_a_clip(known):
    flip_bit(known.shard(0), scan(known.directory).shards[0].datasets["id"].row_offset(1))


DAMAGE = [
    swap_files,
    swap_ids,
    rename_a_clip,
    move_an_offset,
    reshape,
    another_storage,
    another_dtype,
    a_dtype_of_garbage,
    nested_deeply,
    a_folder_as_file,
    a_folder_as_record,
    a_link_to_nothing,
    a_pipe,
    a_pipe_as_record,
    another_fingerprint,
    no_header,
    the_name_of_a_clip,
]
"""What a glance has to see, with and without a list."""


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_seen_when_a_cache_is_opened_and_named_with_the_command_that_mends_it(make_cache, damage, listed):
    known = make_cache(sizes=(3, 3))
    if not listed:
        as_version_0_1(known)
    damage(known)
    with pytest.raises(InputError) as error:
        FeatureCache(known.directory)
    assert "shard-00000-test" in one_line(error)
    assert f"`avcil-extract repair --cache {known.directory}` mends it" in one_line(error)
    assert "shard-00000-test" in [damaged.name for damaged in scan(known.directory).damaged]


def test_a_flipped_checksum_is_seen_by_the_record_that_holds_it_too(known):
    flip_bit(known.shard(0), scan(known.directory).shards[0].datasets["crc32"].row_offset(1))
    with pytest.raises(InputError, match=r"has another checksum for clip '-clip_001'"):
        FeatureCache(known.directory)


def test_another_caches_shard_of_the_same_clips_and_size_is_seen_though_it_agrees_with_itself(make_cache):
    known = make_cache()
    with CacheWriter(known.directory.parent / "other", fingerprint(seed=1)) as cache:
        cache.write_shard("shard-00000-test", known.shards[0], *(part[:3] + 1 for part in (known.visual, known.audio)))
    other = known.directory.parent / "other/shards/shard-00000-test.h5"
    assert other.stat().st_size == known.shard(0).stat().st_size
    as_version_0_1(known)
    shutil.copy(other, known.shard(0))
    with pytest.raises(InputError, match=r"is not marked as '[0-9a-f]{64}', as its record is"):
        FeatureCache(known.directory)


def twin(known, change=0.0):
    """Put a second shard of the first one's clips into the cache, their features changed by so much."""
    base = known.directory.parent / "twins"
    with CacheWriter(base, fingerprint()) as cache:
        cache.write_shard("twin", known.shards[0], known.visual[:3] + np.float32(change), known.audio[:3])
    for suffix in ("h5", "json"):
        shutil.copy(base / f"shards/twin.{suffix}", known.directory / "shards")


def test_a_clip_that_two_shards_hold_alike_is_read_from_the_first_and_said(known):
    twin(known)
    reader = FeatureCache(known.directory)
    assert reader.ids == known.ids
    contents = scan(known.directory)
    assert contents.duplicates[0] == "clip '-clip_000' is in shard shard-00000-test and in twin"
    assert len(contents.duplicates) == 3
    assert reader.verify().ok
    assert contents.duplicates[0] in reader.verify().remarks


@pytest.mark.parametrize("listed", [True, False])
def test_of_two_shards_that_differ_the_listed_one_is_trusted_or_else_neither(known, listed):
    if not listed:
        as_version_0_1(known)
    twin(known, change=1)
    with pytest.raises(
        InputError, match=r"shards shard-00000-test and twin hold different features for clip '-clip_000'"
    ):
        FeatureCache(known.directory)
    damaged = [damaged.name for damaged in scan(known.directory).damaged]
    assert damaged == (["twin"] if listed else ["shard-00000-test", "twin"])


def test_a_foreign_shard_is_named_as_one(make_cache):
    known, other = make_cache(), make_cache("int8", (2,), name="other")
    for suffix in ("h5", "json"):
        shutil.copy(other.shard(0, suffix), known.directory / "shards" / f"theirs.{suffix}")
    record = {**other.record(0), "name": "theirs"}
    (known.directory / "shards/theirs.json").write_text(json.dumps(record))
    (damaged,) = scan(known.directory).damaged
    assert (damaged.name, damaged.foreign) == ("theirs", True)
    with pytest.raises(InputError, match=r"shard theirs was made for another cache: its fingerprint differs: `avcil-"):
        FeatureCache(known.directory)


def test_a_cache_json_of_another_cache_is_refused(make_cache):
    known, other = make_cache(), make_cache("int8", (2,), name="other")
    shutil.copy(other.directory / "cache.json", known.directory / "cache.json")
    for _ in range(2):
        with pytest.raises(InputError) as error:
            FeatureCache(known.directory)
        assert "cache.json is not this cache's: no shard has the fingerprint it states: `avcil-" in one_line(error)
        (known.directory / "shards.list").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(format="something"), "does not describe a feature cache"),
        (lambda content: content.update(format_version=2), "has format version 2; this program reads 1"),
        (lambda content: content["facts"].update(storage="int8"), "do not have the fingerprint it states"),
        (lambda content: content.pop("notes"), "'notes' is not a table"),
        (lambda content: content["facts"].update(x="\ud800"), "do not have the fingerprint it states"),
        (lambda content: content["facts"].update(x=float("nan")), "cannot be read as JSON (NaN is no number)"),
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
    assert content["format_version"] == 2 or f"repair --cache {known.directory}` mends it" in one_line(error)


def test_a_lost_or_damaged_description_is_named_with_the_command_that_mends_it(known):
    path = known.directory / "cache.json"
    for damage in (lambda: path.write_bytes(path.read_bytes()[:100]), path.unlink, path.mkdir):
        damage()
        with pytest.raises(InputError) as error:
            FeatureCache(known.directory)
        assert one_line(error).endswith(f"`avcil-extract repair --cache {known.directory}` mends it")


def test_what_is_no_cache_is_said_in_one_line(tmp_path):
    for target in (tmp_path, tmp_path / "nothing here"):
        with pytest.raises(InputError) as error:
            FeatureCache(target)
        assert f"{target} is not a feature cache: it has no cache.json" in one_line(error)
