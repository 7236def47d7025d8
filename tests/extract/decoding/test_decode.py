"""A file in, the encoders' inputs out; or one reason and the decoder's words."""

import dataclasses

import numpy as np
import pytest
from avcil.extract.decoding.decode import read_clip
from avcil.extract.decoding.faults import ClipError
from avcil.extract.decoding.sound import read_sound
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation, prepare_sound
from avcil.extract.preparation.recipes import ClipPreparation, recipe

from ..conftest import SIDE, number_of

PLAN = ClipPreparation.of(
    recipe("audiomae"),
    VisualPreparation(frames=4, shortest_edge=SIDE, crop=SIDE),
    AudioPreparation(frames=100, bins=16),
)


def test_pixels_and_fbank_of_a_clip(clip):
    path = clip(frames=31)
    got = read_clip(path, PLAN, "pyav")
    assert [number_of(frame) for frame in got.pixels] == [0, 10, 20, 30]
    expected = prepare_sound(read_sound(path, PLAN.recipe, PLAN.audio), PLAN.audio)
    np.testing.assert_array_equal(got.fbank, expected)
    assert got.fbank.shape == (100, 16)


def test_a_clip_without_sound_is_refused_or_silent(clip):
    path = clip(audio=None)
    with pytest.raises(ClipError) as caught:
        read_clip(path, PLAN, "pyav")
    assert (caught.value.reason, caught.value.words) == ("no audio", "the file has no audio stream")
    silent = read_clip(path, dataclasses.replace(PLAN, missing_audio="silence"), "pyav")
    assert (silent.fbank == silent.fbank[0, 0]).all()
    floor = (np.log(2.0**-23) + 4.2677393) / (2 * 4.5689974)
    np.testing.assert_allclose(silent.fbank, floor, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"this is no video\n" * 500, bytes(4096)])
def test_files_that_are_no_video(tmp_path, content):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(ClipError) as caught:
        read_clip(path, PLAN, "pyav")
    assert caught.value.reason == "cannot be decoded"
    assert "Invalid data" in caught.value.words
    assert "\n" not in caught.value.words


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(ClipError, match="No such file") as caught:
        read_clip(tmp_path / "gone.mp4", PLAN, "pyav")
    assert caught.value.reason == "cannot be decoded"


def test_a_truncated_file(clip):
    path = clip(frames=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClipError) as caught:
        read_clip(path, PLAN, "pyav")
    assert caught.value.reason == "cannot be decoded"


def test_sound_alone_is_no_clip(clip):
    with pytest.raises(ClipError, match="no video stream") as caught:
        read_clip(clip("a.mp4", video=None), PLAN, "pyav")
    assert caught.value.reason == "no video"


def test_damage_inside_the_pictures(clip):
    path = clip("d.mkv", frames=60, size=(128, 128), audio="pcm_s16le", sample_format="s16")
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data) // 3, len(data), 3000):
        data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ClipError) as caught:
        read_clip(path, PLAN, "pyav")
    assert caught.value.reason == "cannot be decoded"
