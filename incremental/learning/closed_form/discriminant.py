"""Linear discriminant analysis on features, which heads reach with covariances of their own.

Shapes: B clips, M features, C classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...config import Modality
from ...data.tasks import Task
from ...model.heads import Widths
from .covariance import oas_shrinkage
from .method import LinearHead
from .packed import Factor, Packed


class DiscriminantHead(LinearHead):
    """Scores h w_c + b_c with w_c = Sigma^-1 mu_c and b_c = -mu_c w_c / 2."""

    centred = True
    bias: Tensor

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        self.register_buffer("bias", torch.zeros(0, dtype=torch.float64))

    def grow(self, task: Task) -> None:
        """Room for the new classes."""
        super().grow(task)
        self.bias = F.pad(self.bias, (0, task.seen_classes - len(self.bias)))

    def discriminate(self, covariance: Factor, prior: bool = False) -> None:
        """Weights and biases from a factorised covariance; with the log of each class's share of clips if `prior`."""
        means = self.sums.means
        self.weights = covariance.solve(means.T)
        self.bias = -(means.T * self.weights).sum(dim=0) / 2
        if prior:
            self.bias = self.bias + (self.sums.counts / self.sums.clips).log()

    def answer(self, vectors: Tensor) -> Tensor:
        """h W + b. (B, C)"""
        return super().answer(vectors) + self.bias


def shrunk(scatter: Packed, clips: float) -> tuple[Packed, float]:
    """The covariance scatter / n of n clips, shrunk by OAS, and its share of the identity."""
    covariance = scatter.copy()
    covariance.flat.div_(clips)
    trace, width = covariance.trace(), covariance.width
    rho = oas_shrinkage(covariance.square_sum(), trace, width, clips)
    covariance.flat.mul_(1 - rho)
    covariance.add_diagonal(rho * trace / width)
    return covariance, rho
