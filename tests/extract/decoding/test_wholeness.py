"""Whole files pass, however their streams begin and end; files that were cut off do not."""

import io

import av
import numpy as np
import pytest
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.frame_index import index_frames
from avcil.extract.decoding.wholeness import index_end, riff_end, segment_end

from ..conftest import remux, tone


def with_second_sound(path, seconds):
    """The clip again, with another audio track, which is longer."""
    target = path.with_name(f"two-{path.name}")
    with av.open(str(path)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        other = new.add_stream("aac", rate=16_000, layout="mono")
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
        sound = tone(seconds, 16_000, 1)
        for start in range(0, sound.shape[1], 1024):
            block = av.AudioFrame.from_ndarray(sound[:, start : start + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts = 16_000, start
            new.mux(other.encode(block))
        new.mux(other.encode())
    return target


def with_subtitle(path, seconds):
    """The clip again in Matroska, with one subtitle that is shown for so long."""
    target = path.with_name("subtitled.mkv")
    srt = path.with_name("words.srt")
    srt.write_text(f"1\n00:00:00,500 --> 00:00:{seconds:02},000\nwords\n")
    with av.open(str(path)) as old, av.open(str(srt)) as words, av.open(str(target), "w") as new:
        sources = [
            (source, [new.add_stream_from_template(stream) for stream in source.streams]) for source in (old, words)
        ]
        for source, streams in sources:
            for packet in source.demux():
                if packet.size:
                    packet.stream = streams[packet.stream_index]
                    new.mux(packet)
    return target


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_second_track_may_be_longer(clip, name):
    assert len(index_frames(with_second_sound(clip(name, frames=30), 12.0))) == 30


def test_subtitles_may_be_longer(clip):
    assert len(index_frames(with_subtitle(clip(frames=30), 14))) == 30


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("seconds", [5, 100])
def test_a_file_need_not_begin_at_0(clip, tmp_path, name, seconds):
    def later(packets):
        for packet in packets:
            ticks = int(seconds / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packets

    index = index_frames(remux(clip(frames=60), tmp_path / name, later))
    np.testing.assert_allclose(np.diff(index.times), 1 / 15, atol=2e-3)
    assert len(index) == 60


def test_parts_of_transport_streams_may_be_joined(clip, tmp_path):
    parts = [clip(f"{i}.ts", frames=30, audio=None).read_bytes() for i in range(2)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    with av.open(str(path)) as container:
        assert any(packet.is_corrupt for packet in container.demux())
    index = index_frames(path)
    np.testing.assert_allclose(index.times - index.times[0], np.arange(60) / 15, atol=1e-3)


KINDS: dict[str, dict[str, str]] = {
    "tail.mp4": {},
    "head.mp4": {"movflags": "faststart"},
    "fragments.mp4": {"movflags": "frag_keyframe+empty_moov"},
    "a.mkv": {},
    "a.flv": {},
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.97, 0.6, 0.3])
def test_a_file_that_was_cut_off_is_refused(clip, tmp_path, name, share):
    path = remux(clip("whole.mp4", frames=150, size=(128, 128)), tmp_path / name, muxer=KINDS[name])
    assert len(index_frames(path)) == 150
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises((ClipError, av.error.InvalidDataError), match=r"truncated|promises|Invalid data"):
        index_frames(path)


def test_a_matroska_file_that_was_cut_off_is_refused_in_spite_of_a_long_subtitle(clip):
    path = with_subtitle(clip(frames=150, size=(128, 128)), 14)
    assert len(index_frames(path)) == 150
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(ClipError, match=r"it has \d+ of the \d+ bytes"):
        index_frames(path)


def test_an_avi_file_that_was_cut_off_is_refused(clip):
    path = clip("a.avi", frames=60, video="mpeg4", audio="mp3", audio_rate=44_100, sample_format="s16p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    with pytest.raises(ClipError, match=r"it has \d+ of the \d+ bytes"):
        index_frames(path)


def test_the_end_of_a_matroska_segment():
    header = b"\x1a\x45\xdf\xa3\x83abc"  # three bytes long
    segment = b"\x18\x53\x80\x67"
    assert segment_end(io.BytesIO(header + segment + b"\x40\xc8")) == 8 + 6 + 200
    assert segment_end(io.BytesIO(header + b"\xec\x81x" + segment + b"\x8a")) == 8 + 3 + 5 + 10
    assert segment_end(io.BytesIO(header + segment + b"\x01" + b"\xff" * 7)) == 0  # live: unknown
    assert segment_end(io.BytesIO(header)) == segment_end(io.BytesIO(b"")) == segment_end(io.BytesIO(bytes(9))) == 0


def test_the_end_of_an_mp4_files_tables():
    free, media = b"\0\0\0\x0cfreexxxx", b"\0\0\0\1mdat" + (24).to_bytes(8, "big") + bytes(8)
    moov = b"\0\0\1\0moov"
    assert index_end(io.BytesIO(free + media + moov + bytes(8))) == 12 + 24 + 256
    assert index_end(io.BytesIO(moov + bytes(248) + b"\0\0\0\0mdat" + bytes(50))) == 256
    assert index_end(io.BytesIO(free + b"garbage that is no box")) == 0


def test_the_end_of_an_avi_file_leaves_some_slack():
    assert riff_end(io.BytesIO(b"RIFF" + (5000).to_bytes(4, "little"))) == 5000 - 1024
    assert riff_end(io.BytesIO(b"RIFF" + bytes(4))) == riff_end(io.BytesIO(b"what")) == 0
