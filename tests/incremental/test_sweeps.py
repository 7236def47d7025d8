"""Which runs a sweep has, and what becomes of them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.incremental.methods.ss_il import SsIl
from avcil.incremental.runs.repeats import Repeats
from avcil.incremental.sweeps import Sweep, make_sweep
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.called import call, done, mistake
from avcil.tests.incremental.synthetic import Made

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = (
    *("--classes-per-task", "2", "--epochs", "1", "--batch-size", "4", "--memory-batch-size", "3", "--device", "cpu"),
    *("--precision", "float32"),
)


def plan(made: Made, out: Path, methods: list[str], repeats: Repeats | None = None, **grid: list[Any]) -> Sweep:
    given = {"manifest": str(made.manifest), "cache": str(made.cache), "classes_per_task": 2}
    return make_sweep(methods, grid, given, out, repeats or Repeats())


def words(made: Made, out: Path, *more: str) -> tuple[str | Path, ...]:
    return ("sweep", "--manifest", made.manifest, "--cache", made.cache, "--out", out, *SMALL, *more)


def test_all_combinations_with_all_seeds_and_orders(made: Made, tmp_path: Path):
    found = plan(made, tmp_path, ["av-cil"], Repeats(2, 3), lambda_instance=[0.1, 0.5], memory_size=[6, 9, 12])
    assert (found.combinations, found.different, len(found.runs)) == (6, 6, 36)
    assert len({run.folder for run in found.runs}) == 36
    settings = {(run.configured.settings.lambda_instance, run.configured.config.memory_size) for run in found.runs}
    assert settings == {(weight, size) for weight in (0.1, 0.5) for size in (6, 9, 12)}
    assert {run.row for run in found.runs} >= {"av-cil lambda_instance=0.1 memory_size=6"}


def test_what_changes_nothing_makes_no_further_run(made: Made, tmp_path: Path):
    """SS-IL has no lambda_instance, fine-tuning no memory either."""
    found = plan(made, tmp_path, ["av-cil", "ss-il", "fine-tuning"], lambda_instance=[0.1, 0.5], memory_size=[6, 9])
    by_method = [run.configured.kind.name for run in found.runs]
    assert [by_method.count(name) for name in ("av-cil", "ss-il", "fine-tuning")] == [4, 2, 1]
    assert (found.combinations, found.different) == (12, 7)


def test_what_cannot_be_planned(made: Made, tmp_path: Path):
    with pytest.raises(InputError, match="none of fine-tuning, ridge has this setting"):
        plan(made, tmp_path, ["fine-tuning", "ridge"], lambda_instance=[0.1])
    with pytest.raises(InputError, match="did you mean 'memory_size'"):
        plan(made, tmp_path, ["av-cil"], memory_sizes=[5])
    with pytest.raises(InputError, match="did you mean 'av-cil'"):
        plan(made, tmp_path, ["avcil"])
    with pytest.raises(InputError, match="given twice"):
        plan(made, tmp_path, ["av-cil"], classes_per_task=[2, 3])
    with pytest.raises(InputError, match="memory_size"):
        plan(made, tmp_path, ["av-cil"], memory_size=[-1])


def test_a_sweep_is_listed_run_repeated_and_widened(made: Made, tmp_path: Path):
    out = tmp_path / "out"
    few = words(made, out, "--method", "fine-tuning,ss-il", "--grid", "memory_size=6,9")
    listed = done(*few, "--dry-run")
    assert "4 combinations, 3 different; 1 seed of 1 class order each" in listed
    assert "3 of 3 runs to do" in listed
    assert not out.exists()
    said = done(*few)
    assert "0 runs there already, 3 run now, 0 failed" in said
    with (out / "runs.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == ["fine-tuning", "ss-il", "ss-il"]
    assert [line["memory_size"] for line in lines] == ["", "6", "9"]
    assert all(float(line["mean_accuracy"]) >= 0 for line in lines)
    assert "3 runs there already, 0 run now" in done(*few)
    more = words(made, out, "--method", "fine-tuning,ss-il", "--grid", "memory_size=3,6,9")
    assert "3 runs there already, 1 run now" in done(*more)


def test_a_run_of_a_sweep_is_the_run_alone(made: Made, tmp_path: Path):
    out = tmp_path / "out"
    done(*words(made, out, "--method", "ss-il", "--grid", "memory_size=6", "--class-orders", "2"))
    (folder,) = out.glob("runs/ss-il-*/order-1/seed-0")
    run = json.loads((folder / "config.json").read_text())["run"]
    assert (run["memory_size"], run["class_order_seed"]) == (6, 1)
    alone = tmp_path / "alone"
    done("run", "--config", folder / "config.json", "--out", alone)
    assert synthetic.differing(alone, folder) == []


def test_a_run_that_fails_is_told_at_the_end(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> None:
        raise ArithmeticError("no such loss")

    monkeypatch.setattr(SsIl, "loss", broken)
    result = call(*words(made, tmp_path / "out", "--method", "ss-il,fine-tuning", "--grid", "memory_size=6"))
    assert result.exit_code == 1
    assert "1 run now, 1 failed" in result.stdout
    assert result.stderr.splitlines()[-1].endswith("ArithmeticError: no such loss")
    with (tmp_path / "out" / "runs.csv").open() as file:
        assert [line["method"] for line in csv.DictReader(file)] == ["fine-tuning"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--method", "av-cil,av-cil"), "different methods"),
        (("--method", "av-cil", "--grid", "memory_size"), "--grid takes FIELD=VALUE"),
        (("--method", "av-cil", "--grid", "memory_size=5,"), "--grid takes FIELD=VALUE"),
        (("--method", "av-cil", "--grid", "seed=1,2"), "there is --seeds for that"),
        (("--method", "av-cil", "--grid", "memory_size=5,5"), "a value is there twice"),
        (("--method", "av-cil", "--grid", "memory_size=5", "--grid", "memory-size=6"), "gives memory_size twice"),
        (("--method", "av-cil", "--set", "epochs=3"), "epochs is given twice"),
        (("--method", "av-cil", "--grid", "epochs=3"), "epochs is given twice"),
        (("--method", "av-cil", "--class-orders", "2", "--class-order-seed", "4"), "leave out class_order_seed"),
    ],
)
def test_mistakes_are_one_line(made: Made, tmp_path: Path, more: tuple[str, ...], message: str):
    assert message in mistake(*words(made, tmp_path / "out", *more))
    assert not (tmp_path / "out").exists()
