"""Sums over clips that a head is solved from: clips a class, sums a class, and one matrix of second moments.

Sums of parts are added (`+`), in any order: several workers may each see some of the clips.

Shapes: n clips, M features, C classes.
"""

import torch
from torch import Tensor, nn

from ...model.operations import count_product
from .packed import Packed


class ClassSums(nn.Module):
    """Counts n_c, sums S_c and either the Gram matrix sum h h^T or, if `centred`, the scatter within classes
    sum (h - mu_y)(h - mu_y)^T, which loses no digits where means are large against the spread. All float64."""

    counts: Tensor
    """(C,) clips of each class."""
    totals: Tensor
    """(C, M) sum of the features of each class."""
    moments: Tensor
    """Second moments, as `Packed` lays them out."""

    def __init__(self, width: int, *, centred: bool = False, second_moments: bool = True) -> None:
        """Without `second_moments` there is no matrix."""
        super().__init__()
        self.width, self.centred, self.second_moments = width, centred, second_moments
        self.register_buffer("counts", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("totals", torch.zeros(0, width, dtype=torch.float64))
        if second_moments:
            self.register_buffer("moments", torch.zeros(Packed.size(width), dtype=torch.float64))

    def grow(self, classes: int) -> None:
        """Make room for `classes` classes in all."""
        more = classes - len(self.counts)
        self.counts = torch.cat([self.counts, self.counts.new_zeros(more)])
        self.totals = torch.cat([self.totals, self.totals.new_zeros(more, self.width)])

    @property
    def matrix(self) -> Packed:
        """The second moments. (M, M)"""
        return Packed(self.moments, self.width)

    @property
    def means(self) -> Tensor:
        """Mean of each class; zeros for a class without clips. (C, M)"""
        return self.totals / self.counts.clamp(min=1)[:, None]

    @property
    def clips(self) -> float:
        """N, clips seen."""
        return float(self.counts.sum())

    def add(self, rows: Tensor, labels: Tensor, weights: Tensor | None = None, *, moments: bool = True) -> None:
        """Add clips with features (n, M) and labels (n,), in parts of any size; without `moments` the matrix stays.

        `weights` (n,) are factors of their second moments alone. Where these are centred, a class with weights has to
        come whole, else ValueError.
        """
        members = torch.nn.functional.one_hot(labels, len(self.counts)).to(rows.dtype)  # (n, C)
        count_product(len(self.counts), len(rows), self.width)
        counts, totals = members.sum(dim=0), members.T @ rows
        moments = moments and self.second_moments
        if moments and self.centred:
            if weights is not None and bool(((self.counts > 0) & (counts > 0)).any()):
                raise ValueError("a weighted class has to come whole")
            rows = rows - (totals / counts.clamp(min=1)[:, None])[labels]
            self.matrix.add_products(self._between(counts, totals))
        if moments:
            self.matrix.add_products(rows if weights is None else rows * weights.sqrt()[:, None])
        self.counts.add_(counts)
        self.totals.add_(totals)

    def __add__(self, other: "ClassSums") -> "ClassSums":
        """The sums over the clips of both."""
        kind = self.width, self.centred, self.second_moments, len(self.counts)
        if kind != (other.width, other.centred, other.second_moments, len(other.counts)):
            raise ValueError("sums of other features or classes cannot be added")
        both = ClassSums(self.width, centred=self.centred, second_moments=self.second_moments)
        both.counts, both.totals = self.counts + other.counts, self.totals + other.totals
        if self.second_moments:
            both.moments = self.moments + other.moments
        if self.second_moments and self.centred:
            both.matrix.add_products(self._between(other.counts, other.totals))
        return both

    def _between(self, counts: Tensor, totals: Tensor) -> Tensor:
        """Rows whose products the scatter gains where classes of these sums get more clips: the distance of the two
        means, times the root of n m / (n + m) (Chan, Golub and LeVeque, 1979). (shared classes, M)"""
        shared = (self.counts > 0) & (counts > 0)
        own, new = self.counts[shared, None], counts[shared, None]
        return (own * new / (own + new)).sqrt() * (self.totals[shared] / own - totals[shared] / new)
