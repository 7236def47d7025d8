"""Which of several files is a clip's."""

from pathlib import Path
from typing import NamedTuple

import pytest
from avcil.manifests import Choice, Clip
from avcil.manifests import choosing as module
from avcil.manifests.choosing import choose, folder_name

CLASSES = frozenset({"dog", "playing flute", "train"})
DOG = Clip("a", "dog", "test")


class Named(NamedTuple):
    """A choice, with paths as names below the folder."""

    files: tuple[str, ...]
    disputed: bool = False
    passed_over: tuple[str, ...] = ()


def chosen(folder: Path, files: dict[str, str], clip: Clip = DOG, ranks: dict[str, int] | None = None) -> Named:
    """The choice among `files` (name -> content), with paths as names below `folder`."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    choice = choose([((ranks or {}).get(name, 0), folder / name) for name in files], clip, folder, CLASSES)
    files_named, others = (
        tuple(str(path.relative_to(folder)) for path in paths) for paths in (choice.files, choice.passed_over)
    )
    return Named(files_named, choice.disputed, others)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # The folder is the label, at whatever depth and however it is spelt.
        (["b/dog/a.mp4", "a/a.mp4"], Named(("b/dog/a.mp4", "a/a.mp4"))),
        (["Dog/x/a.mp4", "a/a.mp4"], Named(("Dog/x/a.mp4", "a/a.mp4"))),
        # Split and label before the label alone.
        (["train/dog/a.mp4", "test/dog/a.mp4"], Named(("test/dog/a.mp4", "train/dog/a.mp4"))),
        # Another class's folder holds another video, whatever becomes of this one.
        (["playing_flute/a.mp4", "dog/a.mp4"], Named(("dog/a.mp4",), False, ("playing_flute/a.mp4",))),
        (["playing_flute/a.mp4", "x/a.mp4"], Named(("x/a.mp4",), False, ("playing_flute/a.mp4",))),
        # "train" is a class and a split: a folder of that name says nothing of the class.
        (["train/a.mp4", "z/a.mp4"], Named(("train/a.mp4", "z/a.mp4"), True)),
        # Nothing tells.
        (["one/a.mp4", "two/a.mp4"], Named(("one/a.mp4", "two/a.mp4"), True)),
        (["a.mp4", "two/a.mp4"], Named(("a.mp4", "two/a.mp4"), True)),
        (["one/dog/a.mp4", "two/dog/a.mp4", "a.mp4"], Named(("one/dog/a.mp4", "two/dog/a.mp4"), True, ("a.mp4",))),
        # What nothing tells apart is not tried after the one that is known.
        (["dog/a.mp4", "one/a.mp4", "two/a.mp4"], Named(("dog/a.mp4",), False, ("one/a.mp4", "two/a.mp4"))),
        # One video in several containers.
        (["one/a.webm", "one/a.mp4"], Named(("one/a.mp4", "one/a.webm"))),
        # Two segments of one source are two videos, in one folder too.
        (["one/a_1.mp4", "one/a_2.mp4"], Named(("one/a_1.mp4", "one/a_2.mp4"), True)),
        # Nothing but another class's folders.
        (["playing flute/a.mp4", "two/playing-flute/a.mp4"], None),
    ],
)
def test_different_files(tmp_path, files, expected, reverse):
    contents = {name: f"the video {name}" for name in (reversed(files) if reverse else files)}
    assert chosen(tmp_path, contents) == (expected or Named(tuple(sorted(files)), True))


def test_the_label_of_the_clip_counts_and_not_the_folders_of_others(tmp_path):
    files = {"dog/a.mp4": "1", "Playing Flute/a.mp4": "2"}
    assert chosen(tmp_path, files, Clip("a", "playing flute", "train")).files == ("Playing Flute/a.mp4",)


def test_copies_are_one(tmp_path):
    assert chosen(tmp_path, {"one/a.mp4": "same", "two/a.mp4": "same", "b/a.mkv": "same"}) == Named(("b/a.mkv",))
    assert chosen(tmp_path, {"one/a.mp4": "same", "two/a.mp4": "same", "six/a.mp4": "SAME"}) == Named(
        ("one/a.mp4", "six/a.mp4"), True
    )


def test_the_most_trusted_name_comes_first_wherever_it_lies(tmp_path):
    files = {"a/a.mp4": "1", "b/a_000001_000011.mp4": "2", "dog/a.mp4": "3"}
    ranks = {"a/a.mp4": 1, "dog/a.mp4": 1}
    assert chosen(tmp_path, files, ranks=ranks) == Named(("b/a_000001_000011.mp4", "dog/a.mp4", "a/a.mp4"))


def test_files_are_hashed_only_where_nothing_else_tells(tmp_path, monkeypatch):
    hashed: list[str] = []

    def sha256_of(path: Path) -> str:
        hashed.append(path.name)
        return path.read_text()

    monkeypatch.setattr(module, "sha256_of", sha256_of)
    chosen(tmp_path / "1", {"dog/a.mp4": "1", "two/a.mp4": "1"})  # the folder tells
    chosen(tmp_path / "2", {"one/a.mp4": "1", "two/a.mp4": "12"})  # the size tells
    chosen(tmp_path / "3", {"one/a.mp4": "1", "one/a.mkv": "2"})  # one folder
    assert hashed == []
    chosen(tmp_path / "4", {"one/a.mp4": "1", "two/a.mp4": "2"})
    assert hashed == ["a.mp4", "a.mp4"]


def test_a_file_that_cannot_be_looked_at_is_no_copy(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/a.mp4").symlink_to("nowhere")  # removed since the folder was listed
    (tmp_path / "two/a.mp4").write_text("x")
    files = (tmp_path / "one/a.mp4", tmp_path / "two/a.mp4")
    assert choose([(0, path) for path in files], DOG, tmp_path, CLASSES) == Choice(files, True)


@pytest.mark.parametrize(
    ("label", "folder"),
    [
        ("blowing nose", "Blowing_Nose"),
        ("playing violin, fiddle", "playing_violin__fiddle"),
        ("Ünd", "ünd"),
        ("♪", "♪"),
    ],
)
def test_folders_are_named_as_labels_though_spelt_in_another_way(label, folder):
    assert folder_name(label) == folder_name(folder) != ""
