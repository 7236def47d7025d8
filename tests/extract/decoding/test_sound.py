"""Sound of any layout, sample format and rate, brought to one channel at one rate."""

from typing import Any

import av
import numpy as np
import pytest
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.sound import channels_of, read_sound
from avcil.extract.preparation.encoder_input import AudioPreparation
from avcil.extract.preparation.recipes import recipe

from ..conftest import in_format, remux, scrambled, tone

AT_16K = AudioPreparation()
MIXED, RELEASED = recipe("audiomae"), recipe("released")


def loudness_at(wave: np.ndarray, rate: int, hertz: float) -> float:
    """Amplitude of one frequency, from the middle of the sound (encoders blur the ends)."""
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4].astype(np.float64)
    window = np.hanning(len(middle))
    phase = np.exp(-2j * np.pi * hertz * np.arange(len(middle)) / rate)
    return float(2 * abs((middle * window) @ phase) / window.sum())


@pytest.mark.parametrize(
    ("name", "codec", "sample_format", "rate", "layout"),
    [
        ("a.mp4", "aac", "fltp", 44_100, "stereo"),
        ("a.mkv", "pcm_s16le", "s16", 8_000, "mono"),
        ("a.mkv", "pcm_u8", "u8", 22_050, "stereo"),
        ("a.mkv", "pcm_s32le", "s32", 48_000, "stereo"),
        ("a.mkv", "pcm_f64le", "dbl", 32_000, "mono"),
        ("a.mkv", "flac", "s16", 48_000, "5.1"),
        ("a.avi", "mp3", "s16p", 44_100, "stereo"),
    ],
)
def test_all_channels_are_averaged_at_the_wanted_rate(clip, name, codec, sample_format, rate, layout):
    path = clip(
        name,
        frames=15,
        video="mpeg4",
        audio=codec,
        sample_format=sample_format,
        audio_rate=rate,
        layout=layout,
        sound=tone(1.0, rate, av.AudioLayout(layout).nb_channels),
    )
    wave = read_sound(path, MIXED, AT_16K)
    channels = av.AudioLayout(layout).nb_channels
    assert wave.dtype == np.float32
    assert abs(len(wave) - 16_000) < 1_800  # codecs add up to 0.1 s of padding
    for channel in range(channels):
        expected = 0.5 / (channel + 1) / channels
        assert loudness_at(wave, 16_000, 440 * (channel + 1)) == pytest.approx(expected, rel=0.06)


def test_resampling_leaves_nothing_above_half_the_rate(clip):
    time = np.arange(48_000) / 48_000
    high = (0.5 * np.sin(2 * np.pi * 11_000 * time)).astype(np.float32)[None]
    path = clip("a.mkv", audio="pcm_s16le", sample_format="s16", audio_rate=48_000, sound=high)
    assert np.abs(read_sound(path, MIXED, AT_16K)[2000:-2000]).max() < 1e-3


@pytest.mark.parametrize("name", ["u8", "s16", "s32", "flt", "dbl", "u8p", "s16p", "s32p", "fltp", "dblp"])
def test_sample_formats(name):
    sound = np.array([[0.0, 0.5, -0.5, 0.25], [0.75, -0.75, 0.0, -0.25]], np.float32)
    frame = av.AudioFrame.from_ndarray(in_format(sound, name), format=name, layout="stereo")
    got = channels_of(frame)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, sound, atol=1 / 100 if name.startswith("u8") else 1e-4)


def test_decoding_stops_a_second_behind_what_the_fbank_spans(clip):
    path = clip("long.mkv", frames=2, audio="pcm_s16le", sample_format="s16", sound=tone(16.0, 16_000, 1))
    wave = read_sound(path, MIXED, AT_16K)
    assert AT_16K.samples + 16_000 <= len(wave) < AT_16K.samples + 20_000
    np.testing.assert_allclose(wave[: AT_16K.samples], tone(16.0, 16_000, 1)[0, : AT_16K.samples], atol=1e-4)


def test_sound_shorter_than_the_video(clip):
    path = clip("s.mkv", frames=45, audio="pcm_s16le", sample_format="s16", sound=tone(0.5, 16_000, 1))
    assert len(read_sound(path, MIXED, AT_16K)) == 8_000


def test_released_sound_is_picked_from_the_first_channel_of_44100_hz(clip):
    sound = tone(1.0, 44_100, 2)
    path = clip(
        "r.mkv", frames=15, audio="pcm_s16le", sample_format="s16", audio_rate=44_100, layout="stereo", sound=sound
    )
    wave = read_sound(path, RELEASED, AudioPreparation(sample_rate=11_430))
    nearest = np.rint(np.arange(11_430) * 44_100 / 11_430).astype(int)
    np.testing.assert_allclose(wave[:11_430], np.rint(sound[0] * 32767)[nearest] / 32768, atol=1e-6)
    assert abs(len(wave) - 11_430) <= 12  # the container's duration, in milliseconds


def test_released_sound_is_as_long_as_the_video(clip):
    loud = np.full((1, 22_050), 1.0, np.float32)
    path = clip("r.mkv", frames=30, rate=15, audio="pcm_s16le", sample_format="s16", audio_rate=44_100, sound=loud)
    wave = read_sound(path, RELEASED, AudioPreparation(sample_rate=11_430))
    assert len(wave) == pytest.approx(2 * 11_430, abs=12)
    assert not wave[6_000:].any()
    # ffmpeg lowers mono by 3 dB in each channel of stereo.
    assert wave.max() == pytest.approx(np.sqrt(0.5), abs=1e-3)


def test_no_audio_stream_and_no_samples(clip):
    with pytest.raises(ClipError, match="no audio stream") as caught:
        read_sound(clip("a.mp4", audio=None), MIXED, AT_16K)
    assert caught.value.reason == "no audio"
    silent = clip("b.mkv", audio="pcm_s16le", sample_format="s16", sound=np.zeros((1, 0), np.float32))
    for how in (MIXED, RELEASED):
        with pytest.raises(ClipError, match="no samples") as caught:
            read_sound(silent, how, AT_16K)
        assert caught.value.reason == "no audio"


@pytest.mark.parametrize("how", [MIXED, RELEASED])
def test_eight_channels(tmp_path, how):
    path, layout = tmp_path / "a.mp4", "7.1"
    sound = tone(2.0, 48_000, 8)
    with av.open(str(path), "w") as container:
        speaker = container.add_stream("aac", rate=48_000, layout=layout)
        for start in range(0, sound.shape[1], 1024):
            piece = in_format(sound[:, start : start + 1024], "flt")
            block = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout)
            block.sample_rate, block.pts = 48_000, start
            container.mux(speaker.encode(block))
        container.mux(speaker.encode())
    with av.open(str(path)) as container:
        frame = next(container.decode(audio=0))
        assert (frame.format.name, frame.layout.nb_channels) == ("fltp", 8)
        assert channels_of(frame).shape == (8, frame.samples)
    rate = 16_000 if how is MIXED else 11_430
    wave = read_sound(path, how, AudioPreparation(sample_rate=rate))
    if how is MIXED:
        assert abs(len(wave) - 32_000) < 1_800
        for channel in (0, 1, 7):
            expected = 0.5 / (channel + 1) / 8
            assert loudness_at(wave, rate, 440 * (channel + 1)) == pytest.approx(expected, rel=0.1)
    else:
        assert loudness_at(wave, rate, 440) > 0.05


@pytest.mark.parametrize("how", [MIXED, RELEASED])
@pytest.mark.parametrize(("rate", "layout"), [(48_000, "5.1"), (44_100, "stereo"), (32_000, "mono")])
def test_layout_and_rate_may_change(clip, tmp_path, how, rate, layout):
    def ac3(name, rate, layout):
        sound = tone(1.2, rate, av.AudioLayout(layout).nb_channels)
        return clip(name, video=None, audio="ac3", audio_rate=rate, layout=layout, sound=sound)

    def append(packets):
        with av.open(str(ac3("2.mkv", rate, layout))) as container:
            others: list[Any] = [packet for packet in container.demux() if packet.size]
        for packet in others:
            packet.pts, packet.dts = packet.pts + 1200, packet.pts + 1200
        return packets + others

    path = remux(ac3("1.mkv", 48_000, "stereo"), tmp_path / "both.mkv", append)
    wanted = 16_000 if how is MIXED else 11_430
    wave = read_sound(path, how, AudioPreparation(sample_rate=wanted))
    assert abs(len(wave) - 2.4 * wanted) < 0.1 * wanted
    before, behind = (loudness_at(part, wanted, 440) for part in (wave[: int(1.1 * wanted)], wave[int(1.3 * wanted) :]))
    if how is MIXED:
        assert before == pytest.approx(0.5 / 2, rel=0.1)
        assert behind == pytest.approx(0.5 / av.AudioLayout(layout).nb_channels, rel=0.1)
    else:
        assert before == pytest.approx(0.5, rel=0.1)
        assert behind > 0.1  # as ffmpeg mixes the layout down


def test_damaged_sound_is_refused(clip, tmp_path):
    whole = clip("a.mkv", video=None, audio="mp3", audio_rate=44_100, sample_format="s16p", sound=tone(2.0, 44_100, 1))
    path = remux(whole, tmp_path / "d.mkv", lambda packets: [*packets[:9], scrambled(packets[9], 1.0), *packets[10:]])
    with pytest.raises((ClipError, av.error.InvalidDataError), match=r"damaged|Invalid data"):
        read_sound(path, MIXED, AT_16K)


def test_released_sound_is_clipped_at_099(clip):
    loud = np.full((2, 44_100), 1.0, np.float32)
    path = clip(
        "l.mkv", frames=15, audio="pcm_s16le", sample_format="s16", audio_rate=44_100, layout="stereo", sound=loud
    )
    wave = read_sound(path, RELEASED, AudioPreparation(sample_rate=11_430))
    assert wave.max() == np.float32(32440 / 32768)
