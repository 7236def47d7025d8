"""LoRanPAC: Peng et al., "LoRanPAC: Low-rank Random Features and Pre-trained Models for Bridging Theory and Practice in
Continual Learning", ICLR 2025.

Without its adaptation of the encoder in the first task, which cached features rule out. The released code brings the
same decomposition up to date block by block.

Shapes: n clips, M features, k directions kept, C classes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT, Modality, Positive
from ..learning.closed_form.maps import RandomFeatures
from ..learning.closed_form.method import ClosedFormSettings, LinearHead
from ..learning.method import Context
from ..model.heads import Widths

AT_ONCE = 10000
"""Clips that are taken in between two cuts, at most."""


@dataclass(frozen=True, config=STRICT)
class LoRanPacSettings(ClosedFormSettings):
    """Settings of LoRanPAC."""

    width: Positive = 10000
    """M, random features; 100,000 as released, which keep ten times the numbers."""
    truncation: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of the directions (as many as there are clips, or features if these are fewer) that is cut off after every
    task; >= 0, < 1. As released for most data sets; 0.2 and 0.75 for others."""
    most_directions: Positive = 10000
    """k, directions that are kept at most."""


class LoRanPac(LinearHead):
    """Least squares without a penalty on relu(z P), in the leading directions of the features that have been seen.

    Of the features of all clips H^T ~ U S V^T only U and S are kept; W = U S^-2 U^T Q, Q the classes' sums, which are
    not cut. What was cut after a task is gone: weights depend on how classes are parted into tasks.
    """

    name = "loranpac"
    paper = "Peng et al., LoRanPAC, ICLR 2025"
    Settings = LoRanPacSettings
    second_moments = False
    only_for_learning: ClassVar[tuple[str, ...]] = ("sums.", "directions", "lengths")

    directions: Tensor
    """U, orthonormal columns. (M, k)"""
    lengths: Tensor
    """The diagonal of S, falling. (k,)"""

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        self.register_buffer("directions", torch.zeros(self.map.width, 0, dtype=torch.float64))
        self.register_buffer("lengths", torch.zeros(0, dtype=torch.float64))

    def make_map(self) -> Any:
        """Relu of a normal projection."""
        return RandomFeatures(self.channels, self.settings.width, "normal")

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Add to the classes' sums, and turn the directions towards the new features."""
        for part, of_part in zip(vectors.split(AT_ONCE), labels.split(AT_ONCE), strict=True):
            features = self.map(part)  # (n, M)
            self.sums.add(features, of_part)
            self._take_in(features)

    def _take_in(self, features: Tensor) -> None:
        """The leading part of [U S | H_new^T]; directions that are rounding noise are cut off as well."""
        together = torch.cat([self.directions * self.lengths, features.T], dim=1)  # (M, k + n)
        basis, triangle = torch.linalg.qr(together)
        turned, lengths, _ = torch.linalg.svd(triangle, full_matrices=False)
        share = 1 - self.settings.truncation
        clips = round(self.sums.clips)
        kept = max(1, min(round(share * clips), round(share * self.map.width), self.settings.most_directions))
        noise = max(together.shape) * torch.finfo(lengths.dtype).eps * float(lengths[0])
        kept = min(kept, int((lengths > noise).sum()))
        self.directions, self.lengths = basis @ turned[:, :kept], lengths[:kept]

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """W = U S^-2 U^T Q. Returns how many directions were kept."""
        moments = self.directions.T @ self.sums.totals.T  # (k, C)
        self.weights = self.directions @ (moments / self.lengths.square()[:, None])
        return {"directions": float(len(self.lengths))}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *more: Any) -> None:
        """As many directions as the saved state has."""
        for name in ("directions", "lengths"):
            saved = state_dict.get(prefix + name)
            if isinstance(saved, Tensor):
                setattr(self, name, getattr(self, name).new_zeros(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *more)
