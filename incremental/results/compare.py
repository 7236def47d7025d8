"""Methods compared pair by pair: the difference of a figure over runs of the same seed and class order.

Runs of the same seed and class order share batches, first weights as far as methods have the same, and the order in
which classes arrive; what is left of the differences is what the methods make.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from ...errors import InputError, unknown
from .collect import Row
from .metrics import FIGURES
from .spreads import Spread, spread

LEVEL = 0.05
"""Of the tests, all comparisons of one call together."""
EXHAUSTIVE = 12
"""Differences up to which all their signs are gone through where ranks are tied: 4096 ways."""
DECIMALS = 9
"""Differences of accuracies are fractions in floating point: beyond these they are rounding."""

Verdict = Literal["better", "worse", "not shown", "too few pairs"]


@dataclass(frozen=True)
class Comparison:
    """One row against another: a figure of the first minus that of the second, over pairs of runs."""

    first: str
    second: str
    units: Literal["seeds", "class orders"]
    """What a pair is of: runs of one seed; or, where the runs have several class orders, the means over the seeds that
    both have of one order, since runs of one order are no independent draws from all orders."""
    differences: tuple[float, ...]
    """In the figure's unit, a pair each."""
    wins: int
    """Pairs in which the first is better."""
    ties: int
    losses: int
    p: float | None
    """Wilcoxon's signed-rank test, two-sided; None without a pair."""
    adjusted: float | None
    """`p` after Holm's correction for all comparisons of the call."""
    verdict: Verdict
    """Of the first, at the level LEVEL."""
    unpaired: tuple[str, ...]
    """Runs of either row that the other has no run for."""

    @property
    def spread(self) -> Spread | None:
        """Mean, standard deviation and half the 95% interval of the differences; None without a pair."""
        return spread(self.differences)


def compare(rows: Sequence[Row], figure: str = "mean_accuracy", against: str | None = None) -> list[Comparison]:
    """Every row with every other, or with the one that `against` names by its row or method.

    Raises:
        InputError: a single row, no such figure, or no such row or several.
    """
    if figure not in FIGURES:
        raise unknown("figure", figure, FIGURES)
    if len(rows) < 2:
        raise InputError(f"there is nothing to compare: all runs are of one row, {rows[0].name}")
    if against is None:
        pairs = list(combinations(rows, 2))
    else:
        base = _named(rows, against)
        pairs = [(row, base) for row in rows if row is not base]
    several = any(len(row.orders) > 1 for row in rows)
    found = [_differences(first, second, figure, several=several) for first, second in pairs]
    ps = [wilcoxon(differences) for differences, _ in found]
    sign = 1.0 if FIGURES[figure].better == "higher" else -1.0
    comparisons = []
    for (first, second), (differences, unpaired), p, adjusted in zip(pairs, found, ps, holm(ps), strict=True):
        signs = np.sign(differences) * sign
        verdict: Verdict = "not shown"
        if len(differences) < needed(len(pairs)):
            verdict = "too few pairs"
        elif adjusted is not None and adjusted < LEVEL:
            verdict = "better" if np.mean(differences) * sign > 0 else "worse"
        comparisons.append(
            Comparison(
                first=first.name,
                second=second.name,
                units="class orders" if several else "seeds",
                differences=tuple(differences),
                wins=int(np.sum(signs > 0)),
                ties=int(np.sum(signs == 0)),
                losses=int(np.sum(signs < 0)),
                p=p,
                adjusted=adjusted,
                verdict=verdict,
                unpaired=unpaired,
            )
        )
    return comparisons


def needed(comparisons: int) -> int:
    """Pairs from which on a difference can be shown at all: n pairs give no p below 2 / 2^n, which Holm multiplies."""
    count = 1
    while 2.0 ** (1 - count) * comparisons >= LEVEL:
        count += 1
    return count


def wilcoxon(differences: Sequence[float]) -> float | None:
    """p of Wilcoxon's signed-rank test (1945), two-sided, that the differences lie symmetrically around 0.

    Differences of 0 say nothing and are dropped, as Wilcoxon does; 1 where nothing is left, None without differences.
    Exact for up to 50 differences without tied ranks (SciPy), and with such up to `EXHAUSTIVE`; else normal.
    """
    if not len(differences):
        return None
    kept = [value for value in differences if value]
    if not kept:
        return 1.0
    from scipy import stats

    tied = len(set(map(abs, kept))) < len(kept)
    method = stats.PermutationMethod() if tied and len(kept) <= EXHAUSTIVE else "auto"
    return float(stats.wilcoxon(kept, method=method).pvalue)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979); what is None takes no part."""
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    found: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, p * (len(known) - rank)))
        found[place] = least
    return found


def _named(rows: Sequence[Row], name: str) -> Row:
    """A row by its whole name, or by its method where that has one row."""
    for row in rows:
        if row.name == name:
            return row
    same = [row for row in rows if row.words["method"] == name]
    if len(same) > 1:
        raise InputError(f"--against {name}: {len(same)} rows have this method; give one: {same[0].name!r}, ...")
    if not same:
        raise unknown("row", name, [row.name for row in rows])
    return same[0]


def _differences(first: Row, second: Row, figure: str, *, several: bool) -> tuple[list[float], tuple[str, ...]]:
    """First minus second, a pair each, and the runs that are in no pair."""
    mine, theirs = ({(run.order, run.seed): run for run in row.runs} for row in (first, second))
    by_order: dict[int | None, list[float]] = {}
    for key in (key for key in mine if key in theirs):
        one, other = mine[key].metrics.get(figure), theirs[key].metrics.get(figure)
        if one is not None and other is not None:
            by_order.setdefault(key[0], []).append(one - other)
    unpaired = [
        f"{row.name}, {run.repetition}"
        for row, others in ((first, theirs), (second, mine))
        for run in row.runs
        if (run.order, run.seed) not in others
    ]
    means = [float(np.mean(values)) for values in by_order.values()]
    each = means if several else [value for values in by_order.values() for value in values]
    return [round(value, DECIMALS) for value in each], tuple(unpaired)
