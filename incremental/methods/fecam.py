"""FeCAM: Goswami et al., "FeCAM: Exploiting the Heterogeneity of Class Distributions in Exemplar-Free Continual
Learning", NeurIPS 2023.

Shapes: B clips, n clips of a class, D channels, d of them after reduction, C classes.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from ...errors import InputError
from ..config import STRICT, Modality, Positive
from ..data.tasks import Task
from ..learning.closed_form.method import ClosedForm, ClosedFormSettings
from ..learning.method import Context
from ..model.heads import Widths


@dataclass(frozen=True, config=STRICT)
class FecamSettings(ClosedFormSettings):
    """Settings of FeCAM."""

    dimensions: Positive | None = 256
    """Principal components of the first task's vectors that are kept; none: all channels, as released, whose matrix a
    class makes 1.9 GB of 100 classes of 1,536 channels."""
    form: Literal["vit", "resnet"] = "vit"
    """Which of the released forms: "vit", for features of any sign: unit vectors, one shrinkage; "resnet", for features
    >= 0 (features=raw, dimensions=none): Tukey's square root, two shrinkages that take in correlations."""

    def __post_init__(self) -> None:
        if self.form == "resnet" and (self.features != "raw" or self.dimensions is not None):
            raise ValueError("form=resnet takes roots of features, it needs features=raw and dimensions=none")


class Fecam(ClosedForm):
    """Mahalanobis distance to the class's mean by the class's own covariance, shrunk and brought to correlations."""

    name = "fecam"
    paper = "Goswami et al., FeCAM, NeurIPS 2023"
    Settings = FecamSettings
    basis: Tensor
    centre: Tensor
    means: Tensor
    factors: Tensor
    """(C, d, d) Cholesky factor of each class's matrix."""

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        kept = self.channels if settings.dimensions is None else min(settings.dimensions, self.channels)
        double = torch.float64
        if settings.dimensions is not None:
            self.register_buffer("basis", torch.zeros(self.channels, kept, dtype=double))
            self.register_buffer("centre", torch.zeros(self.channels, dtype=double))
        self.register_buffer("means", torch.zeros(0, kept, dtype=double))
        self.register_buffer("factors", torch.zeros(0, kept, kept, dtype=double))

    def grow(self, task: Task) -> None:
        """Room for the new classes."""
        super().grow(task)
        more, kept = task.seen_classes - len(self.means), self.means.shape[1]
        self.means = torch.cat([self.means, self.means.new_zeros(more, kept)])
        self.factors = torch.cat([self.factors, self.factors.new_zeros(more, kept, kept)])

    def freeze(self, vectors: Tensor, labels: Tensor, context: Context) -> None:
        """Principal components of the first task's vectors (n, D)."""
        if self.settings.dimensions is None:
            return
        self.centre = vectors.mean(dim=0)
        inner = vectors - self.centre
        _, directions = torch.linalg.eigh(inner.T @ inner)
        self.basis = directions.flip(1)[:, : self.basis.shape[1]].contiguous()

    def reduced(self, vectors: Tensor) -> Tensor:
        """Vectors (n, D) in the principal components. (n, d)"""
        return vectors if self.settings.dimensions is None else (vectors - self.centre) @ self.basis

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Mean and factorised matrix of each class."""
        resnet = self.settings.form == "resnet"
        if resnet and bool((vectors < 0).any()):
            raise InputError("fecam: form=resnet takes roots of features, and some are negative: take form=vit")
        vectors = self.reduced(vectors)
        for label in labels.unique().tolist():
            rows = vectors[labels == label]
            if len(rows) < 2:
                raise InputError(
                    f"fecam needs two training clips a class for a covariance; class number {label} has one"
                )
            self.means[label] = F.normalize(rows.mean(dim=0).sqrt(), dim=0) if resnet else unit(rows).mean(dim=0)
            covariance = torch.cov((rows.sqrt() if resnet else unit(rows)).T)
            matrix = correlation(tukey_shrunk(tukey_shrunk(covariance)) if resnet else shrunk(covariance))
            self.factors[label], failed = torch.linalg.cholesky_ex(matrix)
            if int(failed):
                raise InputError(
                    f"fecam: the matrix of class number {label} cannot be factorised, its condition number is "
                    f"{float(torch.linalg.cond(matrix)):.1e}: take form=vit, or fewer --set dimensions=..."
                )

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """Nothing: classes do not depend on one another."""
        return {}

    def answer(self, vectors: Tensor) -> Tensor:
        """-(x - m_c) K_c^-1 (x - m_c). (B, C)"""
        points = unit(self.reduced(vectors))
        points = unit(points.sqrt()) if self.settings.form == "resnet" else points
        scores = []
        for mean, factor in zip(self.means, self.factors, strict=True):
            half = torch.linalg.solve_triangular(factor, (points - mean).T, upper=False)  # (d, B)
            scores.append(-half.square().sum(dim=0))
        return torch.stack(scores, dim=1)


def unit(rows: Tensor) -> Tensor:
    """Rows (n, d) of length 1."""
    return F.normalize(rows, dim=1)


def shrunk(covariance: Tensor) -> Tensor:
    """S + v I, v the mean of the diagonal. (d, d)"""
    return covariance + torch.diag(covariance.diagonal().mean().expand(len(covariance)))


def tukey_shrunk(covariance: Tensor) -> Tensor:
    """S + v I + o (1 - I), v the mean of the diagonal, o that of the other entries that are not 0. (d, d)"""
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    others = covariance * (1 - identity)
    count = (others != 0).sum().clamp(min=1)
    return covariance + covariance.diagonal().mean() * identity + others.sum() / count * (1 - identity)


def correlation(covariance: Tensor) -> Tensor:
    """The covariance divided by the outer product of its standard deviations. (d, d)"""
    deviation = covariance.diagonal().sqrt()
    return covariance / deviation[:, None] / deviation
