"""Frames as transformers' Pillow-backed processor makes them; fbanks as Kaldi's definition gives them."""

import math
import subprocess
import sys

import numpy as np
import pytest
from avcil.errors import InputError
from avcil.extract.preparation.encoder_input import (
    AudioPreparation,
    VisualPreparation,
    prepare_audio,
    prepare_frames,
)


@pytest.fixture(scope="module")
def processor_class():
    from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

    return VideoMAEImageProcessorPil


@pytest.mark.parametrize(
    ("height", "width", "edge", "crop", "resample"),
    [
        (256, 340, 224, 224, "bilinear"),
        (341, 191, 224, 224, "bilinear"),
        (224, 224, 224, 224, "bilinear"),
        (97, 131, 224, 224, "bicubic"),
        (120, 90, 32, 32, "lanczos"),
        (61, 80, 33, 48, "bilinear"),  # a crop larger than the resized image is padded
    ],
)
def test_frames_equal_the_pillow_backed_processor(processor_class, height, width, edge, crop, resample):
    preparation = VisualPreparation(frames=3, shortest_edge=edge, crop=crop, resample=resample)
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    processor = processor_class(
        size={"shortest_edge": edge},
        crop_size={"height": crop, "width": crop},
        resample={"bilinear": 2, "bicubic": 3, "lanczos": 1}[resample],
        do_rescale=False,
        do_normalize=False,
    )
    expected = processor(list(frames), return_tensors="np")["pixel_values"][0]
    prepared = prepare_frames(frames, preparation)
    assert prepared.dtype == np.uint8
    assert prepared.shape == (3, 3, crop, crop)
    np.testing.assert_array_equal(prepared, expected)


def test_default_pixel_values_are_those_of_the_published_processor(processor_class):
    # preprocessor_config.json of MCG-NJU/videomae-base, as published.
    published = {
        "size": {"shortest_edge": 224},
        "crop_size": {"height": 224, "width": 224},
        "resample": 2,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    frames = np.random.default_rng(1).integers(0, 256, (2, 240, 320, 3), dtype=np.uint8)
    expected = processor_class(**published)(list(frames), return_tensors="np")["pixel_values"][0]
    plan = VisualPreparation()
    pixels = prepare_frames(frames, plan) * plan.rescale
    normalised = (pixels - np.reshape(plan.mean, (3, 1, 1))) / np.reshape(plan.std, (3, 1, 1))
    np.testing.assert_allclose(normalised, expected, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"crop": 0}, {"resample": "bilinaer"}])
def test_preparations_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError):
        VisualPreparation(**wrong)


def kaldi_log_mel(wave: np.ndarray, rate: int, frame: int, bins: int) -> np.ndarray:
    """One frame of Kaldi's log-mel filter bank by its definition: sums written out, no FFT, no library.

    htk_compat, no energy, Hann window, pre-emphasis 0.97, mean of the frame removed, 20 Hz to Nyquist.
    """
    length, hop = int(rate * 0.025), int(rate * 0.010)
    points = 1
    while points < length:
        points *= 2
    samples = [float(x) for x in wave[frame * hop : frame * hop + length]]
    mean = sum(samples) / length
    samples = [x - mean for x in samples]
    emphasised = [samples[0] - 0.97 * samples[0]]
    emphasised += [samples[i] - 0.97 * samples[i - 1] for i in range(1, length)]
    windowed = np.array([x * (0.5 - 0.5 * math.cos(2 * math.pi * i / (length - 1))) for i, x in enumerate(emphasised)])
    power = []
    for k in range(points // 2):  # Kaldi leaves the Nyquist frequency out
        angle = 2 * math.pi * k * np.arange(length) / points
        power.append((windowed @ np.cos(angle)) ** 2 + (windowed @ np.sin(angle)) ** 2)

    def mel(hertz: float) -> float:
        return 1127.0 * math.log(1.0 + hertz / 700.0)

    low, step = mel(20.0), (mel(rate / 2) - mel(20.0)) / (bins + 1)
    row = []
    for b in range(bins):
        left, centre, right = low + b * step, low + (b + 1) * step, low + (b + 2) * step
        energy = 0.0
        for k in range(points // 2):
            here = mel(k * rate / points)
            if left < here < right:
                up = here <= centre
                energy += power[k] * ((here - left) / step if up else (right - here) / step)
        row.append(math.log(max(energy, 2.0**-23)))
    return np.array(row)


def sound(rate: int, seconds: float) -> np.ndarray:
    """A rising tone over noise, off centre."""
    time = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(0).normal(0, 0.01, len(time))
    return (0.3 * np.sin(2 * np.pi * (300 + 800 * time) * time) + noise + 0.05).astype(np.float32)


@pytest.mark.parametrize(("rate", "fitting"), [(16_000, 98), (11_430, 98)])
def test_fbank_equals_kaldis_definition(rate, fitting):
    plan = AudioPreparation(sample_rate=rate, normalise=False)
    wave = sound(rate, 1.0)
    assert fitting == 1 + (len(wave) - plan.window) // plan.hop
    image = prepare_audio(wave, plan)
    assert image.shape == (1024, 128)
    assert image.dtype == np.float32
    for frame in (0, 1, 49, 97):
        np.testing.assert_allclose(image[frame], kaldi_log_mel(wave, rate, frame, 128), atol=1e-3)
    assert not image[98:].any()


def test_normalisation_includes_the_filled_up_frames():
    raw = prepare_audio(sound(16_000, 0.5), AudioPreparation(normalise=False))
    normalised = prepare_audio(sound(16_000, 0.5), AudioPreparation())
    np.testing.assert_allclose(normalised, (raw + 4.2677393) / (2 * 4.5689974), atol=1e-6)
    np.testing.assert_allclose(normalised[-1], 0.4670324, atol=1e-6)


def test_long_sound_is_cut_and_what_follows_has_no_influence():
    plan = AudioPreparation(frames=50)
    wave = sound(16_000, 2.0) - sound(16_000, 2.0).mean()
    np.testing.assert_allclose(prepare_audio(wave, plan), prepare_audio(wave[: plan.samples], plan), atol=1e-4)
    assert plan.samples == 49 * 160 + 400


def test_silence_lies_on_kaldis_floor():
    image = prepare_audio(np.zeros(16_000, np.float32), AudioPreparation(normalise=False))
    np.testing.assert_allclose(image[:98], math.log(2.0**-23), atol=1e-5)


def test_sound_shorter_than_one_window_is_all_filling():
    assert not prepare_audio(np.ones(399, np.float32), AudioPreparation(normalise=False)).any()


def test_worker_processes_load_neither_torch_nor_a_model():
    program = (
        "import sys, numpy; from avcil.extract.preparation.encoder_input import *;"
        "from avcil.extract.preparation.recipes import *;"
        "assert 'transformers' not in sys.modules;"
        "prepare_audio(numpy.zeros(16000, 'float32'), AudioPreparation());"
        "assert 'torch' not in sys.modules and 'transformers.modeling_utils' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
