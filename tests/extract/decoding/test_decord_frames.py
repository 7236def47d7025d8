"""decord is asked where it gives what decoding in order gives, and nowhere else."""

import os

import av
import numpy as np
import pytest
from avcil.extract.decoding.decord_frames import decord_frames
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.frame_index import index_frames
from avcil.extract.decoding.frames import upright
from avcil.extract.decoding.pictures import Pictures

from ..conftest import OPEN_GROUPS, number_of, remux, scrambled

pytest.importorskip("decord")

CLOSED = OPEN_GROUPS.replace("open-gop=1", "open-gop=0")


def read(path, wanted):
    return decord_frames(path, index_frames(path), list(wanted))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("parameters", [CLOSED, "keyint=250", "keyint=1", "keyint=7:bframes=0"])
def test_closed_groups_give_the_same_pictures_as_pyav(clip, name, parameters):
    path = clip(name, frames=50, size=(64, 96), options={"x264-params": parameters})
    wanted = [0, 3, 19, 20, 21, 38, 49]
    every = [upright(frame) for frame in Pictures(path, index_frames(path))]
    got = read(path, wanted)
    assert [number_of(frame) for frame in got] == wanted
    np.testing.assert_array_equal(got, [every[i] for i in wanted])


@pytest.mark.parametrize(
    ("reason", "name", "settings"),
    [
        ("groups of pictures are not known to be closed", "a.mkv", {"options": {"x264-params": OPEN_GROUPS}}),
        ("it is not H.264", "a.mp4", {"video": "mpeg4"}),
        ("it is not in MP4 or Matroska", "a.ts", {"options": {"x264-params": CLOSED}}),
        ("not 4:2:0 of 8 bits", "a.mp4", {"pixels": "yuv420p10le"}),
        ("not 4:2:0 of 8 bits", "a.mp4", {"pixels": "yuv444p"}),
        ("it is interlaced", "a.mp4", {"options": {"x264-params": "interlaced=1"}}),
        ("its colours are tagged", "a.mp4", {"options": {"x264-params": "colormatrix=bt709:range=tv"}}),
    ],
)
def test_it_is_not_asked_for_other_files(clip, reason, name, settings):
    with pytest.raises(ClipError, match=reason) as caught:
        read(clip(name, frames=50, **settings), [0, 49])
    assert caught.value.reason == "cannot be decoded"


def test_pictures_that_its_decoder_conceals_are_not_taken(clip, tmp_path):
    whole = clip("a.mp4", frames=40, audio=None, size=(128, 128), options={"x264-params": "keyint=20:bframes=0"})
    assert len(read(whole, [0, 39])) == 2
    path = remux(whole, tmp_path / "d.mp4", lambda packets: [*packets[:30], scrambled(packets[30], 0.1), *packets[31:]])
    with pytest.raises(ClipError, match="complains: "):
        read(path, [0, 39])


def test_standard_error_is_given_back(clip, capfd):
    read(clip(frames=20), [0])
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_no_colours_are_tagged_by_default(clip):
    with av.open(str(clip())) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range, context.field_order) == (2, 0, 1)
