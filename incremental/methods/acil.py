"""ACIL: Zhuang et al., "ACIL: Analytic Class-Incremental Learning with Absolute Memorization and Privacy Protection",
NeurIPS 2022.

The released code updates (G + gamma I)^-1 batch by batch; sums of products and one factorisation give the same weights.

Shapes: n clips of a task.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT, Positive
from ..learning.closed_form.maps import RandomFeatures
from ..learning.closed_form.method import ClosedFormSettings, LinearHead
from ..learning.closed_form.penalties import ridge_weights
from ..learning.method import Context


@dataclass(frozen=True, config=STRICT)
class AcilSettings(ClosedFormSettings):
    """Settings of ACIL."""

    width: Positive = 8192
    """M, random features."""
    gamma: Annotated[float, Field(gt=0)] = 0.1
    """Ridge penalty, absolute; > 0."""


class Acil(LinearHead):
    """Ridge regression with a fixed penalty on relu(z A), A uniform in +-1 / sqrt(channels) and never trained."""

    name = "acil"
    paper = "Zhuang et al., ACIL, NeurIPS 2022"
    Settings = AcilSettings
    reads_settings: ClassVar[tuple[str, ...]] = ("features", "width", "gamma")

    def make_map(self) -> Any:
        """Relu of a uniform projection."""
        return RandomFeatures(self.channels, self.settings.width, "uniform")

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """W = (G + gamma I)^-1 Q."""
        self.weights = ridge_weights(self.sums.matrix, self.sums.totals.T, self.settings.gamma)
        return {}
