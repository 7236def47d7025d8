"""Figures over seeds and class orders, by hand."""

import math

import pytest
from avcil.incremental.results.spreads import Spread, rounded, spread, spread_over


def test_spread_of_three_by_hand():
    """72, 75, 81: mean 76, deviations -4, -1, 5; sd = sqrt(42 / 2); t(0.975, 2) = 4.30265 / sqrt(3) x sd."""
    found = spread([72.0, 75.0, 81.0])
    assert found is not None
    assert found.mean == pytest.approx(76.0)
    assert found.deviation == pytest.approx(math.sqrt(21))
    assert found.interval == pytest.approx(4.302652729911275 * math.sqrt(21) / math.sqrt(3))
    assert str(found) == "76.00 ± 4.58 (95%: ± 11.38)"


def test_spread_of_two_by_hand():
    """t(0.975, 1) = 12.7062; sd of 1 and 3 is sqrt(2), over sqrt(2) is 1."""
    found = spread([1.0, 3.0])
    assert found is not None
    assert (found.mean, found.deviation) == pytest.approx((2.0, math.sqrt(2)))
    assert found.interval == pytest.approx(12.706204736, rel=1e-8)


def test_one_run_has_no_deviation_and_no_run_no_figure():
    assert spread([4.25]) == Spread(4.25, None, None)
    assert str(spread([4.25])) == "4.25"
    assert spread([None, None]) is None
    assert spread([]) is None


def test_words_of_a_figure():
    """Narrow without the interval; a small negative number is 0, never "-0"."""
    found = spread([72.0, 75.0, 81.0])
    assert found is not None
    assert found.words(digits=1, interval=False) == "76.0 ± 4.6"
    assert [rounded(-0.001), rounded(-0.006), rounded(None), rounded(1.25, 1)] == ["0.00", "-0.01", "-", "1.2"]


def test_equal_runs_have_no_width():
    assert spread([5.0] * 5) == Spread(5.0, 0.0, 0.0)


def test_orders_and_seeds_apart_by_hand():
    """Orders of means 2 and 6, seeds 1, 3 and 5, 7: over orders sd(2, 6) = sqrt(8), interval t(0.975, 1) x sqrt(8) /
    sqrt(2) = 2 x 12.7062; within, variances 2 and 2 pooled: sqrt(2)."""
    found = spread_over([1.0, 5.0, 3.0, 7.0], [None, 1, None, 1])
    assert found is not None
    assert (found.mean, found.deviation, found.within) == pytest.approx((4.0, math.sqrt(8), math.sqrt(2)))
    assert found.interval == pytest.approx(2 * 12.706204736, rel=1e-8)
    assert found.words(digits=1) == "4.0 ± 2.8 ± 1.4 (95%: ± 25.4)"


def test_an_order_with_more_seeds_weighs_no_more():
    """Means 2 (of 1, 3) and 8: 5. Within: squares 1 + 1 over (2 - 1) + (1 - 1)."""
    found = spread_over([1.0, 3.0, 8.0], ["a", "a", "b"])
    assert found is not None
    assert (found.mean, found.within) == pytest.approx((5.0, math.sqrt(2)))


def test_one_seed_of_each_order_has_no_spread_within():
    found = spread_over([1.0, 3.0], [None, 1])
    assert found == spread([1.0, 3.0])


def test_one_order_is_a_spread_over_seeds():
    assert spread_over([1.0, 3.0, None], [4, 4, 5]) == spread([1.0, 3.0])
    assert spread_over([None], [None]) is None
