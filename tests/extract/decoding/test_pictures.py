"""Pictures in order, all of them whole, and only those that have to be decoded."""

import av
import numpy as np
import pytest
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.frame_index import index_frames
from avcil.extract.decoding.pictures import OtherCountError, Pictures, decoded, index_by_decoding, worth_decoding

from ..conftest import OPEN_GROUPS, number_of, remux, scrambled

CLOSED = {"x264-params": "keyint=10:scenecut=0"}
NO_B_FRAMES = {"x264-params": "keyint=20:scenecut=0:bframes=0"}


def rgb(frame):
    return frame.to_ndarray(format="rgb24")


def numbers(path, wanted=range(256)):
    """Place and number of each picture that comes out."""
    return [(place, number_of(rgb(frame))) for place, frame in decoded(path, index_frames(path), wanted)]


def test_all_pictures_in_order(clip):
    path = clip("a.mkv", frames=50, audio=None, options={"x264-params": OPEN_GROUPS})
    assert numbers(path, range(50)) == [(i, i) for i in range(50)]


@pytest.mark.parametrize("hurt", [[7], [3, 12, 33]])
def test_damaged_pictures_are_counted(clip, tmp_path, hurt):
    whole = clip("a.mp4", frames=40, audio=None, size=(128, 128), options=NO_B_FRAMES)

    def damage(packets):
        return [scrambled(packet) if i in hurt else packet for i, packet in enumerate(packets)]

    path = remux(whole, tmp_path / "damaged.mp4", damage)
    with pytest.raises(ClipError, match=f"^.*{len(hurt)} of the 40 pictures decoded are damaged") as caught:
        numbers(path, range(40))
    assert caught.value.reason == "cannot be decoded"


@pytest.mark.parametrize("codec", ["libx265", "mpeg4", "mpeg2video", "mjpeg"])
def test_damage_in_other_codecs(clip, tmp_path, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec}")
    options = {"preset": "ultrafast", "x265-params": "log-level=none:hash=1:bframes=0"} if codec == "libx265" else {}
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    whole = clip("a.mkv", frames=20, audio=None, video=codec, size=(128, 128), options=options, pixels=pixels)
    path = remux(whole, tmp_path / "damaged.mkv", lambda packets: [*packets[:5], scrambled(packets[5]), *packets[6:]])
    with pytest.raises(ClipError, match="pictures decoded are damaged"):
        numbers(path, range(20))


def test_a_stream_cut_in_an_open_group_begins_with_its_first_key_frame(clip, tmp_path):
    whole = clip("a.mkv", frames=60, audio=None, options={"x264-params": OPEN_GROUPS})
    with av.open(str(whole)) as container:
        keys = [i for i, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    path = remux(whole, tmp_path / "cut.mkv", lambda packets: packets[keys[1] :])
    index = index_frames(path)
    assert len(index) > 40  # pictures before the key frame, which refer to the group that was cut away
    with pytest.raises(OtherCountError):
        numbers(path)
    index = index_by_decoding(path, index)
    assert [number_of(rgb(frame)) for _, frame in decoded(path, index, range(40))] == list(range(20, 60))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_packets_before_the_first_key_frame_do_not_count(clip, tmp_path, codec):
    options = NO_B_FRAMES if codec == "libx264" else {}
    whole = clip("a.mkv", frames=60, audio=None, video=codec, options=options, group=20, b_frames=0)
    path = remux(whole, tmp_path / "cut.mkv", lambda packets: packets[5:])
    index = index_frames(path)
    assert (len(index), index.before_key) == (40, 15)
    assert numbers(path) == [(i, i + 20) for i in range(40)]


def test_damage_in_the_first_picture_is_no_cut(clip, tmp_path):
    whole = clip("a.mp4", frames=20, audio=None, size=(128, 128), options=NO_B_FRAMES)
    path = remux(whole, tmp_path / "damaged.mp4", lambda packets: [scrambled(packets[0]), *packets[1:]])
    with pytest.raises(ClipError, match="pictures decoded are damaged"):
        numbers(path, range(20))


def test_joined_parts_are_decoded_to_the_end(clip, tmp_path):
    parts = [clip(f"{i}.ts", frames=30, audio=None).read_bytes() for i in range(2)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    assert numbers(path) == [(i, i % 30) for i in range(60)]


def test_closed_groups_without_a_frame_that_is_wanted_are_left_out(clip):
    path = clip(frames=100, options=CLOSED)
    index = index_frames(path)
    assert worth_decoding(index, [5, 55, 56]) == frozenset({0, 5})
    assert numbers(path, [5, 55, 56]) == [(i, i) for i in (*range(10), *range(50, 60))]


def test_they_are_left_out_only_where_that_saves_half(clip):
    index = index_frames(clip(frames=100, options=CLOSED))
    assert worth_decoding(index, range(0, 50, 10)) == frozenset({0, 1, 2, 3, 4})
    assert worth_decoding(index, range(0, 60, 10)) is None


def test_open_groups_are_never_left_out(clip):
    index = index_frames(clip(frames=100, options={"x264-params": OPEN_GROUPS}))
    assert worth_decoding(index, [5]) is None


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx", "libvpx-vp9"])
def test_leaving_groups_out_changes_no_pixel(clip, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec}")
    options = {
        "libx264": {"x264-params": "keyint=10:scenecut=0:bframes=3"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:open-gop=0:bframes=3"},
    }.get(codec, {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"})
    path = clip(
        "a.webm" if "vpx" in codec else "a.mp4",
        frames=60,
        audio="libopus" if "vpx" in codec else "aac",
        audio_rate=48_000,
        sample_format="flt" if "vpx" in codec else "fltp",
        video=codec,
        options=options,
        group=10,
        b_frames=0 if "vpx" in codec else 3,
    )
    index = index_frames(path)
    assert worth_decoding(index, [25, 59]) is not None
    every = [rgb(frame) for frame in Pictures(path, index)]
    some = {place: rgb(frame) for place, frame in decoded(path, index, [25, 59])}
    assert len(some) < len(every) == 60
    for place, pixels in some.items():
        np.testing.assert_array_equal(pixels, every[place])


def test_damage_in_a_group_that_is_decoded_is_found(clip, tmp_path):
    whole = clip("a.mp4", frames=60, audio=None, size=(128, 128), options={"x264-params": "keyint=10:bframes=0"})
    path = remux(whole, tmp_path / "d.mp4", lambda packets: [*packets[:24], scrambled(packets[24]), *packets[25:]])
    assert len(numbers(path, [5, 55])) == 20
    with pytest.raises(ClipError, match="1 of the 10 pictures"):
        numbers(path, [22])


def test_the_size_may_change(clip, tmp_path):
    parts = [clip(f"{i}.ts", frames=10, audio=None, size=(64, 64 * (i + 1))).read_bytes() for i in range(2)]
    path = tmp_path / "wider.ts"
    path.write_bytes(b"".join(parts))
    shapes = [rgb(frame).shape for _, frame in decoded(path, index_frames(path), range(20))]
    assert shapes == [(64, 64, 3)] * 10 + [(64, 128, 3)] * 10
