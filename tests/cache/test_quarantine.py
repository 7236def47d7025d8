import json

import pytest
from avcil.cache import CacheWriter, FeatureCache, read_quarantine
from avcil.errors import InputError

from .conftest import fingerprint, one_line


def test_each_change_is_on_disk_at_once(tmp_path):
    directory = tmp_path / "cache"
    with CacheWriter(directory, fingerprint()) as cache:
        assert cache.quarantined == {}
        cache.quarantine("b", "no audio", "no stream of type audio: b.mp4")
        assert read_quarantine(directory) == {"b": {"reason": "no audio", "words": "no stream of type audio: b.mp4"}}
        cache.quarantine("a", "timeout", "killed after 60 s\nsecond line, «quoted»")
        cache.quarantine("b", "corrupt", "other words")
        assert list(read_quarantine(directory)) == ["a", "b"]
        assert cache.release(["b", "unheard of"]) == ("b",)
        assert set(read_quarantine(directory)) == {"a"}
    with CacheWriter(directory, fingerprint()) as cache:
        assert cache.quarantined == {"a": {"reason": "timeout", "words": "killed after 60 s\nsecond line, «quoted»"}}
        assert cache.release(cache.quarantined) == ("a",)
    assert read_quarantine(directory) == {}
    assert sorted(path.name for path in directory.iterdir()) == [
        ".lock",
        "cache.json",
        "quarantine.json",
        "shards",
        "shards.list",
    ]


def test_readers_see_the_quarantine(known):
    reader = FeatureCache(known.directory)
    with CacheWriter(known.directory, fingerprint()) as cache:
        cache.quarantine("lost", "missing", "")
    assert reader.quarantined == {"lost": {"reason": "missing", "words": ""}}


def test_a_half_written_list_beside_the_real_one_is_not_read(known):
    with CacheWriter(known.directory, fingerprint()) as cache:
        cache.quarantine("a", "r", "w")
    (known.directory / "quarantine.json.part").write_text('{"b": {"rea')
    assert set(read_quarantine(known.directory)) == {"a"}


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"a": "broken"}), json.dumps({"a": {"reason": "x"}})])
def test_a_damaged_list_is_one_line_for_readers_and_set_aside_by_a_writer(known, content):
    path = known.directory / "quarantine.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_quarantine(known.directory)
    assert str(path) in one_line(error)
    assert f"`avcil-extract repair --cache {known.directory}` mends it" in one_line(error)
    with CacheWriter(known.directory, fingerprint()) as cache:
        assert cache.quarantined == {}
        assert cache.lines == (
            "quarantine.json was damaged: moved to set-aside/quarantine.json; its clips are tried again",
        )
        cache.quarantine("a", "r", "w")
    assert set(read_quarantine(known.directory)) == {"a"}
    assert (known.directory / "set-aside/quarantine.json").read_text() == content
