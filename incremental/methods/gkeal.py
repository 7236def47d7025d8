"""GKEAL: Zhuang et al., "GKEAL: Gaussian Kernel Embedded Analytic Learning for Few-Shot Class Incremental Task", CVPR
2023.

Shapes: n clips of a task, D channels.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT, Positive
from ..learning.closed_form.maps import KernelFeatures, median_square_distance
from ..learning.method import Context
from .acil import Acil, AcilSettings


@dataclass(frozen=True, config=STRICT)
class GkealSettings(AcilSettings):
    """Settings of GKEAL."""

    width: Positive = 512
    """M, kernel centres; at most as many as the first task has clips. They are its clips' vectors, and kept."""
    centres: Literal["random", "first"] = "random"
    """Which clips of the first task: "random" ones, or the "first", as released."""
    sigma: Annotated[float, Field(gt=0)] | None = None
    """Width of the kernel; > 0. None: sigma^2 is half the median squared distance of the first task's clips. The
    release has 10, for its own features."""


class Gkeal(Acil):
    """Ridge regression with a fixed penalty on exp(-|z - m|^2 / (2 sigma^2)) around clips m of the first task."""

    name = "gkeal"
    paper = "Zhuang et al., GKEAL, CVPR 2023"
    Settings = GkealSettings

    def make_map(self) -> Any:
        """Gaussian kernels."""
        return KernelFeatures(self.channels, self.settings.width)

    def freeze(self, vectors: Tensor, labels: Tensor, context: Context) -> None:
        """Choose centres and width from the first task's clips (n, D)."""
        count = min(self.settings.width, len(vectors))
        chosen = torch.arange(count)
        if self.settings.centres == "random":
            chosen = torch.randperm(len(vectors), generator=context.generator("centres"))[:count]
        sigma = self.settings.sigma
        if sigma is None:
            sigma = (median_square_distance(vectors, context.generator("distances")) / 2) ** 0.5
        self.map.set(vectors[chosen.to(vectors.device)], sigma)
