"""How strong a ridge penalty is: worked out from the current task's training clips alone.

Shapes: n clips of the task, M features, C classes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ....errors import InputError
from .packed import Factor, NotPositive, Packed, penalised, shifted_factor

RELATIVE = tuple(10.0**power for power in range(-8, 3))
"""Candidates of the leave-one-out rule, relative to the mean of the Gram matrix's diagonal."""
ABSOLUTE = tuple(10.0**power for power in range(-8, 9))
"""Candidates of the held-out rule, as RanPAC's code has them."""
SHARE = 0.8
"""Part of the task's clips that the held-out rule fits."""
SOLVABLE = 10 * torch.finfo(torch.float64).eps
"""A penalty below this share of the Gram matrix's trace is lost in rounding where clips are fewer than features."""
ROWS, COLUMNS = 512, 2048
"""Clips, or features of all clips, that are mapped at once."""

Map = Callable[..., Tensor]
"""From vectors (n, D) and a slice of columns to features (n, columns)."""


def ridge_weights(gram: Packed, moments: Tensor, penalty: float) -> Tensor:
    """(G + penalty I)^-1 Q by a Cholesky factorisation, for G (M, M) and Q (M, C). (M, C).

    Raises InputError where the matrix is not positive definite, with its condition number.
    """
    return penalised(gram, penalty, "raise it (--set penalty=... or gamma=...)").solve(moments)


def best(candidates: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """The candidate with the smallest error, the first of equals, and that error. InputError where none is finite."""
    place = min(range(len(errors)), key=errors.__getitem__)
    if errors[place] == float("inf"):
        raise InputError("no ridge penalty could be chosen, none can be solved: give one, --set penalty=...")
    return candidates[place], errors[place]


def leave_one_out_errors(
    gram: Packed, moments: Tensor, parts: Callable[[], Iterable[tuple[Tensor, Tensor]]], penalties: Sequence[float]
) -> list[float]:
    """Mean squared error of each clip's targets by the weights that all other clips give, for each penalty.

    G (M, M) and Q (M, C) hold every clip seen so far; `parts` gives features (n, M) and targets (n, C) of those that
    are judged, in parts. Leaving a clip out needs no new solve: its residual is
    (t - h W) / (1 - h (G + lambda I)^-1 h^T). Penalties are relative to the mean of G's diagonal; one that cannot be
    solved, or leaves a clip's residual undefined, gives infinity.
    """
    scale = gram.trace() / gram.width
    errors = []
    for penalty in penalties:
        factor = _factor(gram, penalty * scale)
        if factor is None:
            errors.append(float("inf"))
            continue
        weights, total, count, least = factor.solve(moments), 0.0, 0, 1.0
        for features, targets in parts():
            kept = 1 - factor.half_solve(features.T).square().sum(dim=0)  # (n,)
            total += float(((targets - features @ weights) / kept[:, None]).square().sum())
            count, least = count + targets.numel(), min(least, float(kept.min()))
        errors.append(total / count if least > 1e-9 else float("inf"))
    return errors


def solvable(gram: Packed, penalties: Sequence[float]) -> list[float]:
    """Those of the penalties with which G (M, M) can be solved whatever its rank; the largest where none can."""
    return [penalty for penalty in penalties if penalty >= SOLVABLE * gram.trace()] or [max(penalties)]


def held_out_errors(map_: Map, width: int, vectors: Tensor, targets: Tensor, penalties: Sequence[float]) -> list[float]:
    """Mean squared error of the targets of the last fifth of clips by ridge regression on the others alone, for each
    penalty: RanPAC's rule. Vectors (n, D), targets (n, C).

    Where fewer clips are fitted than there are features M, the equal and smaller dual problem is solved:
    h W = h H^T (H H^T + lambda I)^-1 T. A penalty that cannot be solved gives infinity.
    """
    fit = int(SHARE * len(vectors))
    if not 0 < fit < len(vectors):
        raise InputError(
            f"the penalty cannot be chosen on held-out clips, the task has {len(vectors)}: --set penalty=... gives one"
        )
    if fit < width:
        kernel = vectors.new_zeros(len(vectors), fit)  # H H_fit^T
        for begin in range(0, width, COLUMNS):
            features = map_(vectors, slice(begin, begin + COLUMNS))
            kernel.addmm_(features, features[:fit].T)
        matrix, right = Packed.of(kernel[:fit]), targets[:fit]
    else:
        matrix, right = Packed.zeros(width, vectors.device), targets.new_zeros(width, targets.shape[1])
        for part, wanted in zip(vectors[:fit].split(ROWS), targets[:fit].split(ROWS), strict=True):
            features = map_(part)
            matrix.add_products(features)
            right.addmm_(features.T, wanted)

    def judged() -> Iterator[tuple[Tensor, Tensor]]:
        for begin in range(fit, len(vectors), ROWS):
            rows = slice(begin, begin + ROWS)
            yield (kernel[rows] if fit < width else map_(vectors[rows])), targets[rows]

    errors = []
    for penalty in penalties:
        factor = _factor(matrix, penalty)
        if factor is None:
            errors.append(float("inf"))
            continue
        solved = factor.solve(right)
        total = sum(float((rows @ solved - wanted).square().sum()) for rows, wanted in judged())
        errors.append(total / targets[fit:].numel())
    return errors


def _factor(matrix: Packed, penalty: float) -> Factor | None:
    try:
        return shifted_factor(matrix, penalty)
    except NotPositive:
        return None
