"""Clips that more than one file could be: the right one is read, or the run is refused; and it is written down."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from avcil.cache import FeatureCache
from avcil.errors import InputError
from avcil.extract.choices import ChoicesFile, settled
from avcil.extract.pipeline import Pace
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation
from avcil.extract.preparation.recipes import ClipPreparation, recipe
from avcil.manifests import Choice, Clip, Manifest

from .conftest import SIDE, tone, write_clip
from .test_cli import AUDIO_CONFIG, VIDEO_CONFIG, choices, invoke

PREPARATION = ClipPreparation.of(
    recipe("audiomae"),
    VisualPreparation(frames=4, shortest_edge=SIDE, crop=SIDE),
    AudioPreparation(frames=100, bins=16),
)
MANIFEST = Manifest("m", tuple(Clip(name, "dog", "train") for name in "abc"), ("dog",))


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    """Two whole videos that differ in their sound, and two files that are none."""
    root = tmp_path_factory.mktemp("videos")
    whole = write_clip(root / "whole.mp4", frames=8)
    other = write_clip(root / "other.mp4", frames=8, sound=tone(0.5, 16_000, 1) / 3)
    cut = root / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:2000])
    (root / "text.mp4").write_text("no video")
    return {path.stem: path for path in (whole, other, cut, root / "text.mp4")}


def settle(several: dict[str, Choice]) -> dict[str, Choice]:
    return settled(several, MANIFEST, PREPARATION, Pace(1, 1, 60.0, 4.0))


def test_of_different_files_the_only_one_that_can_be_decoded_is_the_clips(videos):
    names = {"a": ("cut", "whole", "text"), "b": ("other", "text"), "c": ("cut", "text")}
    disputed = {
        clip: Choice(tuple(videos[name] for name in files), disputed=True, passed_over=(Path("x"),))
        for clip, files in names.items()
    }
    known = Choice((videos["text"], videos["whole"]))
    found = settle({**disputed, "d": known})
    assert found.pop("d") == known
    assert {clip: [path.stem for path in choice.files] for clip, choice in found.items()} == {
        "a": ["whole", "cut", "text"],
        "b": ["other", "text"],
        "c": ["cut", "text"],  # the run will say why neither will do
    }
    assert not any(choice.disputed for choice in found.values())
    assert {choice.passed_over for choice in found.values()} == {(Path("x"),)}


def test_two_that_can_be_decoded_are_refused_with_both_paths(videos):
    first = Choice((videos["cut"], videos["whole"]), disputed=True)
    second = Choice((videos["other"], videos["text"], videos["whole"]), disputed=True)
    with pytest.raises(InputError) as error:
        settle({"a": first, "b": second})
    assert str(error.value) == (
        f"clip 'b' could be {videos['other']} or {videos['whole']}, which differ, and nothing tells which "
        "(the first of 2 such clips): take one away, put it into a folder named 'dog', or name it in the list's "
        "column path"
    )


def test_nothing_is_decoded_where_nothing_is_disputed():
    several = {"a": Choice((Path("nowhere.mp4"), Path("neither.mp4")))}
    assert settle(several) == several


def test_the_file_keeps_what_earlier_runs_noted(tmp_path):
    several = {name: Choice((Path(f"x/{name}"), Path(f"y/{name}")), passed_over=(Path("z\x1b"),)) for name in "ab"}
    ChoicesFile(tmp_path / "choices.csv", several).note({"a": Path("x/a"), "other": Path("other")})
    again = ChoicesFile(tmp_path / "choices.csv", several)
    again.note({"other": Path("other")})
    again.note({"b": Path("y/b")})
    assert list(csv.reader((tmp_path / "choices.csv").open())) == [
        ["video_id", "file", "other_files"],
        ["a", "x/a", "y/a; z\\u001b"],
        ["b", "y/b", "x/b; z\\u001b"],
    ]
    ChoicesFile(tmp_path / "none.csv", {}).note({"a": Path("x/a")})
    assert not (tmp_path / "none.csv").exists()


# ------------------------------------------------------------------------------------------------- whole runs


@pytest.fixture
def place(tmp_path: Path) -> Path:

    for name, config in (("video", VIDEO_CONFIG), ("audio", AUDIO_CONFIG)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return tmp_path


def laid_out(place: Path, videos: dict[str, Path], files: dict[str, str]) -> None:
    for name, source in files.items():
        (place / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(videos[source], place / "videos" / name)


@pytest.mark.slow
def test_the_right_file_is_read_and_written_down(place, videos):
    files = {
        **{"one/a.mp4": "cut", "two/a.mp4": "whole"},  # a corrupt copy is first by alphabet
        **{"cat/b.mp4": "whole", "dog/b.mp4": "other"},  # one of each class
        **{"one/c.mp4": "other", "two/c.mp4": "other"},  # copies
        **{"dog/d.mp4": "text", "spare/d.mp4": "other"},  # the folder tells, but that file is none
        **{"one/e.mp4": "text", "two/e.mp4": "cut"},
        "f.mp4": "whole",
    }
    laid_out(place, videos, files)
    listed = [("a", "dog"), ("b", "dog"), ("c", "cat"), ("d", "dog"), ("e", "cat"), ("f", "cat")]
    (place / "clips.csv").write_text("video_id,label,split\n" + "".join(f"{i},{label},train\n" for i, label in listed))
    cache = place / "cache"
    result = invoke("run", *choices(place, cache=cache))
    assert "more than one file: 4 (which was read stands in" in result.stdout
    assert "2 clips with different files of one name: looking which of these can be decoded" in result.stderr
    assert "quarantined: 1 (cannot be decoded 1" in result.stdout
    features = FeatureCache(cache)
    whole, other = (features.read([clip]).audio for clip in "fc")
    assert not torch.equal(whole, other)
    for clip, audio in zip("abd", (whole, other, other), strict=True):
        torch.testing.assert_close(features.read([clip]).audio, audio, rtol=0, atol=0)
    words = features.quarantined["e"]["words"]
    assert f"{place}/videos/one/e.mp4: " in words
    assert f"{place}/videos/two/e.mp4: " in words
    inside = f"{place}/videos"
    with (cache / "choices.csv").open() as stream:
        assert list(csv.reader(stream))[1:] == [
            ["a", f"{inside}/two/a.mp4", f"{inside}/one/a.mp4"],
            ["b", f"{inside}/dog/b.mp4", f"{inside}/cat/b.mp4"],
            ["d", f"{inside}/spare/d.mp4", f"{inside}/dog/d.mp4"],
        ]
    before = (cache / "choices.csv").read_bytes()
    assert "nothing to do" in invoke("run", *choices(place, cache=cache)).stdout
    assert (cache / "choices.csv").read_bytes() == before


@pytest.mark.slow
def test_different_files_are_refused_before_anything_is_written(place, videos):
    laid_out(place, videos, {"f.mp4": "whole", "one/a.mp4": "whole", "two/a.mp4": "other"})
    (place / "clips.csv").write_text("video_id,label,split\nf,dog,train\na,dog,train\n")
    cache = place / "cache"
    for command in ("run", "plan"):
        result = invoke(command, *choices(place, cache=cache), status=2)
        [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        one, two = (os.fspath(place / "videos" / folder / "a.mp4") for folder in ("one", "two"))
        assert f"clip 'a' could be {one} or {two}, which differ, and nothing tells which: take one away" in line
        assert not cache.exists()
    assert "encoded: 1" in invoke("run", *choices(place, "--limit", "1", cache=cache)).stdout
    (place / "clips.csv").write_text("video_id,label,split,path\nf,dog,train,\na,dog,train,two/a.mp4\n")
    assert "encoded: 1" in invoke("run", *choices(place, cache=cache)).stdout
    assert not (cache / "choices.csv").exists()
