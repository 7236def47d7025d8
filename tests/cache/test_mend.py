"""Every kind of damage is put right alone, bit for bit, and nothing is deleted on the way."""

import json
import shutil

import pytest
from avcil.cache import CacheWriter, FeatureCache, scan, verify
from avcil.cache.layout import read_record
from avcil.errors import InputError

from .conftest import Known, as_version_0_1, change_record, change_row, features, fingerprint, flip_bit
from .test_contents import DAMAGE, twin


def reopened(known: Known, **settings) -> CacheWriter:
    return CacheWriter(known.directory, fingerprint(), versions={"torch": "2"}, notes={"why": "test"}, **settings)


def make_again(known: Known) -> tuple[str, ...]:
    """Open the cache, make again what is lost; returns what the writer said."""
    with reopened(known) as cache:
        for lost in cache.lost:
            rows = [known.ids.index(clip) for clip in lost.ids]
            cache.write_shard(lost.name, lost.ids, known.visual[rows], known.audio[rows])
    return cache.lines


def flip_a_feature(known):
    flip_bit(known.shard(0), scan(known.directory).shards[0].datasets["visual"].row_offset(1), 3)


def flip_a_checksum(known):
    flip_bit(known.shard(0), scan(known.directory).shards[0].datasets["crc32"].row_offset(1), 3)


def flip_outside_the_clips(known):
    flip_bit(known.shard(0), known.shard(0).stat().st_size - 1)


def not_finite(known):
    change_row(known, 0, "visual", 1, b"\x00\x7c", mend=True)


def other_content(known):
    change_row(known, 0, "visual", 1, b"\x00\x3c", mend=True)


def edit_the_hash(known):
    change_record(known, 0, sha256="0" * 64)


def cut(known):
    known.shard(0).write_bytes(known.shard(0).read_bytes()[:-1])


def empty(known):
    known.shard(0).write_bytes(b"")


def longer(known):
    known.shard(0).write_bytes(known.shard(0).read_bytes() + b"x")


def random_bytes(known):
    known.shard(0).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40)


def empty_record(known):
    known.shard(0, "json").write_bytes(b"")


def lose_the_file(known):
    known.shard(0).unlink()


def lose_the_record(known):
    known.shard(0, "json").unlink()


def lose_both(known):
    lose_the_file(known)
    lose_the_record(known)


def lose_the_folder(known):
    shutil.rmtree(known.directory / "shards")


def a_file_as_folder(known):
    lose_the_folder(known)
    (known.directory / "shards").write_text("mine")


def empty_the_list(known):
    (known.directory / "shards.list").write_bytes(b"")


def lose_the_list(known):
    (known.directory / "shards.list").unlink()


def damage_the_list(known):
    flip_bit(known.directory / "shards.list", 40)


def a_folder_as_list(known):
    (known.directory / "shards.list").unlink()
    (known.directory / "shards.list").mkdir()


def lose_the_description(known):
    (known.directory / "cache.json").unlink()


def damage_the_description(known):
    (known.directory / "cache.json").write_text("[" * 200_000)


def describe_another_cache(known):
    path = known.directory / "cache.json"
    facts = dict(fingerprint("int8").facts)
    content = {**json.loads(path.read_text()), "facts": facts, "fingerprint": fingerprint("int8").digest}
    path.write_text(json.dumps(content))


BOTH = [
    *DAMAGE,
    flip_a_feature,
    flip_a_checksum,
    flip_outside_the_clips,
    not_finite,
    edit_the_hash,
    cut,
    empty,
    longer,
    random_bytes,
    empty_record,
    lose_the_file,
    lose_the_record,
    lose_the_description,
    damage_the_description,
    describe_another_cache,
]
LISTED = [
    lose_both,
    lose_the_folder,
    a_file_as_folder,
    lose_the_list,
    empty_the_list,
    damage_the_list,
    a_folder_as_list,
    other_content,
]


@pytest.mark.parametrize("damage", [*BOTH, *LISTED], ids=lambda damage: damage.__name__)
def test_damage_is_mended_alone_and_bit_for_bit(make_cache, damage):
    known = make_cache(sizes=(3, 3))
    before = known.files()
    damage(known)
    try:
        assert not verify(known.directory).ok
    except InputError as error:
        assert f"`avcil-extract repair --cache {known.directory}` mends it" in str(error)  # noqa: PT017
    make_again(known)
    after = {name: content for name, content in known.files().items() if not name.startswith("set-aside/")}
    assert after == before
    assert verify(known.directory).ok
    assert make_again(known) == ()


@pytest.mark.parametrize("damage", BOTH, ids=lambda damage: damage.__name__)
def test_so_is_damage_to_a_cache_of_version_0_1(make_cache, damage):
    known = as_version_0_1(make_cache(sizes=(3, 3)))
    before = known.files()
    damage(known)
    assert make_again(known)
    after = known.files()
    for name in ("shards/shard-00000-test.h5", "shards/shard-00001-test.h5"):
        assert after[name] == before[name]
    assert verify(known.directory).ok
    assert not verify(known.directory).remarks
    assert make_again(known) == ()
    assert FeatureCache(known.directory).ids == known.ids


EDITED = ["swap_ids", "rename_a_clip", "move_an_offset", "reshape", "another_storage", "another_dtype", "empty_record"]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("damage", [damage for damage in BOTH if damage.__name__ in EDITED], ids=lambda d: d.__name__)
def test_a_record_that_was_edited_is_written_again_without_making_a_clip_again(make_cache, damage, listed):
    known = make_cache() if listed else as_version_0_1(make_cache())
    before = known.files()
    damage(known)
    edited = known.shard(0, "json").read_bytes()
    with reopened(known) as cache:
        assert cache.lost == ()
    assert (known.directory / "set-aside/shard-00000-test.json").read_bytes() == edited
    if listed:
        assert known.shard(0, "json").read_bytes() == before["shards/shard-00000-test.json"]
    else:  # its versions are lost with what was an empty file
        record = read_record(known.shard(0, "json"))
        assert record.versions in ({"torch": "2"}, {})
        assert record.ids == known.shards[0]
    assert FeatureCache(known.directory).ids == known.ids


def test_what_was_damaged_is_set_aside_and_never_overwritten(known):
    data = known.shard(0).read_bytes()
    for byte in (b"a", b"b", b"c"):
        known.shard(0).write_bytes(byte)
        make_again(known)
    there = known.directory / "set-aside"
    assert [(there / f"shard-00000-test.h5{end}").read_bytes() for end in ("", ".2", ".3")] == [b"a", b"b", b"c"]
    assert known.shard(0).read_bytes() == data


def test_what_has_to_be_made_again_is_known_until_it_is(known):
    """Also where the writer that found it was stopped before it could."""
    record = read_record(known.shard(1, "json"))
    known.shard(1).unlink()
    with reopened(known) as cache:
        (lost,) = cache.lost
        assert (lost.name, lost.ids, lost.record) == ("shard-00001-test", known.shards[1], record)
    assert verify(known.directory).damaged_shards == ("shard-00001-test",)
    with reopened(known) as cache:
        assert [lost.ids for lost in cache.lost] == [known.shards[1]]
        cache.quarantine(known.shards[1][0], "no audio", "")
        visual, audio = features(1)
        cache.write_shard("other", known.shards[1][1:2], visual, audio)
    with reopened(known) as cache:
        assert [lost.ids for lost in cache.lost] == [known.shards[1][2:]]


def test_a_hurt_shard_of_version_0_1_is_known_until_it_is_made_again(known):
    flip_a_feature(as_version_0_1(known))
    with reopened(known):
        pass
    assert verify(known.directory).damaged_shards == ("shard-00000-test",)
    with reopened(known) as cache:
        assert [lost.ids for lost in cache.lost] == [known.shards[0]]


def test_without_checking_every_byte_what_a_glance_shows_is_mended(known):
    flip_a_feature(known)
    with reopened(known, check=False) as cache:
        assert (cache.lines, cache.lost) == ((), ())
    known.shard(1).write_bytes(b"")
    with reopened(known, check=False) as cache:
        assert [lost.name for lost in cache.lost] == ["shard-00001-test"]


def test_a_foreign_shard_is_set_aside(make_cache):
    known, other = make_cache(), make_cache("int8", (2,), name="other")
    for suffix in ("h5", "json"):
        shutil.copy(other.shard(0, suffix), known.directory / "shards" / f"theirs.{suffix}")
    (known.directory / "shards/theirs.json").write_text(json.dumps({**other.record(0), "name": "theirs"}))
    with reopened(known) as cache:
        assert cache.lines == (
            "shard theirs was made for another cache: its fingerprint differs: "
            "moved to set-aside/theirs.json and set-aside/theirs.h5",
        )
        assert cache.lost == ()
    assert (known.directory / "set-aside/theirs.h5").read_bytes() == other.shard(0).read_bytes()
    assert FeatureCache(known.directory).ids == known.ids


@pytest.mark.parametrize("listed", [True, False])
def test_shards_that_hold_different_features_for_a_clip(known, listed):
    if not listed:
        as_version_0_1(known)
    good = known.shard(0).read_bytes()
    twin(known, change=1)
    lines = make_again(known)
    assert sum("hold different features for clip '-clip_000'" in line for line in lines) == (1 if listed else 2)
    assert known.shard(0).read_bytes() == good
    assert not (known.directory / "shards/twin.h5").exists()
    assert verify(known.directory).ok


def test_an_old_cache_gets_a_list_with_what_its_records_lack(known):
    before = known.files()
    whole = list(scan(known.directory).shards)
    as_version_0_1(known)
    assert make_again(known) == ()
    contents = scan(known.directory)
    assert list(contents.shards) == whole
    assert known.files()["cache.json"] == before["cache.json"]
    assert "crc32" not in known.record(0)  # the records themselves stay as they were


def test_the_unfinished_is_removed_and_nothing_else_of_the_folder(known):
    left = ["x.h5.avcil-0123456789abcdef.part", "shard-00000-test.json.avcil-0123456789abcdef.part"]
    for name in left:
        (known.directory / "shards" / name).write_bytes(b"half")
    (known.directory / "shards/folder.avcil-0123456789abcdef.part").mkdir()
    (known.directory / "quarantine.json.avcil-0123456789abcdef.part").write_bytes(b"half")
    with reopened(known) as cache:
        assert sorted(cache.lines) == sorted(
            f"{name} was left unfinished: removed" for name in [*left, "quarantine.json.avcil-0123456789abcdef.part"]
        )
    assert sorted(path.name for path in (known.directory / "shards").iterdir()) == [
        "folder.avcil-0123456789abcdef.part",
        "shard-00000-test.h5",
        "shard-00000-test.json",
        "shard-00001-test.h5",
        "shard-00001-test.json",
    ]
