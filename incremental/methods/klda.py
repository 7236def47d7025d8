"""KLDA: Momeni et al., "Continual Learning Using a Kernel-Based Method Over Foundation Models", AAAI 2025.

With the ridge that Momeni et al., "AnaCP: Toward Upper-Bound Continual Learning via Analytic Contrastive Projection",
2025, add to it.

Shapes: B clips, n clips of a task, M features, C classes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT, Positive
from ..learning.closed_form.discriminant import DiscriminantHead
from ..learning.closed_form.maps import FourierFeatures, median_square_distance
from ..learning.closed_form.method import ClosedFormSettings
from ..learning.closed_form.packed import penalised
from ..learning.method import Context


@dataclass(frozen=True, config=STRICT)
class KldaSettings(ClosedFormSettings):
    """Settings of KLDA."""

    width: Positive = 5000
    """M, random Fourier features."""
    kernel_gamma: Annotated[float, Field(gt=0)] | None = None
    """g of the kernel exp(-g |z - z'|^2); > 0. None: half of 1 / the median squared distance of the first task's
    clips. The release has 1e-4, for its own features."""
    scatter: Literal["mean", "sum"] = "mean"
    """"mean": the scatter within classes over clips; "sum", as released: not divided, so that `ridge` means less
    and less as clips come."""
    ridge: Annotated[float, Field(ge=0)] = 1e-3
    """Added to the diagonal; >= 0. The first release has none, and cannot be solved with fewer clips than features."""


class Klda(DiscriminantHead):
    """Linear discriminant analysis on random Fourier features, without prior. Scores are the distances of the paper
    less what is the same for all classes; of its five models, whose probabilities it averages, this is one."""

    name = "klda"
    paper = "Momeni et al., KLDA, AAAI 2025"
    Settings = KldaSettings

    def make_map(self) -> Any:
        """Random Fourier features."""
        return FourierFeatures(self.channels, self.settings.width)

    def freeze(self, vectors: Tensor, labels: Tensor, context: Context) -> None:
        """The kernel's width, from the first task's vectors (n, D)."""
        gamma = self.settings.kernel_gamma
        if gamma is None:
            gamma = 1 / (2 * median_square_distance(vectors, context.generator("distances")))
        self.map.gamma.fill_(gamma)

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """Weights and biases by the scatter within classes."""
        covariance = self.sums.matrix
        if self.settings.scatter == "mean":
            covariance = covariance.copy()
            covariance.flat.div_(self.sums.clips)
        self.discriminate(penalised(covariance, self.settings.ridge, "raise it (--set ridge=...)"))
        return {}
