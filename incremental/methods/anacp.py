"""AnaCP: Momeni, Xiao and Liu, "AnaCP: Toward Upper-Bound Continual Learning via Analytic Contrastive Projection",
arXiv 2511.13880, 2025.

Without its adaptation of the encoder in the first task, which cached features rule out.

Shapes: B clips, n clips of a part, D channels, M features, C classes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from ..config import STRICT, Modality, Positive
from ..data.tasks import Task
from ..learning.closed_form.maps import RandomFeatures
from ..learning.closed_form.method import ClosedForm, ClosedFormSettings
from ..learning.closed_form.penalties import ROWS, ridge_weights
from ..learning.closed_form.sums import ClassSums
from ..learning.method import Context
from ..model.heads import Widths

FLOOR = 1e-4
"""What is added to the covariance's diagonal, of vectors of unit length; as released."""
SMALLEST = 1e-8
"""What is added to its eigenvalues before a root is divided by; as released."""


@dataclass(frozen=True, config=STRICT)
class AnaCpSettings(ClosedFormSettings):
    """Settings of AnaCP."""

    width: Positive = 5000
    """M, random features of each projection and of the classifier."""
    projections: Positive = 3
    """Ridge regressions to the spread class means, each on random features of its own; their mean is what is
    classified."""
    penalty: Annotated[float, Field(gt=0)] = 100.0
    """Ridge penalty of the projections and of the classifier, absolute; > 0."""
    pseudo_clips: Positive = 100
    """Vectors a class that are drawn in every task, from its mean and the shared covariance, for the classifier."""
    covariance: Literal["pooled", "released"] = "pooled"
    """The shared covariance: "pooled", that within classes over all clips; "released", a running mean over tasks that
    counts a task's clips to the old part as well, so that it depends on the order of tasks."""


class AnaCp(ClosedForm):
    """Ridge regressions from random features to class means that have been spread apart, and on what they give a ridge
    classifier, fitted to vectors drawn about every class's mean."""

    name = "anacp"
    paper = "Momeni, Xiao and Liu, AnaCP, arXiv 2511.13880, 2025"
    Settings = AnaCpSettings
    only_for_learning: ClassVar[tuple[str, ...]] = ("clips.", "lifted.", "shared")

    maps: Any
    """A `RandomFeatures` a projection."""
    lifted: Any
    """The `ClassSums` of each."""
    shared: Tensor
    """The released running covariance (D, D); no numbers unless that was asked for."""
    projecting: Tensor
    """The weights theta of each projection. (projections, M, D)"""
    weights: Tensor
    """The classifier's. (M, C)"""

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        channels, width, count = self.channels, settings.width, settings.projections
        self.maps = nn.ModuleList(RandomFeatures(channels, width, "normal", F.gelu) for _ in range(count))
        self.last_map = RandomFeatures(channels, width, "normal", F.gelu)
        self.clips = ClassSums(channels, centred=True)
        self.lifted = nn.ModuleList(ClassSums(width) for _ in range(count))
        kept = channels if settings.covariance == "released" else 0
        self.register_buffer("shared", torch.zeros(kept, kept, dtype=torch.float64))
        self.register_buffer("projecting", torch.zeros(count, width, channels, dtype=torch.float64))
        self.register_buffer("weights", torch.zeros(width, 0, dtype=torch.float64))

    def grow(self, task: Task) -> None:
        """Room for the new classes."""
        super().grow(task)
        for sums in (self.clips, *self.lifted):
            sums.grow(task.seen_classes)
        self.weights = F.pad(self.weights, (0, task.seen_classes - self.weights.shape[1]))

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Sums of the unit vectors and of every projection's random features."""
        units = F.normalize(vectors, dim=1)
        if self.settings.covariance == "released":
            self._take_in(units, labels)
        for part, of_part in zip(units.split(ROWS), labels.split(ROWS), strict=True):
            self.clips.add(part, of_part)
            for lift, sums in zip(self.maps, self.lifted, strict=True):
                sums.add(lift(part), of_part)

    def _take_in(self, units: Tensor, labels: Tensor) -> None:
        """The released running mean: the old part weighs as if it held the task's clips already."""
        own = ClassSums(self.channels, centred=True)
        own.grow(self.task.seen_classes)
        own.to(units.device).add(units, labels)
        covariance = own.matrix.dense() / len(units)
        if not self.clips.clips:
            self.shared = covariance + FLOOR * torch.eye(len(covariance), dtype=units.dtype, device=units.device)
            return
        old = self.clips.clips + len(units)
        self.shared = (old * self.shared + len(units) * covariance) / (old + len(units))

    def covariance(self) -> Tensor:
        """Of unit vectors within classes, shared by all. (D, D)"""
        if self.settings.covariance == "released":
            return self.shared
        pooled = self.clips.matrix.dense() / self.clips.clips
        pooled.diagonal().add_(FLOOR)
        return pooled

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """The projections' weights, then the classifier's on vectors that are drawn anew in every task."""
        covariance, means, penalty = self.covariance(), self.clips.means, self.settings.penalty
        targets = spread_means(means, covariance)
        solved = [ridge_weights(sums.matrix, sums.totals.T @ targets, penalty) for sums in self.lifted]
        self.projecting = torch.stack(solved)
        sums = ClassSums(self.last_map.width).to(means.device)
        sums.grow(len(means))
        root = torch.linalg.cholesky(covariance)
        drawn = self.normal_numbers(len(means) * self.settings.pseudo_clips, context).to(means.device)
        classes = torch.arange(len(means), device=means.device).repeat_interleave(self.settings.pseudo_clips)
        for part, of_part in zip(drawn.split(ROWS), classes.split(ROWS), strict=True):
            sums.add(self.last_map(self.projected(part @ root.T + means[of_part])), of_part)
        self.weights = ridge_weights(sums.matrix, sums.totals.T, penalty)
        return {}

    def normal_numbers(self, count: int, context: Context) -> Tensor:
        """What pseudo-clips are made of: (count, D) standard normal, class after class, on the CPU."""
        return torch.randn(count, self.channels, generator=context.generator("pseudo-clips"), dtype=torch.float64)

    def projected(self, units: Tensor) -> Tensor:
        """The mean over projections of unit(gelu(z P_k) theta_k), for z (B, D). (B, D)"""
        found = [
            F.normalize(lift(units) @ theta, dim=1) for lift, theta in zip(self.maps, self.projecting, strict=True)
        ]
        return torch.stack(found).mean(dim=0)

    def answer(self, vectors: Tensor) -> Tensor:
        """Of clips with vectors (B, D). (B, C)"""
        scores: Tensor = self.last_map(self.projected(F.normalize(vectors, dim=1))) @ self.weights
        return scores


def spread_means(means: Tensor, covariance: Tensor) -> Tensor:
    """Class means (C, D) drawn apart: 1 is added to every singular value of the centred, whitened means.

    As released, the result is multiplied by the whitening matrix once more, which does not undo it, then brought back
    to the centre and to unit length. C centred means have C - 1 directions; the released code lifts one more, which is
    undefined and comes out differently from one linear algebra library to the next. It is left out here. (C, D)
    """
    values, vectors = torch.linalg.eigh(covariance)
    whitening = (vectors / (values.clamp(min=0) + SMALLEST).sqrt()) @ vectors.T
    centre = means.mean(dim=0)
    left, lengths, right = torch.linalg.svd((means - centre) @ whitening, full_matrices=False)
    defined = min(len(means) - 1, len(lengths))
    spread = (left[:, :defined] * (lengths[:defined] + 1)) @ right[:defined]
    return F.normalize(spread @ whitening + centre, dim=1)
