"""What a head that is solved sees of a clip: one vector of frozen features, put to a common scale by the first task.

Shapes: B clips of a batch, n clips of a task, D channels of all features together.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from ...config import Modality
from ...data.batch import Batch
from ...model.heads import Widths
from .covariance import inverse_root, oas, within_class

Features = Literal["standardised", "whitened", "raw"]
FLAT = 1e-6
"""A channel that deviates less than this share of the median channel says nothing, and is left at 0."""


def vectors_of(batch: Batch, modality: Modality) -> Tensor:
    """[mean of the visual tokens | audio], as far as the modality has them. (B, D) float32."""
    parts = [batch.visual_mean] if modality != "audio" else []
    parts += [batch.audio] if modality != "visual" else []
    return torch.cat([part for part in parts if part is not None], dim=1)


def channels_of(widths: Widths, modality: Modality) -> int:
    """D, channels of `vectors_of`."""
    return {"audio-visual": widths.visual + widths.audio, "visual": widths.visual, "audio": widths.audio}[modality]


class Inputs(nn.Module):
    """Scales vectors by statistics of the first task's training clips, which are kept from then on."""

    centre: Tensor
    deviation: Tensor
    whitening: Tensor

    def __init__(self, channels: int, features: Features) -> None:
        super().__init__()
        self.features = features
        if features != "raw":
            self.register_buffer("centre", torch.zeros(channels, dtype=torch.float64))
            self.register_buffer("deviation", torch.ones(channels, dtype=torch.float64))
        if features == "whitened":
            self.register_buffer("whitening", torch.eye(channels, dtype=torch.float64))

    def freeze(self, vectors: Tensor, labels: Tensor) -> None:
        """Take mean and deviation of every channel of the first task's clips (n, D); where features are whitened, also
        the OAS covariance within their classes, of standardised channels."""
        if self.features == "raw":
            return
        vectors = vectors.double()
        self.centre = vectors.mean(dim=0)
        deviation = vectors.std(dim=0, correction=0)
        flat = deviation <= FLAT * deviation.median()
        self.deviation = torch.where(flat, torch.inf, deviation)
        if self.features == "whitened":
            within = within_class((vectors - self.centre) / self.deviation, labels)
            self.whitening = inverse_root(oas(within.T @ within / len(within), len(within)))

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, D) on the common scale. (n, D) float64"""
        vectors = vectors.double()
        if self.features == "raw":
            return vectors
        vectors = (vectors - self.centre) / self.deviation
        return vectors @ self.whitening if self.features == "whitened" else vectors
