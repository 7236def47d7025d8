"""DS-AL: Zhuang et al., "DS-AL: A Dual-Stream Analytic Learning for Exemplar-Free Class-Incremental Learning", AAAI
2024.

The released code takes each batch's residual by the main weights so far, which depends on batches; here a task's
residuals are taken by the weights after the task.

Shapes: B clips, n clips of a task, M features, C classes.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT, Modality
from ..data.tasks import Task
from ..learning.closed_form.packed import Packed
from ..learning.closed_form.penalties import ROWS, ridge_weights
from ..learning.method import Context
from ..model.heads import Widths
from .acil import Acil, AcilSettings


@dataclass(frozen=True, config=STRICT)
class DsAlSettings(AcilSettings):
    """Settings of DS-AL."""

    compensation: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the compensation stream's scores; the release has 0.6 for CIFAR-100 and 1.5 for ImageNet, and does not
    say on which clips they were chosen."""
    compensation_gamma: Annotated[float, Field(gt=0)] = 0.1
    """Ridge penalty of the compensation stream, absolute; > 0."""


class DsAl(Acil):
    """ACIL, and a second ridge regression, on tanh of the same projection, from each task's clips to what the first
    leaves of its new classes. That of earlier tasks is never worked out again, so this is not joint training."""

    name = "ds-al"
    paper = "Zhuang et al., DS-AL, AAAI 2024"
    Settings = DsAlSettings
    only_for_learning = ("sums.", "compensation_")
    compensation_gram: Tensor
    compensation_sums: Tensor
    second_weights: Tensor

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        width = self.map.width
        self.register_buffer("compensation_gram", torch.zeros(Packed.size(width), dtype=torch.float64))
        self.register_buffer("compensation_sums", torch.zeros(width, 0, dtype=torch.float64))
        self.register_buffer("second_weights", torch.zeros(width, 0, dtype=torch.float64))

    def grow(self, task: Task) -> None:
        """Columns of zeros for the new classes."""
        super().grow(task)
        more = task.seen_classes - self.compensation_sums.shape[1]
        self.compensation_sums = F.pad(self.compensation_sums, (0, more))
        self.second_weights = F.pad(self.second_weights, (0, more))

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """The main weights; then the second stream's, from the residuals that these leave of the task's new classes."""
        super().fit(vectors, labels, context)
        gram = Packed(self.compensation_gram, self.map.width)
        for part, of_part in zip(vectors.split(ROWS), labels.split(ROWS), strict=True):
            residual = self.targets(of_part) - super().answer(part)
            residual[:, : self.task.old_classes] = 0  # the paper's label cleansing
            features = self.compensating(part)
            gram.add_products(features)
            self.compensation_sums.addmm_(features.T, residual)
        self.second_weights = ridge_weights(gram, self.compensation_sums, self.settings.compensation_gamma)
        return {}

    def compensating(self, vectors: Tensor) -> Tensor:
        """tanh(z A). (B, M)"""
        return torch.tanh(self.map.project(vectors))

    def answer(self, vectors: Tensor) -> Tensor:
        """h W + c h2 W2. (B, C)"""
        second: Tensor = self.settings.compensation * self.compensating(vectors) @ self.second_weights
        return super().answer(vectors) + second
