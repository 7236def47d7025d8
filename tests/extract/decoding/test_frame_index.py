"""Times of frames as the packets tell them."""

import av
import numpy as np
import pytest
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.frame_index import frame_index, index_frames


def test_constant_rate(clip):
    index = index_frames(clip(frames=30, rate=15))
    np.testing.assert_allclose(index.times, np.arange(30) / 15, atol=1e-4)
    np.testing.assert_allclose(index.durations, 1 / 15, atol=1e-4)


def test_variable_rate(clip):
    times = [0, 40, 80, 1000, 1500, 3000]
    index = index_frames(clip("v.mkv", times_ms=times, sound=None, audio=None))
    np.testing.assert_allclose(index.times * 1000, times, atol=1)
    assert len(index) == 6


def test_packets_taken_out_by_an_edit_list_do_not_count(tmp_path, clip):
    cut = cut_first_second(clip(frames=60, rate=15), tmp_path / "cut.mp4")
    index = index_frames(cut)
    assert len(index) == 45
    np.testing.assert_allclose(index.times, np.arange(45) / 15, atol=1e-3)


def cut_first_second(source, target):
    """Stream copy with the first second before time 0, as `ffmpeg -ss 1 -c copy` leaves it."""
    with av.open(str(source)) as old, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.pts is not None and packet.dts is not None:
                second = int(1 / packet.time_base)
                packet.pts, packet.dts = packet.pts - second, packet.dts - second
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target


def test_a_wrong_number_of_frames_in_the_header_changes_nothing(clip):
    path = clip("c.avi", frames=30, video="mpeg4", audio="mp3", audio_rate=44_100, sample_format="s16p")
    honest = index_frames(path)
    data = bytearray(path.read_bytes())
    # avih: ... dwTotalFrames is its fifth word; strh of the video: dwLength is its ninth.
    for box, word in ((b"avih", 4), (b"strh", 8)):
        at = data.index(box) + 8 + 4 * word
        assert int.from_bytes(data[at : at + 4], "little") in (30, 31)
        data[at : at + 4] = (43).to_bytes(4, "little")
    path.write_bytes(data)
    lying = index_frames(path)
    np.testing.assert_array_equal(lying.times, honest.times)
    assert len(lying) == 30


def test_no_video_stream(clip):
    with pytest.raises(ClipError, match="no video stream") as caught:
        index_frames(clip("a.m4a", video=None, frames=30))
    assert caught.value.reason == "no video"


@pytest.mark.parametrize("name", ["faststart.mp4", "c.mkv"])
def test_a_truncated_file_is_refused(clip, tmp_path, name):
    whole = clip("whole.mp4", frames=150, size=(128, 128))
    path = tmp_path / name
    with av.open(str(whole)) as old, av.open(str(path), "w", options={"movflags": "faststart"}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(ClipError, match=r"truncated|promises"):
        index_frames(path)


def test_missing_durations_last_until_the_next_frame():
    index = frame_index([(2.0, 0.0), (0.0, 0.0), (0.5, 0.25)])
    np.testing.assert_allclose(index.times, [0, 0.5, 2])
    np.testing.assert_allclose(index.durations, [0.5, 0.25, 1.0])
