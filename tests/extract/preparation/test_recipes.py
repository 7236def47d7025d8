"""Which frames a recipe takes: against the formulas, and against what ffmpeg itself did."""

import numpy as np
import pytest
from avcil.errors import InputError
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation
from avcil.extract.preparation.recipes import ClipPreparation, even_choice, jpeg_choice, recipe, retimed
from hypothesis import given
from hypothesis import strategies as st


def test_audiomae_leaves_the_encoders_preparation_alone():
    assert recipe("audiomae").audio(AudioPreparation()) == AudioPreparation()
    assert recipe("audiomae").jpeg_rate is None
    assert recipe("audiomae").channels == "mixdown"


@pytest.mark.parametrize(("given", "rate"), [(10, 10), (8, 8), (None, 8)])
def test_released_writes_sound_at_11430_hz_without_normalisation(given, rate):
    released = recipe("released", given)
    audio = ClipPreparation.of(released, VisualPreparation(), AudioPreparation()).audio
    assert isinstance(audio, AudioPreparation)
    assert (audio.sample_rate, audio.normalise, audio.bins, audio.frames) == (11_430, False, 128, 1024)
    assert (audio.window, audio.hop) == (285, 114)  # 285.75 and 114.3, as Kaldi cuts them
    assert (released.jpeg_rate, released.channels) == (rate, "first")


def test_recipes_differ_in_their_facts_and_unknown_ones_are_named():
    assert recipe("audiomae").facts() != recipe("released").facts()
    assert recipe("released", 10).facts() != recipe("released").facts()
    with pytest.raises(InputError, match="did you mean 'audiomae'"):
        recipe("audiomea")


def test_even_choice_by_hand():
    assert even_choice([0.0, 1.0, 2.0, 3.0, 4.0], 3) == [0, 2, 4]
    assert even_choice([0.0], 4) == [0, 0, 0, 0]
    assert even_choice([5.0, 6.0], 4) == [0, 0, 1, 1]
    # Variable rate: three frames crowd the first tenth of a second, and still time decides.
    assert even_choice([0.0, 0.05, 0.1, 1.0, 2.0, 3.0], 4) == [0, 3, 4, 5]


@given(frames=st.integers(1, 400), rate=st.floats(1, 120))
def test_even_choice_at_a_constant_rate_is_rounded_linspace(frames: int, rate: float):
    chosen = even_choice(np.arange(frames) / rate + 0.3, 16)
    exact = np.arange(16) * (frames - 1) / 15
    assert (np.abs(np.array(chosen) - exact) <= 0.5 + 1e-6).all()
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, frames - 1, 16)


def test_even_choice_is_not_moved_by_time_stamps_rounded_to_milliseconds():
    exact = np.arange(300) / 30
    assert even_choice(exact.round(3), 16) == even_choice(exact, 16)


def test_jpeg_choice_by_hand():
    # n = 100: 1 + int(k * 6.667 + .5) for k = 1..14.
    assert jpeg_choice(100, 16) == [1, 8, 14, 21, 28, 34, 41, 48, 54, 61, 68, 74, 81, 88, 94, 100]
    assert jpeg_choice(80, 16) == [1, 6, 12, 17, 22, 28, 33, 38, 44, 49, 54, 60, 65, 70, 76, 80]
    assert jpeg_choice(1, 16) == [1] * 16
    assert max(jpeg_choice(7, 16)) == 7


# What `ffmpeg -r RATE %06d.jpg` (ffmpeg 9.0.2) wrote for clips of a constant rate whose pictures show
# their own number: clip's frames a second, its frames, RATE, the files' first numbers, last numbers, count.
FFMPEG = [
    (30, 300, 10, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29], [293, 296, 299], 102),
    (30, 300, 8, [0, 1, 3, 7, 10, 14, 18, 22, 25, 29, 33, 37], [292, 295, 299], 82),
    (25, 250, 10, [0, 1, 2, 4, 7, 9, 12, 14, 17, 19, 22, 24], [244, 247, 249], 102),
    (24, 240, 8, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29], [233, 236, 239], 82),
    (15, 150, 10, [0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 13, 14], [146, 148, 149], 102),
    (10, 100, 8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12], [97, 98, 99], 82),
    (8, 80, 10, [0, 1, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9], [77, 78, 79], 100),
    (5, 50, 10, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], [48, 49, 49], 100),
    (12, 7, 10, [0, 1, 2, 3, 4, 5, 6], [4, 5, 6], 7),
    (12, 7, 8, [0, 1, 2, 3, 4, 5], [3, 4, 5], 6),
    (30, 1, 10, [0], [0], 1),
]


@pytest.mark.parametrize(("fps", "frames", "rate", "first", "last", "count"), FFMPEG)
def test_retimed_equals_what_ffmpeg_wrote(fps, frames, rate, first, last, count):
    written = retimed(np.arange(frames) / fps, np.full(frames, 1 / fps), rate)
    assert (written[: len(first)], written[-len(last) :], len(written)) == (first, last, count)


# Likewise for variable rates: times and durations in milliseconds, what was written at 10 Hz as runs of
# (frame, times).
VARIABLE = [
    ([0, 100, 1000], [1, 1, 1], [(0, 1), (1, 8), (2, 1)]),
    ([0, 100, 1000], [100, 1, 900], [(0, 1), (1, 8), (2, 10)]),
    (
        [0, 50, 100, 1000, 2000, 3000],
        [1] * 6,
        [(0, 1), (1, 1), (2, 7), (3, 10), (4, 10), (5, 10)],
    ),
    (
        [0, 50, 100, 1000, 2000, 3000],
        [50, 50, 50, 50, 1, 900],
        [(0, 1), (1, 1), (2, 7), (3, 10), (4, 10), (5, 18)],
    ),
    (
        [0, 300, 333, 366, 1400, 1420, 1500, 2000],
        [300, 300, 33, 33, 20, 1034, 1, 33],
        [(0, 3), (1, 3), (3, 7), (4, 1), (5, 11)],
    ),
]


@pytest.mark.parametrize(("times", "durations", "runs"), VARIABLE)
def test_retimed_equals_what_ffmpeg_wrote_at_variable_rates(times, durations, runs):
    expected = [frame for frame, count in runs for _ in range(count)]
    assert retimed(np.array(times) / 1000, np.array(durations) / 1000, 10) == expected
