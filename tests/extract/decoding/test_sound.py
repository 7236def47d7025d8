"""Sound of any layout, sample format and rate, brought to one channel at one rate."""

import av
import numpy as np
import pytest
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.sound import channels_of, read_sound
from avcil.extract.preparation.encoder_input import AudioPreparation
from avcil.extract.preparation.recipes import recipe

from ..conftest import in_format, tone

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


def test_released_sound_is_clipped_at_099(clip):
    loud = np.full((2, 44_100), 1.0, np.float32)
    path = clip(
        "l.mkv", frames=15, audio="pcm_s16le", sample_format="s16", audio_rate=44_100, layout="stereo", sound=loud
    )
    wave = read_sound(path, RELEASED, AudioPreparation(sample_rate=11_430))
    assert wave.max() == np.float32(32440 / 32768)
