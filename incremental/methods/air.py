"""AIR: Fang et al., "AIR: Analytic Imbalance Rectifier for Continual Learning", 2024, arXiv 2408.10349.

The released code keeps a matrix a class. Here each class's part is divided by its clips when it arrives, so that one
matrix does, exactly, as long as classes arrive whole.

Shapes: n clips of a task.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..learning.closed_form.penalties import ROWS, ridge_weights
from ..learning.method import Context
from .acil import Acil


class Air(Acil):
    """ACIL where every class weighs the same, however many clips it has; the mean weight of the classes is 1."""

    name = "air"
    paper = "Fang et al., AIR: Analytic Imbalance Rectifier, 2024"

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Each clip's products divided by the clips of its class."""
        counts = torch.bincount(labels, minlength=self.task.seen_classes).to(vectors.dtype)
        weights = (1 / counts)[labels]
        for (features, of_part), share in zip(self.parts(vectors, labels), weights.split(ROWS), strict=True):
            self.sums.add(features, of_part, share)

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """W = (s A + gamma I)^-1 s B for A the sum of classes' mean products, B their means, s = C / sum of 1 / n_c."""
        there = self.sums.counts > 0
        scale = float(there.sum() / (1 / self.sums.counts[there]).sum())
        self.weights = ridge_weights(self.sums.matrix, self.sums.means.T, self.settings.gamma / scale)
        return {"scale": scale}
