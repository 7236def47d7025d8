"""`avcil-extract repair`, and `run` by itself: what is damaged or lost is made again, bit for bit, and nothing else."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from avcil.cache import CacheWriter, FeatureCache, Fingerprint, read_quarantine, verify
from avcil.cache.shard_list import read_list, write_list
from avcil.errors import InputError
from avcil.extract import examples

from .test_cli import cache, choices, files, invoke, place  # noqa: F401 - fixtures


@pytest.fixture
def copy(cache: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A copy of the finished cache, to be damaged: two shards of two clips."""
    shutil.copytree(cache, tmp_path / "copy")
    return tmp_path / "copy"


def shards(directory: Path) -> list[Path]:
    return sorted((directory / "shards").glob("*.h5"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def everything(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "shards").iterdir()}


def as_version_0_1(directory: Path) -> None:
    (directory / "shards.list").unlink()
    description = json.loads((directory / "cache.json").read_text())
    del description["list"], description["notes"]["choices"]
    (directory / "cache.json").write_text(json.dumps(description))
    for path in (directory / "shards").glob("*.json"):
        record = json.loads(path.read_text())
        for name in ("crc32", "audio_crc32", "facts", "notes"):
            del record[name]
        path.write_text(json.dumps(record))


@pytest.mark.slow
def test_the_cache_itself_notes_how_it_was_made(copy):
    before = everything(copy)
    flip(shards(copy)[0])
    shards(copy)[1].unlink()
    shards(copy)[0].with_suffix(".json").write_text("{")
    report = invoke("verify", "--cache", str(copy), status=1).stdout
    assert f"`avcil-extract repair --cache {copy}` mends it" in report
    result = invoke("repair", "--cache", str(copy))
    assert "shards made again: 2, 2 of them bit for bit as they were" in result.stdout
    assert f"{copy}: mended" in result.stdout
    assert everything(copy) == before
    assert "as it was written" in invoke("verify", "--cache", str(copy)).stdout
    assert len(list((copy / "set-aside").iterdir())) == 3
    assert "mended" in invoke("repair", "--cache", str(copy)).stdout


def test_a_run_by_itself_makes_again_what_verify_finds(place, copy):  # noqa: F811
    before = everything(copy)
    flip(shards(copy)[0])
    result = invoke("run", *choices(place, cache=copy))
    assert "shards made again: 1, 1 of them bit for bit as they were" in result.stdout
    assert everything(copy) == before


def test_a_run_that_skips_the_check_sees_what_a_glance_shows(place, copy):  # noqa: F811
    flip(shards(copy)[0])
    assert "nothing to do" in invoke("run", *choices(place, "--skip-verify", cache=copy)).stdout
    shards(copy)[0].write_bytes(b"")
    assert "shards made again: 1" in invoke("run", *choices(place, "--skip-verify", cache=copy)).stdout


def test_a_lost_description_is_written_again_without_an_encoder(copy, monkeypatch):
    content = (copy / "cache.json").read_bytes()
    monkeypatch.setattr("avcil.extract.repair.assemble", None)
    for damage in (b"", content[:100], content.replace(b"audiomae", b"audiomea")):
        (copy / "cache.json").write_bytes(damage)
        assert "mended" in invoke("repair", "--cache", str(copy)).stdout
        assert (copy / "cache.json").read_bytes() == content


def test_a_cache_without_notes_has_to_be_told(place, copy):  # noqa: F811
    before = files(copy)
    as_version_0_1(copy)
    flip(shards(copy)[0])
    result = invoke("repair", "--cache", str(copy), status=2)
    assert "has lost 2 clips and does not note how it was made: " in result.stderr
    assert "how it was made: give the options of the run that made it (--videos is missing" in result.stderr
    words = [word for word in choices(place) if word not in ("--shard-size", "3")]
    result = invoke("repair", "--cache", str(copy), *words)
    assert "1 of them bit for bit" in result.stdout
    assert files(copy) == before


@pytest.fixture
def old(copy, tmp_path) -> Path:
    """The cache as version 0.1 would have made it, whose fingerprint did not say how files were read."""
    features = FeatureCache(copy)
    facts = {name: fact for name, fact in features.fingerprint.facts.items() if name != "reading"}
    directory: Path = tmp_path / "old"
    with CacheWriter(directory, Fingerprint(facts), notes={"choices": {}}) as writer:
        for shard in ("ab", "cd"):
            writer.write_shard(f"shard-{shard}", list(shard), *features.read(list(shard)))
    as_version_0_1(directory)
    return directory


def test_what_version_0_1_lost_is_not_made_again_with_other_frames(place, old):  # noqa: F811
    (old / "shards/shard-cd.json").write_text("{}")
    assert f"{old}: mended" in invoke("repair", "--cache", str(old)).stdout  # the file is whole: no clip is lost
    flip(old / "shards/shard-ab.h5")
    result = invoke("repair", "--cache", str(old), status=2)
    assert "2 clips of" in result.stderr
    assert "another version of avcil made them, which reads other frames: make a new cache, or do" in result.stderr
    assert "reading: 2 here, nothing there" in invoke("run", *choices(place, cache=old), status=2).stderr
    assert "quarantined: 2 lost clips" in invoke("repair", "--cache", str(old), "--give-up-lost").stdout
    assert verify(old).ok
    assert FeatureCache(old).ids == ("c", "d")


def test_a_cache_of_version_0_1_that_lost_its_description(place, old):  # noqa: F811
    content = json.loads((old / "cache.json").read_text())
    (old / "cache.json").unlink()
    words = [word for word in choices(place) if word not in ("--shard-size", "3")]
    result = invoke("repair", "--cache", str(old), status=2)
    assert "has lost its cache.json, and its shards are of version 0.1: give the options" in result.stderr
    result = invoke("repair", "--cache", str(old), *words, "--store", "float32", status=2)
    assert "its shards were made in another way" in result.stderr
    invoke("repair", "--cache", str(old), *words)
    assert json.loads((old / "cache.json").read_text())["facts"] == content["facts"]
    assert verify(old).ok


@pytest.mark.slow
def test_clips_without_a_file_stay_lost_until_they_are_given_up(place, copy, tmp_path):  # noqa: F811
    first = json.loads(shards(copy)[0].with_suffix(".json").read_text())
    clips = first["ids"]
    assert len(clips) == 2
    shards(copy)[0].unlink()
    videos = tmp_path / "some"
    videos.mkdir()
    shutil.copy(place / "videos" / f"{clips[1]}.mp4", videos)
    result = invoke("repair", "--cache", str(copy), "--videos", str(videos), status=1)
    assert f"lost, and without a file here: 1 clip, the first '{clips[0]}'" in result.stdout
    assert "not whole yet" in result.stdout
    words = f"shard {first['name']} is missing, and with it 1 clip, the first '{clips[0]}'"
    assert words in invoke("verify", "--cache", str(copy), status=1).stdout
    with pytest.raises(InputError, match="is missing, and with it 1 clip"):
        FeatureCache(copy)
    result = invoke("run", *choices(place, "--videos", str(videos), cache=copy))
    assert f"lost, and without a file here: 1 clip, the first '{clips[0]}'" in result.stdout
    result = invoke("repair", "--cache", str(copy), "--give-up-lost")
    assert "quarantined: 1 lost clip" in result.stdout
    assert read_quarantine(copy)[clips[0]]["reason"] == "lost from the cache"
    assert verify(copy).ok
    assert clips[0] not in FeatureCache(copy).ids
    result = invoke("run", *choices(place, "--retry-quarantined", cache=copy))
    assert "encoded: 1" in result.stdout
    assert sorted(FeatureCache(copy).ids) == ["a", "b", "c", "d"]


def test_other_choices_than_the_caches_are_refused(copy):
    shards(copy)[0].unlink()
    result = invoke("repair", "--cache", str(copy), "--recipe", "released", status=2)
    assert "what is lost cannot be made again with these choices (recipe" in result.stderr
    result = invoke("repair", "--cache", str(copy))
    assert "mended" in result.stdout


def test_a_shard_that_comes_out_another_is_said_to(copy):
    """As with another batch size; here the hash that it had is made to differ."""
    before = shards(copy)[0].read_bytes()
    shards(copy)[0].unlink()
    listed = read_list(copy)
    assert listed is not None
    first, *others = listed.records.values()
    write_list(copy, [dataclasses.replace(first, sha256="0" * 64), *others])
    result = invoke("repair", "--cache", str(copy))
    assert f"not bit for bit: {first.name} (another batch size, device or library version" in result.stdout
    assert shards(copy)[0].read_bytes() == before


def test_what_is_no_cache_is_said_and_left_alone(tmp_path):
    result = invoke("repair", "--cache", str(tmp_path), status=2)
    assert f"{tmp_path} is not a feature cache: it has no cache.json" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert "is not a feature cache" in invoke("repair", "--cache", str(tmp_path / "no"), status=2).stderr


def test_a_foreign_shard_is_set_aside_and_everybody_says_the_same_of_it(place, copy, tmp_path):  # noqa: F811
    invoke("run", *choices(place, "--store", "int8", "--limit", "1", cache=tmp_path / "other"))
    [theirs] = shards(tmp_path / "other")
    record = {**json.loads(theirs.with_suffix(".json").read_text()), "name": "theirs"}
    shutil.copy(theirs, copy / "shards/theirs.h5")
    (copy / "shards/theirs.json").write_text(json.dumps(record))
    words = "shard theirs was made for another cache: its fingerprint differs"
    assert words in invoke("verify", "--cache", str(copy), status=1).stdout
    assert words in invoke("status", "--cache", str(copy)).stdout
    assert f"{words}: `avcil-extract repair" in invoke("export", "--cache", str(copy), "--out", "x", status=2).stderr
    assert "nothing to do" in invoke("run", *choices(place, cache=copy)).stdout
    assert (copy / "set-aside/theirs.h5").read_bytes() == theirs.read_bytes()
    assert verify(copy).ok


@pytest.mark.slow
def test_code_that_a_cache_names_is_run_only_where_the_user_gives_it(place, tmp_path):  # noqa: F811
    plugin = tmp_path / "my sound.py"
    ran = tmp_path / "ran"
    example = (Path(examples.__file__).parent / "sound_encoder.py").read_text()
    plugin.write_text(f"{example}\nimport pathlib\npathlib.Path({str(ran)!r}).touch()\n")
    directory = tmp_path / "cache"
    given = ("--plugin", str(plugin))
    invoke("run", *choices(place, *given, cache=directory))
    before = everything(directory)
    flip(shards(directory)[0])
    ran.unlink()
    words = ("repair", "--cache", str(directory))
    result = invoke(*words, status=2)
    assert f"error: {directory} notes that its encoders are Python code" in result.stderr
    assert result.stderr.endswith(f"give --plugin '{plugin}'\n")
    assert not ran.exists()
    invoke(*words, *given)
    assert ran.exists()
    assert everything(directory) == before
