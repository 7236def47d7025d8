"""A figure over several runs: its mean, how far runs lie apart, and how well the mean is known."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds, or over several class orders with one seed or more each."""

    mean: float
    """With several class orders, of the means of the orders."""
    deviation: float | None
    """Sample standard deviation over seeds; with several class orders, over the orders' means. None with one run."""
    interval: float | None
    """Half the 95% interval of the mean, by Student's t, over seeds or over the orders' means; None with one run."""
    within: float | None = None
    """With several class orders, the sample standard deviation over the seeds of an order, pooled over the orders; None
    where no order has several seeds."""

    def __str__(self) -> str:
        return self.words()

    def words(self, *, digits: int = 2, interval: bool = True) -> str:
        """Mean ± standard deviation (± `within`), and half the 95% interval if `interval`; 0 is never "-0"."""
        words = rounded(self.mean, digits)
        for deviation in (self.deviation, self.within):
            if deviation is not None:
                words += f" ± {rounded(deviation, digits)}"
        if self.interval is not None and interval:
            words += f" (95%: ± {rounded(self.interval, digits)})"
        return words


def rounded(value: float | None, digits: int = 2) -> str:
    """A figure as it is shown everywhere: no "-0.00", and "-" where it is not defined."""
    return "-" if value is None else f"{value:z.{digits}f}"


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean, standard deviation and interval; None where a figure is not defined (one task: no forgetting)."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    count = len(known)
    if count == 1:
        return Spread(known[0], None, None)
    from scipy.special import stdtrit  # scipy.stats has the same and takes half a second to import

    deviation = float(np.std(known, ddof=1))
    half = float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)
    return Spread(float(np.mean(known)), deviation, half)


def spread_over(values: Sequence[float | None], orders: Sequence[Hashable]) -> Spread | None:
    """`spread` of the means of the class orders, `orders` telling each value's, and the spread of seeds within them.

    Runs of one order are no independent draws from all orders, so the interval counts orders and not runs. Each order
    weighs the same, however many seeds it has. With a single order, `spread` of the values.
    """
    groups: dict[Hashable, list[float]] = {}
    for value, order in zip(values, orders, strict=True):
        if value is not None:
            groups.setdefault(order, []).append(value)
    if len(groups) < 2:
        return spread(values)
    over = spread([float(np.mean(group)) for group in groups.values()])
    assert over is not None
    free = sum(len(group) - 1 for group in groups.values())
    squares = sum(float(np.var(group)) * len(group) for group in groups.values())
    return Spread(over.mean, over.deviation, over.interval, math.sqrt(squares / free) if free else None)
