"""A symmetric matrix of which only the lower triangle is kept, in panels of columns, and its Cholesky factorisation.

Random features are thousands: 10,000 make a Gram matrix of 800 MB, of which a half and a little is kept here. All
arithmetic is matrix products between panels, on whatever device the numbers are.

Shapes: M rows and columns, n clips, C classes.
"""

from collections.abc import Iterator
from math import isfinite

import torch
from torch import Tensor

from ....errors import InputError
from ...model.operations import count

PANEL = 512
"""Columns a panel. Saved sums are laid out by it."""
EXACT = 2000
"""Rows up to which a condition number is worked out rather than bounded."""


class NotPositive(Exception):  # noqa: N818 - a finding, which callers tell in their own words
    """A matrix that has no Cholesky factorisation in float64."""


class Packed:
    """A symmetric float64 matrix (M, M), as a view of a flat tensor that others may own and save."""

    def __init__(self, flat: Tensor, width: int) -> None:
        """`flat` (size(M),) holds the panels one after another: the columns from b on, rows from b on, row by row."""
        if flat.shape != (self.size(width),):
            raise ValueError(f"{tuple(flat.shape)} numbers for a packed matrix of {width} rows, not {self.size(width)}")
        self.flat, self.width = flat, width

    @staticmethod
    def size(width: int) -> int:
        """How many numbers are kept of a matrix of `width` rows."""
        return sum((width - begin) * min(PANEL, width - begin) for begin in range(0, width, PANEL))

    @classmethod
    def zeros(cls, width: int, device: torch.device | None = None) -> "Packed":
        """A matrix of zeros."""
        return cls(torch.zeros(cls.size(width), dtype=torch.float64, device=device), width)

    @classmethod
    def of(cls, dense: Tensor) -> "Packed":
        """The matrix `dense` (M, M), of which the lower triangle is read."""
        made = cls.zeros(len(dense), dense.device)
        whole = torch.tril(dense) + torch.tril(dense, -1).T
        for begin, panel in made.panels():
            panel.copy_(whole[begin:, begin : begin + panel.shape[1]])
        return made

    def panels(self) -> Iterator[tuple[int, Tensor]]:
        """The first column of each panel, and the panel (M - first, at most PANEL)."""
        place = 0
        for begin in range(0, self.width, PANEL):
            rows, columns = self.width - begin, min(PANEL, self.width - begin)
            yield begin, self.flat[place : place + rows * columns].view(rows, columns)
            place += rows * columns

    def copy(self) -> "Packed":
        """A copy of its own."""
        return Packed(self.flat.clone(), self.width)

    def dense(self) -> Tensor:
        """All of it. (M, M)"""
        whole = self.flat.new_zeros(self.width, self.width)
        for begin, panel in self.panels():
            end = begin + panel.shape[1]
            whole[begin:, begin:end] = panel
            whole[begin:end, end:] = panel[end - begin :].T
        return whole

    def add_products(self, rows: Tensor) -> None:
        """Add rows^T rows, for rows (n, M)."""
        count(len(rows) * self.width**2)  # of a symmetric matrix half is enough
        for begin, panel in self.panels():
            panel.addmm_(rows[:, begin:].T, rows[:, begin : begin + panel.shape[1]])

    def diagonal(self) -> Tensor:
        """A copy of the diagonal. (M,)"""
        return torch.cat([panel.diagonal() for _, panel in self.panels()])

    def add_diagonal(self, value: float) -> None:
        """Add `value` times the identity."""
        for _, panel in self.panels():
            panel.diagonal().add_(value)

    def trace(self) -> float:
        """The sum of the diagonal."""
        return float(self.diagonal().sum())

    def square_sum(self) -> float:
        """The sum of all M x M squared entries."""
        total = 0.0
        for _, panel in self.panels():
            square = panel[: panel.shape[1]]
            total += float(square.square().sum()) + 2 * float(panel[panel.shape[1] :].square().sum())
        return total

    def factorised(self) -> "Factor":
        """Its Cholesky factorisation L L^T, in place: the matrix is overwritten. Raises NotPositive."""
        count(self.width**3 / 3)
        panels = list(self.panels())
        for number, (begin, panel) in enumerate(panels):
            columns = panel.shape[1]
            head, tail = panel[:columns], panel[columns:]
            lower, failed = torch.linalg.cholesky_ex(head)
            if int(failed):
                raise NotPositive
            head.copy_(lower)
            if len(tail):
                tail.copy_(torch.linalg.solve_triangular(lower.T, tail, upper=True, left=False))
            for later, other in panels[number + 1 :]:
                rest = tail[later - begin - columns :]
                other.addmm_(rest, rest[: other.shape[1]].T, alpha=-1)
        return Factor(self)


class Factor:
    """L of a matrix L L^T, in place of the matrix."""

    def __init__(self, lower: Packed) -> None:
        self.lower = lower

    def half_solve(self, right: Tensor) -> Tensor:
        """L^-1 B for B (M, C). (M, C)"""
        count(self.lower.width**2 * right.shape[1])
        solved = right.clone()
        for begin, panel in self.lower.panels():
            end = begin + panel.shape[1]
            solved[begin:end] = torch.linalg.solve_triangular(panel[: end - begin], solved[begin:end], upper=False)
            solved[end:].addmm_(panel[end - begin :], solved[begin:end], alpha=-1)
        return solved

    def solve(self, right: Tensor) -> Tensor:
        """(L L^T)^-1 B for B (M, C). (M, C)"""
        solved = self.half_solve(right)
        count(self.lower.width**2 * right.shape[1])
        for begin, panel in reversed(list(self.lower.panels())):
            end = begin + panel.shape[1]
            solved[begin:end].addmm_(panel[end - begin :].T, solved[end:], alpha=-1)
            solved[begin:end] = torch.linalg.solve_triangular(panel[: end - begin].T, solved[begin:end], upper=True)
        return solved


def shifted_factor(matrix: Packed, penalty: float) -> Factor:
    """The factorisation of matrix + penalty I; the matrix stays as it is. Raises NotPositive."""
    if not isfinite(matrix.trace()):
        raise NotPositive
    whole = matrix.copy()
    whole.add_diagonal(penalty)
    return whole.factorised()


def penalised(matrix: Packed, penalty: float, advice: str) -> Factor:
    """The factorisation of matrix + penalty I; the matrix stays as it is.

    Raises InputError where that is not positive definite, with penalty, condition number and `advice`.
    """
    try:
        return shifted_factor(matrix, penalty)
    except NotPositive:
        raise InputError(
            f"the head cannot be solved with penalty {penalty:.3g}: {_condition(matrix, penalty)}; {advice}"
        ) from None


def _condition(matrix: Packed, penalty: float) -> str:
    """What is known of the condition number of a matrix whose factorisation failed."""
    if not isfinite(matrix.trace()):
        return "the sums are not finite"
    if matrix.width > EXACT:  # Higham, Accuracy and Stability of Numerical Algorithms, theorem 10.7
        return f"the condition number is over {1 / (matrix.width * torch.finfo(torch.float64).eps):.0e}"
    dense = matrix.dense()
    dense.diagonal().add_(penalty)
    return f"the condition number is {float(torch.linalg.cond(dense)):.1e}"
