import csv
import os
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.manifests import NAMED_BY_ID, Choice, Clip, Manifest, NamingHabit, locate_videos, read_manifest
from avcil.manifests.benchmark import DIRECTORY
from avcil.manifests.description import read_description

AVE, KINETICS, VGGSOUND = (
    read_description(DIRECTORY / f"{name}.toml")[0].habits() for name in ("ave", "kinetics-sounds", "vggsound100")
)


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
        (AVE, "---1_cCGK4M", "---1_cCGK4M_30_40.mp4"),
        (AVE, "---1_cCGK4M", "---1_cCGK4M_30000_40000.mp4"),
        (VGGSOUND, "X5p1pQzHKE0_000145", "X5p1pQzHKE0_145_155.mp4"),
        (VGGSOUND, "X5p1pQzHKE0_000145", "X5p1pQzHKE0_000145_000155.mp4"),
        (VGGSOUND, "X5p1pQzHKE0_000145", "X5p1pQzHKE0_145000_155000.mp4"),
        (VGGSOUND, "X5p1pQzHKE0_001000", "X5p1pQzHKE0_001000_001010.mp4"),
        (VGGSOUND, "X5p1pQzHKE0_000000", "X5p1pQzHKE0_0_10000.mp4"),
        (NAMED_BY_ID, "mine_01", "mine_01_30_40.mp4"),
        (NAMED_BY_ID, "mine_01", "mine_01_30000_40000.mp4"),
        (NAMED_BY_ID, "mine_000030", "mine_000030_000040.mp4"),
        (NAMED_BY_ID, "the_clip__1_", "dog/the clip (1).mp4"),
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
        (VGGSOUND, "aaaaaaaaaaa_000010", "aaaaaaaaaaa_100_110.mp4"),
        (NAMED_BY_ID, "dog", "dog_1.mp4"),
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


def test_a_file_that_bears_one_clips_id_is_no_other_clips(tmp_path):
    whole, part = touch(tmp_path, "dog.mp4", "dog_1_2.mp4")
    located = locate_videos(manifest("dog", "dog_1_2"), tmp_path)
    assert located.found == {"dog": whole, "dog_1_2": part}
    assert located.several == {}


def test_a_path_without_a_container_is_any_container_of_that_name(tmp_path):
    one, two = touch(tmp_path, "dog/a.v2.MKV", "dog/a.v2.mp4")
    touch(tmp_path, "dog/a.v2.json", "dog/a.v2.1.mp4", "dog/a.mp4")
    located = locate_videos(manifest("x", path="dog/a.v2"), tmp_path)
    assert located.found == {"x": one}
    assert located.several == {"x": Choice((one, two))}
    assert locate_videos(manifest("x", path="dog/b"), tmp_path).found == {}
    assert locate_videos(manifest("x", path="nowhere/b"), tmp_path).found == {}


def test_links_are_followed_and_loops_end(tmp_path):
    (path,) = touch(tmp_path, "elsewhere/x.mp4")
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (videos / "loop").symlink_to(videos, target_is_directory=True)
    (videos / "y.mp4").symlink_to(path)
    (videos / "broken.mp4").symlink_to(tmp_path / "nothing")
    (videos / "itself.mp4").symlink_to(videos / "itself.mp4")
    (videos / "itself").symlink_to(videos / "itself")
    located = locate_videos(manifest("x", "y", "broken", "itself"), videos)
    assert located.found == {"x": videos / "link/x.mp4", "y": videos / "y.mp4"}


def test_a_path_of_ones_own_is_relative_to_the_videos_or_absolute(tmp_path):
    inside, other = touch(tmp_path, "videos/some where/1.xyz", "videos/deep/2.bin")
    touch(tmp_path, "videos/b.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "videos", target_is_directory=True)
    clips = (
        Clip("a", "dog", "train", "deep/../some where/./1.xyz"),
        Clip("b", "dog", "train", "not there.mp4"),  # its id's file does not stand in for it
        Clip("c", "dog", "train", str(other)),
        Clip("d", "dog", "train", "x" * 5000),
        Clip("e", "dog", "train", "a\0b"),
    )
    located = locate_videos(Manifest("m", clips, ("dog",)), tmp_path / "videos")
    assert located.found == {"a": inside, "c": other}
    assert [clip.id for clip in located.missing] == ["b", "d", "e"]
    by_link = locate_videos(Manifest("m", clips, ("dog",)), tmp_path / "link")
    assert by_link.found == {"a": tmp_path / "link/some where/1.xyz", "c": other}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../outside.mp4", "leads out of the folder of videos: give a folder above as --videos, and paths from there"),
        ("deep/../../outside.mp4", "leads out of the folder of videos"),
        ("..", "leads out of the folder of videos"),
        ("{root}/outside.mp4", "is outside of {root}/videos: give a folder that holds all videos as --videos"),
        ("{root}/videos/../outside.mp4", "is outside of {root}/videos"),
        ("{root}/videos2/a.mp4", "is outside of {root}/videos"),
        ("/etc/passwd", "is outside of {root}/videos"),
        ("/\x1b[2J", "the path '/\\u001b[2J' is outside"),
    ],
)
def test_a_list_does_not_lead_out_of_the_folder_of_videos(tmp_path, path, words):
    touch(tmp_path, "outside.mp4", "videos/deep/x.mp4", "videos2/a.mp4")
    path, words = path.format(root=tmp_path), words.format(root=tmp_path)
    (tmp_path / "mine.csv").write_text(f"video_id,label,split,path\na,dog,train,\n\nb,dog,train,{path}\n")
    with pytest.raises(InputError) as error:
        locate_videos(read_manifest(tmp_path / "mine.csv"), tmp_path / "videos")
    assert str(error.value).startswith(f"{tmp_path / 'mine.csv'} row 4: the path '")
    assert words in str(error.value)


def test_a_path_is_taken_as_it_reads_where_a_link_would_bend_it(tmp_path):
    """To the system "link/../x.mp4" is beside the folder that the link leads to."""
    touch(tmp_path, "elsewhere/x.mp4", "elsewhere/deep/y.mp4")
    (inside,) = touch(tmp_path, "videos/x.mp4")
    (tmp_path / "videos/link").symlink_to(tmp_path / "elsewhere/deep", target_is_directory=True)
    clips = (Clip("a", "dog", "train", "link/../x.mp4"), Clip("b", "dog", "train", "link/y.mp4"))
    located = locate_videos(Manifest("m", clips, ("dog",)), tmp_path / "videos")
    assert located.found == {"a": inside, "b": tmp_path / "videos/link/y.mp4"}


def test_several_files_of_one_clip(tmp_path):
    for name, content in (
        ("one/a.mp4", "1"),
        ("two/a.mp4", "2"),
        ("dog/b.mp4", "1"),
        ("b.mp4", "2"),
        ("one/c.mp4", "1"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "two/c.mp4").write_text("1")
    located = locate_videos(manifest("a", "b", "c", "d"), tmp_path)
    assert located.found == {
        clip: tmp_path / path for clip, path in zip("abc", ("one/a.mp4", "dog/b.mp4", "one/c.mp4"), strict=True)
    }
    assert located.several == {
        "a": Choice((tmp_path / "one/a.mp4", tmp_path / "two/a.mp4"), disputed=True),
        "b": Choice((tmp_path / "dog/b.mp4", tmp_path / "b.mp4")),
    }


def test_a_folder_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    touch(tmp_path, "shut/x.mp4")
    scan = os.scandir

    def refuse(folder):
        if folder.endswith("shut"):
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        InputError, match=r"shut cannot be read \(Permission denied\): its videos would count as missing"
    ):
        locate_videos(manifest("x"), tmp_path)


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
