"""Frames by both decoders: the right ones, in order, upright."""

import av
import numpy as np
import pytest
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.frames import decoders_for, read_frames
from avcil.extract.preparation.encoder_input import VisualPreparation
from avcil.extract.preparation.recipes import jpeg_choice, recipe

from ..conftest import OPEN_GROUPS, SIDE, number_of, picture, remux, scrambled, turn
from .test_frame_index import cut_first_second

PLAIN = VisualPreparation(frames=16, shortest_edge=SIDE, crop=SIDE)
EVEN = recipe("audiomae")
FIRST = decoders_for(EVEN)[0]


@pytest.fixture(params=["decord", "pyav"])
def decoder(request):
    if request.param == "decord":
        pytest.importorskip("decord")
    return request.param


def numbers(path, decoder, preparation=PLAIN, how=EVEN):
    frames = read_frames(path, how, preparation, decoder)
    assert frames.shape == (preparation.frames, 3, preparation.crop, preparation.crop)
    assert frames.dtype == np.uint8
    return [number_of(frame) for frame in frames]


@pytest.mark.parametrize("frames", [1, 2, 7, 15, 16, 17, 90])
def test_sixteen_frames_over_the_whole_clip_in_order(clip, decoder, frames):
    got = numbers(clip(frames=frames), decoder)
    exact = np.arange(16) * (frames - 1) / 15
    assert (np.abs(np.array(got) - exact) <= 0.5).all()
    assert got == sorted(got)
    assert (got[0], got[-1]) == (0, frames - 1)


def test_variable_rate_goes_by_time(clip, decoder):
    times = [*range(0, 400, 20), 1000, 2000, 3000, 4000]
    got = numbers(clip("v.mkv", times_ms=times, audio=None), decoder)
    wanted = np.arange(16) * 4000 / 15
    distance = np.abs(np.array(times)[None, :] - wanted[:, None])
    assert got == list(distance.argmin(axis=1))


def test_both_decoders_give_the_same_pixels(clip):
    pytest.importorskip("decord")
    path = clip(frames=40, size=(120, 160))
    preparation = VisualPreparation(frames=16, shortest_edge=56, crop=56)
    np.testing.assert_array_equal(
        read_frames(path, EVEN, preparation, "decord"), read_frames(path, EVEN, preparation, "pyav")
    )


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_rotated_clips_are_set_upright(clip, decoder, quarters):
    path = turn(clip(frames=3, size=(64, 96)), quarters)
    expected = np.rot90(picture(0, 64, 96), -quarters)  # np.rot90 turns anticlockwise
    side = expected.shape[1]
    preparation = VisualPreparation(frames=1, shortest_edge=64, crop=64)
    [frame] = read_frames(path, EVEN, preparation, decoder)
    top, left = (expected.shape[0] - 64) // 2, (side - 64) // 2
    middle = expected[top : top + 64, left : left + 64]
    assert np.abs(frame.transpose(1, 2, 0).astype(int) - middle).mean() < 8


def test_edit_lists_are_obeyed(clip, tmp_path):
    cut = cut_first_second(clip(frames=60, rate=15), tmp_path / "cut.mp4")
    got = numbers(cut, "pyav")
    assert (got[0], got[-1]) == (15, 59)


OPEN = {
    "libx264": {"x264-params": OPEN_GROUPS},
    "libx265": {"preset": "ultrafast", "x265-params": f"log-level=none:{OPEN_GROUPS}"},
    "mpeg4": {},
    "mpeg2video": {},
}


@pytest.mark.parametrize("codec", OPEN)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_open_groups_give_the_frames_that_were_asked_for(clip, codec, name):
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec}")
    rate = 25 if codec == "mpeg2video" else 15  # MPEG-2 has no rate of 15
    path = clip(name, frames=90, rate=rate, video=codec, options=OPEN[codec], group=20, b_frames=3)
    exact = np.arange(16) * 89 / 15
    assert (np.abs(np.array(numbers(path, FIRST)) - exact) <= 0.5).all()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_open_groups_give_the_pictures_that_key_frames_alone_give(clip, name):
    preparation = VisualPreparation(frames=16, shortest_edge=64, crop=64)
    opened = clip(f"open-{name}", frames=90, options={"x264-params": OPEN_GROUPS})
    keys = clip(f"keys-{name}", frames=90, options={"x264-params": "keyint=1"})
    first, second = (read_frames(path, EVEN, preparation, FIRST).astype(int) for path in (opened, keys))
    assert np.abs(first - second).mean() < 2  # what compression loses


def test_intra_refresh_gives_the_frames_that_were_asked_for(clip):
    path = clip("a.mkv", frames=90, options={"x264-params": "intra-refresh=1:keyint=20"})
    assert (np.abs(np.array(numbers(path, FIRST)) - np.arange(16) * 89 / 15) <= 0.5).all()


@pytest.mark.parametrize("how", [EVEN, recipe("released", 10)])
def test_concealed_pictures_are_refused(clip, tmp_path, how):
    whole = clip("a.mp4", frames=40, audio=None, size=(128, 128), options={"x264-params": "keyint=10:bframes=0"})
    damaged = remux(whole, tmp_path / "d.mp4", lambda packets: [*packets[:7], scrambled(packets[7]), *packets[8:]])
    with pytest.raises(ClipError, match="1 of the 40 pictures decoded are damaged") as caught:
        read_frames(damaged, how, PLAIN, decoders_for(how)[0])
    assert caught.value.reason == "cannot be decoded"


def test_avi_is_read_in_order_to_its_ends(clip):
    # Its packets carry decoding times only, of which decord's bundled library makes nonsense.
    path = clip("b.avi", frames=40, video="mpeg4", audio="mp3", audio_rate=44_100, sample_format="s16p")
    got = numbers(path, "pyav")
    assert got == sorted(got)
    assert (got[0], got[-1]) == (0, 39)
    assert np.abs(np.array(got) - np.arange(16) * 39 / 15).max() < 2


def test_packets_that_give_no_frame_are_found_out_by_decoding(clip, tmp_path):
    source, damaged = clip(frames=30, audio=None, group=12), tmp_path / "damaged.mkv"
    with av.open(str(source)) as old, av.open(str(damaged), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux() if packet.size]
        for packet in packets[1:]:  # what follows the missing first key frame cannot be decoded
            packet.stream = stream
            new.mux(packet)
    got = numbers(damaged, "pyav")
    exact = 12 + np.arange(16) * (29 - 12) / 15
    assert (np.abs(np.array(got) - exact) <= 0.5).all()


def test_released_frames_are_those_of_the_jpeg_files(clip):
    got = numbers(clip(frames=30, rate=15), "pyav", how=recipe("released", 10))
    # 2 s at 15 Hz give 22 files: 0 1 2 3 4 5 7 8 10 11 13 14 16 17 19 20 22 23 25 26 28 29 (test_recipes).
    files = [0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 26, 28, 29]
    assert got == [files[number - 1] for number in jpeg_choice(22, 16)]


def test_released_frames_went_through_jpeg(clip):
    path = clip(frames=16, rate=10, size=(128, 128))
    preparation = VisualPreparation(frames=16, shortest_edge=128, crop=128)
    plain = read_frames(path, EVEN, preparation, "pyav")
    compressed = read_frames(path, recipe("released", 10), preparation, "pyav")
    assert 0 < np.abs(plain.astype(int) - compressed).mean() < 20


def test_released_frames_are_set_upright(clip):
    path = turn(clip(frames=2, rate=10, size=(64, 64)), 2)
    frames = read_frames(path, recipe("released", 10), PLAIN, "pyav")
    flipped = frames[0].transpose(1, 2, 0)[::-1, ::-1]
    assert number_of(flipped) == 0
    assert number_of(frames[-1].transpose(1, 2, 0)[::-1, ::-1]) == 1


def test_pyav_first_then_decord_and_pyav_alone_for_jpeg():
    pytest.importorskip("decord")
    assert decoders_for(EVEN) == ("pyav", "decord")
    assert decoders_for(recipe("released")) == ("pyav",)


def test_pyav_alone_where_decord_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert decoders_for(EVEN) == ("pyav",)
