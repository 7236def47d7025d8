"""What the packets prove: closed groups are known as such, and nothing else is."""

from typing import Any

import av
import pytest
from avcil.extract.decoding.closed_groups import ClosedGroups, forgets
from avcil.extract.decoding.frame_index import index_frames

from ..conftest import OPEN_GROUPS, remux

CLOSED = OPEN_GROUPS.replace("open-gop=1", "open-gop=0")


def groups(path):
    """The number of each packet's group, in the order of decoding; None where they are not proved closed."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        proof = ClosedGroups(stream)
        numbers = [proof.of(packet) for packet in container.demux(stream) if packet.size]
    return numbers if proof.holds else None


def encoder(name):
    if name not in av.codecs_available:
        pytest.skip(f"no {name}")
    return name


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv"])
def test_h264_whose_key_frames_are_idr_pictures(clip, name):
    path = clip(name, frames=50, audio=None, options={"x264-params": CLOSED})
    assert groups(path) == [0] * 20 + [1] * 20 + [2] * 10


@pytest.mark.parametrize("parameters", [OPEN_GROUPS, "intra-refresh=1:keyint=20"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_h264_with_other_key_frames(clip, name, parameters):
    path = clip(name, frames=50, audio=None, options={"x264-params": parameters})
    with av.open(str(path)) as container:
        assert sum(packet.is_keyframe for packet in container.demux(video=0)) > 1
    assert groups(path) is None


def test_units_behind_start_codes_are_not_looked_into(clip):
    assert groups(clip("a.ts", frames=50, audio=None, options={"x264-params": CLOSED})) is None


@pytest.mark.parametrize(("parameters", "closed"), [(CLOSED, True), (OPEN_GROUPS, False)])
def test_hevc(clip, parameters, closed):
    options = {"preset": "ultrafast", "x265-params": f"log-level=none:{parameters}"}
    path = clip("a.mp4", frames=50, audio=None, video=encoder("libx265"), options=options)
    assert groups(path) == ([0] * 20 + [1] * 20 + [2] * 10 if closed else None)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_vp8_and_vp9(clip, codec):
    options = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"}
    path = clip("a.webm", frames=50, audio=None, video=encoder(codec), options=options, group=20, b_frames=0)
    found = groups(path)
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] >= 2


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_of_other_codecs_nothing_is_claimed(clip, codec):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    assert groups(clip("a.mkv", frames=20, audio=None, video=codec, pixels=pixels)) is None


def test_parameter_sets_that_change_on_the_way(clip, tmp_path):
    """Two encodings, one after the other: a group that is left out may bring the sets of the ones behind it."""
    first = clip("1.mp4", frames=20, audio=None, options={"x264-params": "keyint=10:repeat-headers=1"})
    second = clip("2.mp4", frames=20, audio=None, options={"x264-params": "keyint=10:repeat-headers=1:ref=1"})

    def append(packets):
        with av.open(str(second)) as container:
            others: list[Any] = [packet for packet in container.demux() if packet.size]
        for packet in others:
            ticks = int(2 / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packets + others

    assert groups(first) == [0] * 10 + [1] * 10
    assert groups(remux(first, tmp_path / "both.mp4", append)) is None


def test_pictures_that_are_not_shown_break_the_proof(clip, tmp_path):
    whole = clip("a.mp4", frames=50, audio=None, rate=10, options={"x264-params": CLOSED})

    def earlier(packets):
        for packet in packets:
            ticks = int(1 / packet.time_base)
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
        return packets

    assert groups(remux(whole, tmp_path / "cut.mp4", earlier, {"avoid_negative_ts": "disabled"})) is None


def test_first_bytes_of_vp8_and_vp9_packets():
    assert forgets("vp8", 0b0001_0000)
    assert not forgets("vp8", 0b0001_0001)
    assert forgets("vp9", 0b1000_0010)
    assert not forgets("vp9", 0b1000_0100)  # a frame that refers to others
    assert not forgets("vp9", 0b1000_1000)  # one shown again
    assert not forgets("vp9", 0b0000_0000)  # no marker


def test_the_index_has_groups_in_the_order_of_time(clip):
    index = index_frames(clip(frames=50, options={"x264-params": CLOSED}))
    assert index.groups is not None
    assert index.groups.numbers == [0] * 20 + [1] * 20 + [2] * 10
    assert index.groups.stamps == sorted(index.groups.stamps)
    assert list(index.groups.stamps_in({1}).values()) == list(range(20, 40))
    assert index_frames(clip("b.mp4", frames=50, options={"x264-params": OPEN_GROUPS})).groups is None
