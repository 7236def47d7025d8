"""From decoded pixels and samples to the arrays that the encoders take.

Worker processes import this file, so it stays light: numpy and Pillow only, and transformers' audio
functions (which import neither torch nor a model) when the first clip's audio is prepared.

Shapes: T frames, H height, W width, N audio samples, F time frames of the fbank, M mel bins.
"""

import dataclasses
import functools
import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import InputError, unknown

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}

# Kaldi takes the logarithm of no energy smaller than this (float32's epsilon).
ENERGY_FLOOR = 1.1920928955078125e-07


@dataclass(frozen=True)
class VisualPreparation:
    """How frames become a visual encoder's input. The defaults are VideoMAE's published processor."""

    frames: int = 16
    """Frames a clip, at least 1."""
    shortest_edge: int = 224
    """The shorter side after resizing, in pixels; the aspect ratio is kept."""
    crop: int = 224
    """Side of the square cut from the centre, in pixels; smaller images are padded with black."""
    resample: str = "bilinear"
    """Pillow's filter for resizing, a key of `RESAMPLING`."""
    rescale: float = 1 / 255
    """Factor applied to pixel values, on the encoder's device."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from each rescaled colour channel, on the encoder's device."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Then divided by, on the encoder's device."""
    keep_aspect: bool = True
    """False: both sides become `shortest_edge` pixels, whatever the frame's shape (ViT, SigLIP)."""

    def facts(self) -> dict[str, Any]:
        """All settings as plain values, for a cache's fingerprint.

        `keep_aspect` only where it is False, so that caches of versions that did not have it keep their fingerprint.
        """
        found = dataclasses.asdict(self)
        if self.keep_aspect:
            del found["keep_aspect"]
        return found

    def __post_init__(self) -> None:
        if self.resample not in RESAMPLING:
            raise unknown("resampling filter", self.resample, RESAMPLING)
        if min(self.frames, self.shortest_edge, self.crop) < 1:
            raise InputError(
                f"frames, shortest_edge and crop must be at least 1: {self.frames}, {self.shortest_edge}, {self.crop}"
            )


@dataclass(frozen=True)
class AudioPreparation:
    """How a waveform becomes a log-mel image. The defaults are AudioMAE's (Huang et al., 2022)."""

    sample_rate: int = 16_000
    """Samples a second that the waveform is brought to."""
    bins: int = 128
    """Mel bins M."""
    frames: int = 1024
    """Time frames F: longer clips are cut at the end, shorter ones filled up with zeros."""
    window_ms: float = 25.0
    """Length of a frame, in milliseconds; a fraction of a sample is dropped, as Kaldi does."""
    hop_ms: float = 10.0
    """Distance between frames, in milliseconds; likewise."""
    low_frequency: float = 20.0
    """Lower edge of the first mel bin in Hz; the upper edge of the last is half the sample rate."""
    preemphasis: float = 0.97
    """Each sample loses this share of the one before it, within its frame."""
    remove_mean: bool = True
    """Subtract the clip's mean first."""
    normalise: bool = True
    """Apply (x - mean) / (2 std) to the log-mel image, filled-up frames included."""
    mean: float = -4.2677393
    """Mean of the log-mel values over AudioSet."""
    std: float = 4.5689974
    """Their standard deviation."""

    @property
    def window(self) -> int:
        """Samples a frame."""
        return int(self.sample_rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return int(self.sample_rate * self.hop_ms / 1000)

    @property
    def samples(self) -> int:
        """Samples that the F frames span; what lies behind them has no influence."""
        return (self.frames - 1) * self.hop + self.window


@dataclass(frozen=True)
class WaveformPreparation:
    """What an encoder that makes its own spectrogram, or none, takes of a clip's sound: a waveform of fixed length."""

    sample_rate: int = 16_000
    """Samples a second that the waveform is brought to, 1000 to 384,000."""
    seconds: float = 10.0
    """Length of the waveform: longer sound is cut at the end; above 0, at most 600."""
    fill: Literal["zeros", "repeat"] = "zeros"
    """How shorter sound is brought to that length: by zeros behind it; or whole repetitions of it, then zeros (CLAP's
    `repeatpad`)."""

    def facts(self) -> dict[str, Any]:
        """All settings as plain values, for a cache's fingerprint."""
        return dataclasses.asdict(self)

    def __post_init__(self) -> None:
        if not isinstance(self.sample_rate, int) or not 1000 <= self.sample_rate <= 384_000:
            raise InputError(f"a sample rate must be a whole number of 1000 to 384000 Hz, not {self.sample_rate!r}")
        if not 0 < self.seconds <= 600 or self.samples < 1:
            raise InputError(f"a waveform must have more than 0 and up to 600 seconds, not {self.seconds!r}")
        if self.fill not in ("zeros", "repeat"):
            raise unknown("way to fill a waveform", str(self.fill), ("zeros", "repeat"))

    @property
    def samples(self) -> int:
        """N, of every clip."""
        return round(self.sample_rate * self.seconds)


SoundPreparation = AudioPreparation | WaveformPreparation


@dataclass(frozen=True)
class PreparedClip:
    """What the encoders take of one clip."""

    pixels: npt.NDArray[np.uint8]
    """(T, 3, crop, crop)"""
    fbank: npt.NDArray[np.float32]
    """(F, M); or the waveform (N,), where the encoder asks for one"""


def prepare_frame(frame: npt.NDArray[np.uint8], preparation: VisualPreparation) -> npt.NDArray[np.uint8]:
    """Resize one frame by its shorter side and cut out the centre.

    Equal, byte for byte, to transformers' Pillow-backed VideoMAE image processor up to the point where it
    rescales; rescaling and normalising are left to the encoder's device, so that bytes travel.

    Args:
        frame: (H, W, 3) RGB.
        preparation: sizes and filter.

    Returns:
        (3, crop, crop).
    """
    height, width = frame.shape[:2]
    edge, crop = preparation.shortest_edge, preparation.crop
    longer = int(edge * max(height, width) / min(height, width))
    new_height, new_width = (edge, longer) if height <= width else (longer, edge)
    if not preparation.keep_aspect:
        new_height = new_width = edge
    image = Image.fromarray(frame).resize((new_width, new_height), RESAMPLING[preparation.resample])
    top, left = (new_height - crop) // 2, (new_width - crop) // 2
    image = image.crop((left, top, left + crop, top + crop))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # (3, crop, crop)


def prepare_frames(frames: npt.NDArray[np.uint8], preparation: VisualPreparation) -> npt.NDArray[np.uint8]:
    """`prepare_frame` for each of (T, H, W, 3); gives (T, 3, crop, crop)."""
    return np.stack([prepare_frame(frame, preparation) for frame in frames])


def prepare_sound(waveform: npt.NDArray[np.float32], preparation: SoundPreparation) -> npt.NDArray[np.float32]:
    """`prepare_audio` or `prepare_waveform`, whichever the preparation asks for."""
    if isinstance(preparation, WaveformPreparation):
        return prepare_waveform(waveform, preparation)
    return prepare_audio(waveform, preparation)


def prepare_waveform(waveform: npt.NDArray[np.float32], preparation: WaveformPreparation) -> npt.NDArray[np.float32]:
    """A waveform (N',) of any length, at least 1, cut or filled to (N,), N = `preparation.samples`."""
    out = np.zeros(preparation.samples, np.float32)
    kept = waveform[: preparation.samples]
    if preparation.fill == "repeat":
        kept = np.tile(kept, preparation.samples // len(kept))
    out[: len(kept)] = kept
    return out


def prepare_audio(waveform: npt.NDArray[np.float32], preparation: AudioPreparation) -> npt.NDArray[np.float32]:
    """Kaldi's log-mel filter bank of a waveform, cut or filled up to F frames and normalised.

    Kaldi's options: Hann window (symmetric), frames only where a whole window fits, each frame minus its
    mean, no dither, no energy, FFT over the next power of two, power spectrum, natural logarithm.
    Filling up happens before normalising, as in AudioMAE's own data loader, so filled-up frames hold
    -mean / (2 std).

    Args:
        waveform: (N,) mono, within -1..1, at `preparation.sample_rate`.
        preparation: rates, sizes and statistics.

    Returns:
        (F, M).
    """
    from transformers.audio_utils import spectrogram

    image = np.zeros((preparation.frames, preparation.bins), np.float32)
    if len(waveform) >= preparation.window:
        centred = waveform - waveform.mean() if preparation.remove_mean else waveform
        fft_length = 2 ** math.ceil(math.log2(preparation.window))
        window, mel_filters = _filters(preparation, fft_length)
        energies = spectrogram(
            centred[: preparation.samples],
            window,
            frame_length=preparation.window,
            hop_length=preparation.hop,
            fft_length=fft_length,
            power=2.0,
            center=False,
            preemphasis=preparation.preemphasis,
            remove_dc_offset=True,
            mel_filters=mel_filters,
            mel_floor=ENERGY_FLOOR,
            log_mel="log",
        )  # (M, frames that fit)
        image[: energies.shape[1]] = energies.T
    if preparation.normalise:
        image = (image - np.float32(preparation.mean)) / np.float32(2 * preparation.std)
    return image  # (F, M)


@functools.cache
def _filters(preparation: AudioPreparation, fft_length: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The window (window,) and the mel filters (fft_length / 2 + 1, M)."""
    from transformers.audio_utils import mel_filter_bank, window_function

    with warnings.catch_warnings():
        # With 128 bins the lowest few are narrower than a frequency bin and stay empty, in Kaldi too.
        warnings.filterwarnings("ignore", message="At least one mel filter")
        filters = mel_filter_bank(
            num_frequency_bins=fft_length // 2 + 1,
            num_mel_filters=preparation.bins,
            min_frequency=preparation.low_frequency,
            max_frequency=preparation.sample_rate / 2,
            sampling_rate=preparation.sample_rate,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
    return window_function(preparation.window, "hann", periodic=False), filters
