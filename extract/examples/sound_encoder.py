"""A sound encoder of your own: it takes the waveform and makes its own spectrogram.

    avcil-extract run --plugin sound_encoder.py --audio-encoder log-spectrum ...

This one has no weights: its feature is the mean and the deviation over time of 32 bands of the log spectrum. For a
model with weights, load them in `load`, as `frame_encoder.py` does; a wav2vec takes the waveform as it comes.
"""

import torch
from avcil.extract.encoders import SoundEncoder, WaveformPreparation
from torch import Tensor, nn

BANDS = 32


class Bands(nn.Module):
    """Averages neighbouring frequencies."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(400))

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, N) -> (B, 2 * BANDS)."""
        spectrum = torch.stft(waveform, 400, hop_length=160, window=self.window, return_complex=True).abs()
        bands = nn.functional.adaptive_avg_pool2d(spectrum.square(), (BANDS, spectrum.shape[-1])).clamp(min=1e-8).log()
        return torch.cat([bands.mean(dim=-1), bands.std(dim=-1)], dim=1)


class LogSpectrum(SoundEncoder):
    """Ten seconds at 16 kHz, mono; shorter sound is followed by zeros."""

    name = "log-spectrum"
    preparation = WaveformPreparation(sample_rate=16_000, seconds=10.0, fill="zeros")

    def load(self, source: str | None) -> nn.Module:
        """Nothing to read from anywhere."""
        return Bands()

    def encode(self, model: nn.Module, waveform: Tensor) -> Tensor:
        """(B, 160000) -> (B, 64)."""
        features: Tensor = model(waveform)
        return features
