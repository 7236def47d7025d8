import csv
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.manifests import Clip, Manifest, NamingHabit, locate_videos, published

AVE, KINETICS, VGGSOUND = (published(name).file_names for name in ("ave", "kinetics-sounds", "vggsound100"))


def manifest(*ids: str, path: str | None = None) -> Manifest:
    return Manifest("m", tuple(Clip(name, "dog", "train", path) for name in ids), ("dog",))


def touch(directory: Path, *names: str) -> list[Path]:
    paths = [directory / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")
    return paths


@pytest.mark.parametrize(
    ("habits", "clip", "file"),
    [
        (AVE, "---1_cCGK4M", "---1_cCGK4M.mp4"),
        (AVE, "-_aaaaaaaaa", "AVE/-_aaaaaaaaa.webm"),
        (KINETICS, "-De_GTVNO-o", "-De_GTVNO-o_000012_000022.mp4"),
        (KINETICS, "-De_GTVNO-o", "train/blowing nose/-De_GTVNO-o_000012_000022.mkv"),
        (KINETICS, "-De_GTVNO-o", "-De_GTVNO-o.mp4"),
        (KINETICS, "___________", "___________.MP4"),
        (KINETICS, "a_000001_00", "a_000001_00_000012_000022.mp4"),
        (VGGSOUND, "X5p1pQzHKE0_000145", "X5p1pQzHKE0_000145.mp4"),
        (VGGSOUND, "X5p1pQzHKE0_000145", "vggsound_00/scratch/videos/X5p1pQzHKE0_145.avi"),
        (VGGSOUND, "X5p1pQzHKE0_000000", "X5p1pQzHKE0_0.mp4"),
        (VGGSOUND, "a_000001_b__000030", "a_000001_b__30.mov"),
    ],
)
def test_each_data_sets_habits(tmp_path, habits, clip, file):
    (path,) = touch(tmp_path, file)
    located = locate_videos(manifest(clip), tmp_path, habits)
    assert located.found == {clip: path}
    assert located.missing == ()


@pytest.mark.parametrize(
    ("habits", "clip", "file"),
    [
        (AVE, "aaaaaaaaaaa", "aaaaaaaaaaa_000001.mp4"),
        (AVE, "aaaaaaaaaaa", "AAAAAAAAAAA.mp4"),  # YouTube ids know upper and lower case
        (KINETICS, "aaaaaaaaaaa", "xaaaaaaaaaaa.mp4"),
        (VGGSOUND, "aaaaaaaaaaa_000010", "aaaaaaaaaaa_000100.mp4"),
        (VGGSOUND, "aaaaaaaaaaa_000010", "aaaaaaaaaaa.mp4"),
    ],
)
def test_files_of_other_clips_are_not_taken(tmp_path, habits, clip, file):
    touch(tmp_path, file)
    assert locate_videos(manifest(clip), tmp_path, habits).found == {}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".mov", ".MP4", ".MkV", ".m4v", ".3gp", ".flv"])
def test_any_container_will_do(tmp_path, suffix):
    (path,) = touch(tmp_path, f"deep/er/clip.v2{suffix}")
    assert locate_videos(manifest("clip.v2"), tmp_path).found == {"clip.v2": path}


def test_files_that_hold_no_video_are_passed_over(tmp_path):
    touch(tmp_path, "a.info.json", "a.json", "a.mp4.part", "a.txt", "a", "._a.mp4", ".hidden/a.mp4", "a.wav")
    (tmp_path / "a.mkv").mkdir()
    assert locate_videos(manifest("a"), tmp_path).found == {}


def test_among_several_files_the_choice_is_the_same_everywhere(tmp_path):
    touch(tmp_path, "b/aaaaaaaaaaa.mp4", "b/aaaaaaaaaaa_000001_000011.mp4", "a/aaaaaaaaaaa.webm")
    located = locate_videos(manifest("aaaaaaaaaaa"), tmp_path, KINETICS)
    assert located.found == {"aaaaaaaaaaa": tmp_path / "b/aaaaaaaaaaa_000001_000011.mp4"}
    assert locate_videos(manifest("aaaaaaaaaaa"), tmp_path, AVE).found == {
        "aaaaaaaaaaa": tmp_path / "a/aaaaaaaaaaa.webm",
    }


def test_links_are_followed_and_loops_end(tmp_path):
    (path,) = touch(tmp_path, "elsewhere/x.mp4")
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (videos / "loop").symlink_to(videos, target_is_directory=True)
    (videos / "y.mp4").symlink_to(path)
    (videos / "broken.mp4").symlink_to(tmp_path / "nothing")
    located = locate_videos(manifest("x", "y", "broken"), videos)
    assert located.found == {"x": videos / "link/x.mp4", "y": videos / "y.mp4"}


def test_a_path_of_ones_own_is_relative_to_the_videos_or_absolute(tmp_path):
    inside, outside = touch(tmp_path, "videos/some where/1.xyz", "outside.bin")
    touch(tmp_path, "videos/b.mp4")
    clips = (
        Clip("a", "dog", "train", "some where/1.xyz"),
        Clip("b", "dog", "train", "not there.mp4"),  # its id's file does not stand in for it
        Clip("c", "dog", "train", str(outside)),
    )
    located = locate_videos(Manifest("m", clips, ("dog",)), tmp_path / "videos")
    assert located.found == {"a": inside, "c": outside}
    assert [clip.id for clip in located.missing] == ["b"]


def test_what_is_missing_is_counted_by_class_and_written_down(tmp_path):
    labels = ["cat", "dog", "dog", "cow, big", "dog"]
    clips = tuple(Clip(f"c{index}", label, "test") for index, label in enumerate(labels))
    touch(tmp_path, "c0.mp4", "c4.mp4")
    located = locate_videos(Manifest("m", clips, ("cat", "dog", "cow, big")), tmp_path)
    assert list(located.found) == ["c0", "c4"]
    assert located.missing_by_class == {"dog": 2, "cow, big": 1}
    located.write_missing(tmp_path / "lists/missing.csv")
    with (tmp_path / "lists/missing.csv").open() as stream:
        assert list(csv.reader(stream)) == [
            ["video_id", "label", "split"],
            ["c1", "dog", "test"],
            ["c2", "dog", "test"],
            ["c3", "cow, big", "test"],
        ]


def test_no_directory_is_said(tmp_path):
    with pytest.raises(InputError, match=r"there is no directory .*nowhere to look for videos in"):
        locate_videos(manifest("a"), tmp_path / "nowhere")


def test_a_habit_by_hand():
    habit = NamingHabit(pattern=r"(?P<year>\d+)-(?P<number>\d+)", id="{year}_{number:0>4}")
    assert habit.id_of("2020-17") == "2020_0017"
    assert habit.id_of("2020-17-") is None
