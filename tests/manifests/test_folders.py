import os
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.manifests import Clip, locate_videos, read_manifest, write_manifest
from avcil.manifests.dividing import Shares
from avcil.manifests.folders import list_folder


def touch(directory: Path, *names: str) -> Path:
    """Files whose content is their own name."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return directory


def numbered(label: str, count: int) -> list[str]:
    return [f"{label}/{number}.mp4" for number in range(count)]


def refusal(directory: Path, shares: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        list_folder(directory, None if shares is None else Shares.of(shares))
    return str(error.value).replace(str(directory), "DIR")


def test_folders_of_labels_are_divided_by_class(tmp_path):
    touch(tmp_path, *numbered("big dog", 10), *numbered("cat", 20))
    listed = list_folder(tmp_path, seed=3)
    manifest = listed.manifest
    assert manifest.class_order == ("big dog", "cat")
    counts = {label: [sum(c.label == label and c.split == s for c in manifest.clips) for s in ("train", "val", "test")]
              for label in manifest.class_order}  # fmt: skip
    assert counts == {"big dog": [8, 1, 1], "cat": [16, 2, 2]}
    assert {clip.id: clip.path for clip in manifest.clips}["big_dog__7"] == "big dog/7.mp4"
    assert listed.lines == ("divided by class with seed 3",)
    assert list_folder(tmp_path, seed=3).manifest == manifest
    assert list_folder(tmp_path, seed=4).manifest != manifest


def test_folders_of_splits_are_the_splits(tmp_path):
    touch(tmp_path, "Train/dog/a.mp4", "training/cat/b.mkv", "valid/dog/c.mp4", "test/cat/a.mp4", "test/dog/e.mp4")
    listed = list_folder(tmp_path)
    assert listed.manifest.clips == (
        Clip("training__cat__b", "cat", "train", "training/cat/b.mkv"),
        Clip("test__cat__a", "cat", "test", "test/cat/a.mp4"),
        Clip("Train__dog__a", "dog", "train", "Train/dog/a.mp4"),
        Clip("valid__dog__c", "dog", "val", "valid/dog/c.mp4"),
        Clip("test__dog__e", "dog", "test", "test/dog/e.mp4"),
    )
    assert listed.lines == ()


def test_a_copy_of_any_file_of_a_clip_is_passed_over(tmp_path):
    touch(tmp_path, *numbered("dog", 9), *numbered("cat", 10), "dog/v.avi", "dog/v.mp4")
    (tmp_path / "dog/copy.mp4").write_text("dog/v.mp4")
    for seed in range(4):
        listed = list_folder(tmp_path, seed=seed)
        assert len({"dog__copy", "dog__v"} & {clip.id for clip in listed.manifest.clips}) == 1
        (line,) = [line for line in listed.lines if "copies" in line]
        assert line.startswith("passed over: 1, copies of another file of their folder (dog/")
    (tmp_path / "cat/copy.mp4").write_text("dog/v.avi")
    assert "DIR/cat/copy.mp4 and DIR/dog/v.avi are the same video in two classes" in refusal(tmp_path)


def test_the_list_that_is_written_says_the_same_and_finds_every_file(tmp_path):
    videos = touch(tmp_path / "videos", *numbered('dog, "big"', 5), *numbered("ñu", 5), "ñu/x.v1.mkv", "ñu/x.v1.mp4")
    manifest = list_folder(videos).manifest
    write_manifest(manifest, tmp_path / "list.csv")
    again = read_manifest(tmp_path / "list.csv")
    assert again.clips == manifest.clips
    assert again.class_order == manifest.class_order
    located = locate_videos(again, videos)
    assert len(located.found) == 11
    assert located.missing == ()
    assert [path.name for path in located.several["ñu__x.v1"].files] == ["x.v1.mkv", "x.v1.mp4"]


def test_clips_of_one_source_video_stay_together(tmp_path):
    cut = [f"dog/aaaaAaaaa{source}_{start}.mp4" for source in range(10, 15) for start in (0, 30, 60)]
    touch(tmp_path, *cut, *numbered("cat", 5), "cat/aaaaAaaaa10_90.mp4")
    listed = list_folder(tmp_path, Shares.of("0.6/0.2/0.2"))
    splits: dict[str, set[str]] = {}
    for clip in listed.manifest.clips:
        if "aaaaAaaaa" in clip.id:
            splits.setdefault(clip.id.split("__")[1][:11], set()).add(clip.split)
    assert [len(found) for found in splits.values()] == [1] * 5
    assert sorted(split for (split,) in splits.values()) == ["test", "train", "train", "train", "val"]
    assert "by their names they were cut from 10 videos, none of which is in two splits" in listed.lines[0]


def test_what_is_passed_over_is_said_with_its_reason(tmp_path):
    touch(tmp_path, *numbered("cat", 3), *numbered("dog", 3), "readme.txt", "cat/a.txt", "cat/._x.mp4", "notes/x.md")
    (tmp_path / "dog/empty.mp4").write_bytes(b"")
    (tmp_path / "dog/copy.mp4").write_text("dog/1.mp4")
    (tmp_path / "dog/broken.mp4").symlink_to(tmp_path / "nothing")
    listed = list_folder(tmp_path)
    assert len(listed.manifest.clips) == 6
    assert sorted(listed.lines[1:]) == [
        "passed over: 1, copies of another file of their folder (dog/copy.mp4)",
        "passed over: 1, empty files (dog/empty.mp4)",
        "passed over: 1, folders without a video (notes)",
        "passed over: 1, links to nowhere (dog/broken.mp4)",
        "passed over: 1, their names begin with a dot (cat/._x.mp4)",
        "passed over: 2, no video by their suffix '.txt' (the first readme.txt)",
    ]


def test_training_videos_that_gave_test_clips_are_said(tmp_path):
    touch(tmp_path, "train/dog/walk_0_10.mp4", "test/dog/walk_10_20.mp4", "train/cat/a.mp4")
    (line,) = list_folder(tmp_path).lines
    assert line.startswith("by their names 1 validation and test clips were cut from videos that also gave training")


DOGS = [*numbered("dog", 3), *numbered("cat", 3)]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "there is no video below DIR: put them into folders as LABEL/FILE or"),
        (["dog/a.txt"], "there is no video below DIR"),
        (numbered("dog", 5), "the videos below DIR are all of one class, 'dog': at least two are needed"),
        ([*DOGS, "x.mp4"], "DIR/x.mp4 lies beside the folders of labels, so it has no label"),
        (["train/x.mp4", "train/dog/a.mp4"], "DIR/train/x.mp4 lies beside the folders of labels"),
        ([*DOGS, "train/dog/a.mp4"], "DIR/train is a split and DIR/cat beside it a label"),
        ([*DOGS, "dog/more/a.mp4"], "DIR/dog/more is a folder inside a label's, and holds videos"),
        ([*DOGS, "Dog/a.mp4"], "the labels 'Dog' and 'dog' in DIR differ in case only"),
        (["train/dog/a.mp4", "train/cat/a.mp4", "test/Dog/b.mp4"], "the labels 'Dog' and 'dog' in DIR differ"),
        ([*DOGS, "dog/a\tb.mp4"], "DIR/dog/a\\u0009b.mp4 has the character \\u0009 in its name"),
        ([*DOGS, "d\nog/a.mp4"], "has the character \\u000a in its name"),
        ([*DOGS, " cow/a.mp4"], "the label ' cow' of DIR/ cow has a space at its end or beginning"),
        ([*DOGS, "dog/a b.mp4", "dog/a_b.mp4"], "DIR/dog/a b.mp4 and DIR/dog/a_b.mp4 both become the id 'dog__a_b'"),
        ([*DOGS, f"dog/{'x' * 220}.mp4"], "is not a plain name"),
        ([*DOGS, *numbered("cow", 2)], "class 'cow' has 2 clips of 2 source videos, too few for 3 splits: add some"),
        (["train/dog/a.mp4", "train/cat/b.mp4", "test/cow/c.mp4"], "DIR: class 'cow' has no training clips"),
    ],
)  # fmt: skip
def test_what_cannot_become_a_list_is_one_line(tmp_path, names, words):
    message = refusal(touch(tmp_path, *names))
    assert words in message
    assert "\n" not in message


def test_names_that_are_not_utf8_are_said(tmp_path):
    touch(tmp_path, *DOGS)
    (tmp_path / os.fsdecode(b"dog/\xff.mp4")).write_text("x")
    assert "has the character \\udcff in its name, which no list can hold: rename it" in refusal(tmp_path)


def test_links_inside_are_followed_and_links_out_are_refused(tmp_path):
    videos = touch(tmp_path / "videos", *DOGS, "cat/keep/notes.txt")
    (videos / "dog/again.mp4").symlink_to(videos / "dog/1.mp4")
    assert "copies of another file" in "\n".join(list_folder(videos).lines)
    outside = touch(tmp_path / "outside", "a.mp4")
    (videos / "cow").symlink_to(outside, target_is_directory=True)
    assert f"DIR/cow is a link that leads out of DIR, to {outside}: copy or move it there" in refusal(videos)
    (videos / "cow").unlink()
    (videos / "dog/out.mp4").symlink_to(outside / "a.mp4")
    assert "DIR/dog/out.mp4 is a link that leads out of DIR" in refusal(videos)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("test/dog/b.mp4", "DIR/test/dog/b.mp4 and DIR/train/dog/a.mp4 are the same video in two splits"),
        ("train/cat/b.mp4", "DIR/train/cat/b.mp4 and DIR/train/dog/a.mp4 are the same video in two classes"),
    ],
)
def test_a_video_in_two_splits_or_classes_is_refused(tmp_path, second, words):
    touch(tmp_path, "train/dog/a.mp4", "train/cat/c.mp4", second)
    (tmp_path / second).write_text("train/dog/a.mp4")
    assert words in refusal(tmp_path)


def test_splits_of_folders_are_not_divided_again(tmp_path):
    touch(tmp_path, "train/dog/a.mp4", "train/cat/a.mp4")
    assert refusal(tmp_path, "0.8/0.2") == "the folders of DIR are the splits: leave --split out"


def test_no_folder_is_said(tmp_path):
    assert refusal(tmp_path / "nowhere").startswith("there is no directory ")
