"""A file is opened by its name, whatever that looks like, and no file that it names."""

import os
from pathlib import Path

import av
import pytest
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.opening import CONTAINERS, open_media, url_of
from PIL import Image


def duration(path: Path) -> float:
    with open_media(path) as container:
        return float(container.duration / 1e6)


@pytest.mark.parametrize("name", ["12:30.mp4", "concat:ok.mp4", "file:ok.mp4", "pipe:0", "a b%20.mp4", "-é\n.mp4"])
def test_a_name_that_looks_like_a_url_is_a_name(clip, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    clip("ok.mp4", frames=60)
    clip("short.mp4", frames=30).rename(name)
    assert duration(Path(name)) == pytest.approx(2.0, abs=0.2)


def test_a_name_that_is_no_text(clip, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.mp4")
    clip(frames=30).rename(path)
    assert duration(path) == pytest.approx(2.0, abs=0.2)


def test_a_file_that_is_not_there_is_not_put_together_from_others(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip("ok.mp4")
    with pytest.raises(FileNotFoundError):
        open_media(Path("concat:ok.mp4"))


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("x.mp4", "ffconcat version 1.0\nfile ok.mp4\n"),
        ("x.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:4,\nok.mp4\n#EXT-X-ENDLIST\n"),
    ],
)
def test_playlists_and_scripts_are_not_followed(clip, tmp_path, name, script):
    clip("ok.mp4")
    path = tmp_path / name
    path.write_text(script)
    with pytest.raises(ClipError, match="not a container of video and sound") as caught:
        open_media(path)
    assert caught.value.reason == "cannot be decoded"


def test_an_image_is_no_video(tmp_path):
    path = tmp_path / "x.mp4"
    Image.new("RGB", (32, 32)).save(path, "png")
    with pytest.raises(ClipError, match="not a container"):
        open_media(path)


def test_every_container_allowed_is_known_to_libavformat():
    assert set(CONTAINERS) <= av.formats_available


def test_links_in_the_way_are_left_to_the_system(clip, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    clip().rename(tmp_path / "deep" / "x.mp4")
    # Shortened as text, link/.. would be the folder itself, which holds no x.mp4.
    assert url_of(tmp_path / "link" / ".." / "x.mp4").endswith("link/../x.mp4")
    assert duration(tmp_path / "link" / ".." / "x.mp4") == pytest.approx(2.0, abs=0.2)
