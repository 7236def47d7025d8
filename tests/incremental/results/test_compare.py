"""Comparisons by hand: differences of pairs, signed ranks, Holm's correction, and what is too little to claim."""

from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import Row, load_runs, rows_of
from avcil.incremental.results.compare import compare, holm, needed, wilcoxon
from avcil.incremental.results.spreads import spread

from .finished import write


def rows(path: Path, **methods: list[float]) -> list[Row]:
    """A row a method, a value of Mean Accuracy a seed."""
    for name, values in methods.items():
        for seed, value in enumerate(values):
            write(path / name / str(seed), name, seed, mean_accuracy=value, average_forgetting=100.0 - value)
    return rows_of(load_runs(path))


def test_all_pairs_won_by_hand(tmp_path: Path):
    """Six positive differences of other ranks: p = 2 / 2^6."""
    (found,) = compare(rows(tmp_path, a=[11.0, 22.0, 33.0, 44.0, 55.0, 66.0], b=[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]))
    assert (found.first, found.second, found.units) == ("a", "b", "seeds")
    assert found.differences == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert (found.wins, found.ties, found.losses) == (6, 0, 0)
    assert found.p == found.adjusted == pytest.approx(2 / 64)
    assert found.verdict == "better"
    assert found.spread == spread([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def test_lower_forgetting_is_better(tmp_path: Path):
    first = [11.0, 22.0, 33.0, 44.0, 55.0, 66.0]
    (found,) = compare(rows(tmp_path, a=first, b=[value - 5 for value in first]), "average_forgetting")
    assert set(found.differences) == {-5.0}
    assert (found.wins, found.losses, found.verdict) == (6, 0, "better")


def test_the_worse_one_is_told(tmp_path: Path):
    (found,) = compare(rows(tmp_path, a=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], b=[2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))
    assert (found.losses, found.verdict) == (6, "worse")


def test_five_pairs_are_too_few_whatever_they_say(tmp_path: Path):
    (found,) = compare(rows(tmp_path, a=[90.0] * 5, b=[1.0, 2.0, 3.0, 4.0, 5.0]))
    assert found.p == pytest.approx(2 / 32)
    assert found.verdict == "too few pairs"
    assert [needed(count) for count in (1, 3, 36)] == [6, 7, 11]


def test_differences_that_agree_to_rounding_are_ties(tmp_path: Path):
    """0.1 + 0.2 is 0.3 but for its last bit."""
    (found,) = compare(rows(tmp_path, a=[0.1 + 0.2, 5.0], b=[0.3, 5.0]))
    assert found.differences == (0.0, 0.0)
    assert (found.wins, found.ties, found.losses, found.p) == (0, 2, 0, 1.0)


def test_signed_ranks_by_hand():
    """Ranks of 1, -2, 3, 4 with the sum of negative ones 2: three of the 16 ways (none, {1}, {2}) are as low; twice."""
    assert wilcoxon([1.0, -2.0, 3.0, 4.0]) == pytest.approx(6 / 16)
    assert wilcoxon([0.0, 1.0, -2.0, 3.0, 4.0]) == pytest.approx(6 / 16)  # what is 0 is dropped
    assert wilcoxon([0.0]) == 1.0
    assert wilcoxon([]) is None


def test_signed_ranks_with_ties_are_exact_by_hand():
    """Three equal differences: all ranks 2, all positive: 2 of 8 ways."""
    assert wilcoxon([1.0, 1.0, 1.0]) == pytest.approx(2 / 8)


def test_holm_by_hand():
    """0.01 x 4, then 0.02 x 3 = 0.06, then 0.03 x 2 = 0.06, then 0.04 raised to what came before."""
    assert holm([0.04, 0.01, None, 0.03, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_class_orders_are_the_pairs_where_there_are_several(tmp_path: Path):
    """Seeds of an order are averaged over those that both have; seeds of one alone are told."""
    for name, plus in (("a", 3.0), ("b", 0.0)):
        for order in (None, 1):
            for seed in (0, 1) if name == "a" or order is None else (0,):
                value = 10.0 * (order or 0) + seed * (1.0 if name == "a" else 2.0) + plus
                write(tmp_path / f"{name}{order}{seed}", name, seed, class_order_seed=order, mean_accuracy=value)
    (found,) = compare(rows_of(load_runs(tmp_path)))
    assert found.units == "class orders"
    assert sorted(found.differences) == [2.5, 3.0]  # seeds 0 and 1 of the given order: 3 and 2; seed 0 of order 1: 3
    assert found.unpaired == ("a, class order 1, seed 1",)


def test_against_one_row(tmp_path: Path):
    found = rows(tmp_path, a=[1.0], b=[2.0], c=[3.0])
    assert [(one.first, one.second) for one in compare(found)] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [(one.first, one.second) for one in compare(found, against="b")] == [("a", "b"), ("c", "b")]
    write(tmp_path / "other", "d", 0, {"w": 1})
    write(tmp_path / "another", "d", 0, {"w": 2})
    more = rows_of(load_runs(tmp_path))
    assert {one.second for one in compare(more, against="d w=1")} == {"d w=1"}
    with pytest.raises(InputError, match="2 rows have this method; give one: 'd w=2'"):
        compare(more, against="d")
    with pytest.raises(InputError, match="did you mean 'a'"):
        compare(found, against="aa")


def test_nothing_to_compare(tmp_path: Path):
    with pytest.raises(InputError, match="all runs are of one row, a"):
        compare(rows(tmp_path, a=[1.0, 2.0]))
    with pytest.raises(InputError, match="did you mean 'mean_accuracy'"):
        compare(rows(tmp_path / "two", a=[1.0], b=[2.0]), "mean_acuracy")


def test_rows_without_a_common_run_have_no_figures(tmp_path: Path):
    write(tmp_path / "a", "a", 0)
    write(tmp_path / "b", "b", 1)
    (found,) = compare(rows_of(load_runs(tmp_path)))
    assert (found.differences, found.p, found.adjusted, found.spread) == ((), None, None, None)
    assert found.verdict == "too few pairs"
    assert found.unpaired == ("a, seed 0", "b, seed 1")
