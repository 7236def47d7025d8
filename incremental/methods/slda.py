"""SLDA: Hayes and Kanan, "Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis", CVPRW 2020.

Shapes: n clips of a task, M channels, C classes.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT
from ..learning.closed_form.covariance import oas, within_class
from ..learning.closed_form.discriminant import DiscriminantHead, shrunk
from ..learning.closed_form.method import ClosedFormSettings
from ..learning.closed_form.packed import Packed, penalised
from ..learning.method import Context


@dataclass(frozen=True, config=STRICT)
class SldaSettings(ClosedFormSettings):
    """Settings of SLDA."""

    covariance: Literal["exact", "released"] = "exact"
    """"exact": scatter within classes over clips, shrunk by OAS; "released": the released streaming update, which
    depends on the order of clips, weighs by N / (N + 1) where n / (n + 1) would be exact, and counts the whole length
    of a new class's first clip as spread."""
    shrinkage: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Share of the identity in the covariance of covariance=released."""


class Slda(DiscriminantHead):
    """Linear discriminant analysis: class means and one covariance within classes, no prior."""

    name = "slda"
    paper = "Hayes and Kanan, Deep Streaming Linear Discriminant Analysis, CVPRW 2020"
    Settings = SldaSettings

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Scatter within classes, or the released recursion of it."""
        if self.settings.covariance == "exact":
            super().gather(vectors, labels)
        elif self.sums.clips == 0:
            within = within_class(vectors, labels)
            first = oas(within.T @ within / len(within), len(within))
            self.sums.add(vectors, labels)
            self.sums.moments.copy_(Packed.of(first * len(within)).flat)
        else:
            self._stream(vectors, labels)

    def _stream(self, vectors: Tensor, labels: Tensor) -> None:
        """N Sigma += e e^T N / (N + 1), clip by clip, with e = z - mu_y before mu_y has seen the clip."""
        counts, means, before = self.sums.counts.clone(), self.sums.means, self.sums.clips
        residuals = torch.empty_like(vectors)
        for row, label in enumerate(labels.tolist()):
            residuals[row] = vectors[row] - means[label]
            means[label] += residuals[row] / (counts[label] + 1)
            counts[label] += 1
        seen = before + torch.arange(len(vectors), dtype=vectors.dtype, device=vectors.device)
        self.sums.matrix.add_products(residuals * (seen / (seen + 1)).sqrt()[:, None])
        self.sums.add(vectors, labels, moments=False)

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """w_c = Sigma^-1 mu_c and b_c = -mu_c w_c / 2."""
        clips = self.sums.clips
        if self.settings.covariance == "exact":
            covariance, rho = shrunk(self.sums.matrix, clips)
            self.discriminate(penalised(covariance, 0.0, "give features another scale (--set features=...)"))
            return {"shrinkage": rho}
        share = self.settings.shrinkage
        covariance = self.sums.matrix.copy()
        covariance.flat.mul_((1 - share) / clips)
        self.discriminate(penalised(covariance, share, "raise it (--set shrinkage=...)"))
        return {}
