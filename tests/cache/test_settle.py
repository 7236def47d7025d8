"""A lost or damaged cache.json is written again from the shards, or by the choices that fit them."""

import json
import shutil

import pytest
from avcil.cache import CacheWriter, FeatureCache, origin_of
from avcil.errors import InputError

from .conftest import as_version_0_1, features, fingerprint, one_line


@pytest.mark.parametrize("listed", [True, False])
def test_shards_carry_what_cache_json_says(known, listed):
    content = (known.directory / "cache.json").read_bytes()
    if not listed:
        (known.directory / "shards.list").unlink()
    (known.directory / "cache.json").unlink()
    description = origin_of(known.directory)
    assert description is not None
    assert description.fingerprint == fingerprint()
    with CacheWriter(known.directory, fingerprint(), versions={"torch": "9"}, notes={"why": "another"}) as cache:
        assert "cache.json was written again from what the shards say" in cache.lines
    assert (known.directory / "cache.json").read_bytes() == content


def test_shards_of_version_0_1_tell_whether_the_choices_are_theirs(known):
    as_version_0_1(known)
    (known.directory / "cache.json").unlink()
    assert origin_of(known.directory) is None
    with pytest.raises(InputError) as error:
        CacheWriter(known.directory, fingerprint(recipe={"rate": 11430})).__enter__()
    words = f"its shards were made in another way (fingerprint {fingerprint().digest[:12]}, these choices give "
    assert words in one_line(error)
    assert not (known.directory / "cache.json").exists()
    with CacheWriter(known.directory, fingerprint(), notes={"why": "again"}):
        pass
    assert FeatureCache(known.directory).ids == known.ids
    assert json.loads((known.directory / "cache.json").read_text())["notes"] == {"why": "again"}


def test_other_choices_are_refused_with_the_differences_though_cache_json_is_lost(known):
    (known.directory / "cache.json").unlink()
    with (
        pytest.raises(InputError, match=r"recipe\.rate: 11430 here, 16000 there"),
        CacheWriter(known.directory, fingerprint(recipe={"rate": 11430})),
    ):
        pass
    assert not (known.directory / "cache.json").exists()


def test_a_damaged_cache_json_without_shards_is_left_alone(tmp_path):
    with CacheWriter(tmp_path, fingerprint()):
        pass
    (tmp_path / "cache.json").write_text("{")
    with pytest.raises(InputError) as error, CacheWriter(tmp_path, fingerprint()):
        pass
    assert "but no shard is there to tell what made it: give another directory" in one_line(error)
    assert (tmp_path / "cache.json").read_text() == "{"


def test_a_foreign_shard_in_a_cache_that_is_still_empty_is_the_stranger(make_cache, tmp_path):
    known = make_cache("int8", (2,))
    with CacheWriter(tmp_path / "empty", fingerprint()):
        pass
    for suffix in ("h5", "json"):
        shutil.copy(known.shard(0, suffix), tmp_path / "empty/shards")
    with CacheWriter(tmp_path / "empty", fingerprint()) as cache:
        cache.write_shard("s", ["a"], *features(1))
        assert "shard-00000-test was made for another cache" in cache.lines[0]
    assert FeatureCache(tmp_path / "empty").ids == ("a",)


def test_what_is_no_cache_has_no_origin(tmp_path, known):
    assert origin_of(tmp_path / "nowhere") is None
    path = known.directory / "cache.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 2}))
    with pytest.raises(InputError, match="format version 2"):
        origin_of(known.directory)
