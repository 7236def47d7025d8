"""Seeds and class orders: which runs there are, where they lie, and that each is what it would be alone."""

from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.runs.experiment import run_repeats
from avcil.incremental.runs.repeats import Repeats, repeats_of
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made

pytestmark = pytest.mark.usefixtures("one_thread")


def test_places():
    assert Repeats(2, 3).places(Path("out"), 4) == {
        Path("out/seed-4"): (None, 4),
        Path("out/seed-5"): (None, 5),
        Path("out/order-1/seed-4"): (1, 4),
        Path("out/order-1/seed-5"): (1, 5),
        Path("out/order-2/seed-4"): (2, 4),
        Path("out/order-2/seed-5"): (2, 5),
    }


def test_neither_is_a_single_run():
    assert repeats_of(None, None) is None
    assert repeats_of(None, 3) == Repeats(1, 3)
    assert repeats_of(2, None) == Repeats(2, 1)


@pytest.mark.parametrize("given", [{"seeds": 0}, {"class_orders": 0}, {"class_orders": True}, {"seeds": 1.5}])
def test_counts_below_one(given: dict[str, int]):
    with pytest.raises(InputError, match="a number from 1 on"):
        Repeats(**given)


def test_an_order_of_ones_own_and_several():
    with pytest.raises(InputError, match="leave out class_order_seed"):
        Repeats(1, 2).check(0, None)
    with pytest.raises(InputError, match="leave out the file of tasks"):
        Repeats(1, 2).check(None, "tasks.csv")
    Repeats(3, 1).check(0, "tasks.csv")


def test_each_order_is_what_it_is_alone(made: Made, tmp_path: Path):
    """To the bit, though they share the loaded features; called again, nothing is run."""
    what = synthetic.prepare(made, "av-cil", epochs=1)
    both = run_repeats(*what, tmp_path / "both", Repeats(1, 2))
    assert len(both) == 2
    alone = tmp_path / "alone"
    synthetic.run(made, "av-cil", alone, epochs=1, class_order_seed=1)
    assert synthetic.differing(alone, tmp_path / "both" / "order-1" / "seed-0") == []
    (row,) = rows_of(load_runs([tmp_path / "both"]))
    assert row.orders == (None, 1)
    assert rows_of(load_runs([alone]))[0].cause == row.cause
    before = (tmp_path / "both" / "order-1" / "seed-0" / "metrics.json").stat().st_mtime_ns
    assert run_repeats(*what, tmp_path / "both", Repeats(1, 2)) == both
    assert (tmp_path / "both" / "order-1" / "seed-0" / "metrics.json").stat().st_mtime_ns == before


def test_the_seeds_that_are_there_are_the_given_order(made: Made, tmp_path: Path):
    what = synthetic.prepare(made, "fine-tuning", epochs=1)
    run_repeats(*what, tmp_path / "out", Repeats(2))
    before = (tmp_path / "out" / "seed-1" / "metrics.json").stat().st_mtime_ns
    run_repeats(*what, tmp_path / "out", Repeats(2, 2))
    assert (tmp_path / "out" / "seed-1" / "metrics.json").stat().st_mtime_ns == before
    assert sorted(path.name for path in (tmp_path / "out" / "order-1").iterdir()) == ["seed-0", "seed-1"]


def test_a_folder_of_one_run_takes_no_others(made: Made, tmp_path: Path):
    what = synthetic.prepare(made, "fine-tuning", epochs=1)
    synthetic.run(made, "fine-tuning", tmp_path / "out", epochs=1)
    with pytest.raises(InputError, match="holds a single run"):
        run_repeats(*what, tmp_path / "out", Repeats(1, 2))
