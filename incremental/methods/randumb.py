"""RanDumb: Prabhu et al., "RanDumb: Random Representations Outperform Online Continually Learned Representations",
NeurIPS 2024.

The released code runs scikit-learn on all clips at once and takes the kernel's width from them; here it is the first
task's, and each class is shrunk when it arrives, so that one pass does.

Shapes: n clips of a task, M features, C classes.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT, Modality, Positive
from ..learning.closed_form.covariance import oas_shrinkage
from ..learning.closed_form.discriminant import DiscriminantHead
from ..learning.closed_form.maps import FourierFeatures
from ..learning.closed_form.method import ClosedFormSettings
from ..learning.closed_form.packed import penalised
from ..learning.method import Context
from ..model.heads import Widths


@dataclass(frozen=True, config=STRICT)
class RanDumbSettings(ClosedFormSettings):
    """Settings of RanDumb."""

    width: Positive = 10000
    """M, random Fourier features."""
    kernel_gamma: Annotated[float, Field(gt=0)] | None = None
    """g of the kernel exp(-g |z - z'|^2); > 0. None: 1 / (channels x variance of all entries of the first task's
    vectors)."""


class RanDumb(DiscriminantHead):
    """Linear discriminant analysis on random Fourier features, every class's covariance shrunk by OAS, with prior."""

    name = "randumb"
    paper = "Prabhu et al., RanDumb, NeurIPS 2024"
    Settings = RanDumbSettings
    shift: Tensor
    """Sum over classes of what shrinking adds to each entry of the diagonal, times clips."""

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        self.register_buffer("shift", torch.zeros((), dtype=torch.float64))

    def make_map(self) -> Any:
        """Random Fourier features."""
        return FourierFeatures(self.channels, self.settings.width)

    def freeze(self, vectors: Tensor, labels: Tensor, context: Context) -> None:
        """The kernel's width, from the first task's vectors (n, D)."""
        gamma = self.settings.kernel_gamma
        if gamma is None:
            variance = float(vectors.var(correction=0))
            gamma = 1 / (self.channels * variance) if variance > 0 else 1.0
        self.map.gamma.fill_(gamma)

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Class by class: n_c (1 - rho_c) S_c, and n_c rho_c trace(S_c) / M beside it."""
        for label in labels.unique():
            features = self.map(vectors[labels == label])  # (n_c, M)
            clips = len(features)
            inner = features - features.mean(dim=0)
            trace = float(inner.square().sum()) / clips
            square_sum = float((inner @ inner.T).square().sum()) / clips**2
            rho = oas_shrinkage(square_sum, trace, self.map.width, clips)
            self.shift += clips * rho * trace / self.map.width
            weights = features.new_full((clips,), 1 - rho)
            self.sums.add(features, label.expand(clips), weights)

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """Weights and biases by the mean of the classes' shrunk covariances, weighed by clips."""
        covariance = self.sums.matrix.copy()
        covariance.flat.div_(self.sums.clips)
        shift = float(self.shift) / self.sums.clips
        self.discriminate(penalised(covariance, shift, "choose another kernel (--set kernel_gamma=...)"), prior=True)
        return {}
