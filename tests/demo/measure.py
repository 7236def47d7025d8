"""What a clip shows and sounds like, measured from decoded frames and samples alone.

Shapes: T frames, H x W pixels, N samples.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt


def decode(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Frames (T, H, W, 3) and samples (channels, N) of a file."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return frames.astype(np.uint8, copy=False), samples.astype(np.float32, copy=False)


def velocity(frames: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Pixels a frame, (across, down), of whatever moves steadily; 0 on an axis along which little moves.

    The lowest Fourier coefficient along an axis turns with a thing that moves along it; its differences from
    frame to frame are free of all that stands still, and the turn between two differences is the speed.
    """
    grey = frames.mean(axis=3) / 255  # (T, H, W)
    speeds, powers = [], []
    for axis in (2, 1):
        profile = grey.mean(axis=3 - axis)  # (T, H or W)
        side = profile.shape[1]
        coefficient = profile @ np.exp(-2j * np.pi * np.arange(side) / side)  # (T,)
        change = np.diff(coefficient)
        turn = np.angle(np.sum(change[1:] * np.conj(change[:-1])))
        speeds.append(-turn * side / (2 * np.pi))
        powers.append(np.sum(np.abs(change) ** 2))
    strongest = max(powers)
    across, down = (float(speed) if power > strongest / 4 else 0.0 for speed, power in zip(speeds, powers, strict=True))
    return across, down


@dataclass(frozen=True)
class Melody:
    """Shares of a sound's moments, 0 to 1, leaving out those at which the pitch jumps."""

    rising: float
    falling: float
    held: float


def melody(samples: npt.NDArray[np.float32], sample_rate: int) -> Melody:
    """How the strongest tone between 250 and 1900 Hz changes in 46 ms, over samples (channels, N)."""
    window, hop, transform = 1024, 512, 8192
    wave = samples.mean(axis=0)
    starts = range(window, len(wave) - 2 * window, hop)
    slices = np.stack([wave[start : start + window] for start in starts]) * np.hanning(window)
    spectrum = np.abs(np.fft.rfft(slices, transform))  # (moments, frequencies)
    frequencies = np.fft.rfftfreq(transform, 1 / sample_rate)
    band = (frequencies > 250) & (frequencies < 1900)
    pitch = np.log2(frequencies[band][spectrum[:, band].argmax(axis=1)])  # octaves
    change = pitch[4:] - pitch[:-4]
    change = change[np.abs(change) < 0.3]
    return Melody(
        rising=float(np.mean(change > 0.04)),
        falling=float(np.mean(change < -0.04)),
        held=float(np.mean(np.abs(change) < 0.025)),
    )
