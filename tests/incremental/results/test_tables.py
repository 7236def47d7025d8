"""Tables of results: figures over seeds by hand, and which runs make one line."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.incremental.methods import find_method
from avcil.incremental.results.collect import Spread, finished_runs, row_names, rows_of, spread
from avcil.incremental.results.tables import as_frame, notes, results_table, run_tables
from avcil.incremental.runs.configure import as_plain, configure
from avcil.incremental.runs.published import published_figures
from avcil.manifests import published
from rich.console import Console
from rich.table import Table

METRICS: dict[str, Any] = {
    "method": "x",
    "modality": "audio-visual",
    "seed": 0,
    "model_choice": "best",
    "random_encoder_weights": False,
    "mean_accuracy": 60.0,
    "average_forgetting": 10.0,
    "last_accuracy": 50.0,
    "class_balanced_mean_accuracy": 59.0,
    "backward_transfer": -8.0,
    "nonnegative_forgetting": 9.0,
    "first_minus_last_forgetting": 8.0,
    "accuracy_by_task": [70.0, 50.0],
    "accuracy_matrix": [[70.0], [60.0, 40.0]],
    "chosen_epochs": [2, 1],
    "seconds": 4.0,
    "peak_memory_bytes": 2**20,
}


def write(path: Path, method: str = "x", seed: int = 0, settings: dict[str, Any] | None = None, **given: Any) -> Path:
    """A finished run as `avcil-incr run` leaves it; `given` goes to metrics where it is one, else to the config."""
    metrics = METRICS | {"method": method, "seed": seed} | {k: v for k, v in given.items() if k in METRICS}
    config = {"method": method, "seed": seed, "dataset": None, "model_choice": metrics["model_choice"]}
    config |= {name: value for name, value in given.items() if name not in METRICS} | {"settings": settings or {}}
    path.mkdir(parents=True)
    (path / "metrics.json").write_text(json.dumps(metrics))
    (path / "config.json").write_text(json.dumps({"run": config, "provenance": {}}))
    return path


def text(*tables: Table, width: int = 200) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return capture.get()


# --------------------------------------------------------------------------------------------- over the seeds


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


def test_equal_runs_have_no_width():
    assert spread([5.0] * 5) == Spread(5.0, 0.0, 0.0)


# --------------------------------------------------------------------------------------------------- grouping


def test_runs_that_differ_only_in_their_seed_make_one_line(tmp_path: Path):
    for seed, accuracy in enumerate((72.0, 75.0, 81.0)):
        write(tmp_path / "a" / f"seed-{seed}", seed=seed, settings={"w": 1}, mean_accuracy=accuracy)
    write(tmp_path / "b", settings={"w": 2}, mean_accuracy=10.0)
    write(tmp_path / "c", "y", settings={}, mean_accuracy=20.0)
    rows = rows_of([tmp_path])
    assert [(row.name, len(row.runs)) for row in rows] == [("x w=1", 3), ("x w=2", 1), ("y", 1)]
    figure = rows[0].figure("mean_accuracy")
    assert figure == spread([72.0, 75.0, 81.0])
    assert [metrics["seed"] for metrics in rows[0].metrics] == [0, 1, 2]


def test_a_run_named_twice_counts_once(tmp_path: Path):
    run = write(tmp_path / "a")
    assert [len(row.runs) for row in rows_of([run, tmp_path, run])] == [1]


def test_a_run_that_repeats_another_does_not_count_twice(tmp_path: Path):
    """Whichever way it was worked out; and the reader is told."""
    first = write(tmp_path / "a", seed=0, mean_accuracy=60.0, teacher="once")
    again = write(tmp_path / "b", seed=0, mean_accuracy=60.0, teacher="each-step", residence_gigabytes=1.0)
    other = write(tmp_path / "c", seed=1, mean_accuracy=70.0, teacher="once")
    (row,) = rows_of([first, again, other])
    assert (row.name, row.runs, row.repeated) == ("x", (first, other), (again,))
    assert f"left out, since it repeats a run in the table: {again}" in notes([row])


def test_runs_of_two_versions_of_a_plugin_are_two_lines(tmp_path: Path):
    runs = [write(tmp_path / name) for name in ("a", "b")]
    for run, digest in zip(runs, ("1", "2"), strict=True):
        content = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(content | {"provenance": {"plugins": {"own.py": digest}}}))
    assert [row.runs for row in rows_of(runs)] == [(runs[0],), (runs[1],)]


def test_lines_come_in_the_order_in_which_runs_are_given(tmp_path: Path):
    first, second = write(tmp_path / "z", "b"), write(tmp_path / "a", "a")
    assert [row.name for row in rows_of([first, second])] == ["b", "a"]


def test_names_tell_what_differs_among_runs_of_one_method():
    configs = [
        {"method": "x", "epochs": 3, "seed": 0, "settings": {"w": 1, "v": 0}},
        {"method": "x", "epochs": 4, "seed": 1, "settings": {"w": 1, "v": 0}},
        {"method": "y", "epochs": 9, "seed": 0, "settings": {"u": 1}},
    ]
    assert row_names(configs) == ["x epochs=3", "x epochs=4", "y"]


@pytest.mark.parametrize(("unfinished", "words"), [(True, "the run is not finished"), (False, "no finished run there")])
def test_what_holds_no_finished_run(tmp_path: Path, unfinished: bool, words: str):
    if unfinished:
        (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=words) as error:
        finished_runs([tmp_path])
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no finished run there"):
        finished_runs([tmp_path / "nowhere"])


# ----------------------------------------------------------------------------------------------------- tables


def test_the_table_of_results(tmp_path: Path):
    for seed, accuracy in enumerate((72.0, 75.0, 81.0)):
        write(tmp_path / f"seed-{seed}", seed=seed, mean_accuracy=accuracy, seconds=2.0 * seed)
    write(tmp_path / "y", "y", average_forgetting=None, model_choice="last")
    lines = text(results_table(rows_of([tmp_path]), markdown=True)).splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if "|" in line]
    assert cells[0] == [
        "Method", "Runs", "Mean Accuracy", "Average Forgetting", "Last Accuracy", "Model", "Seconds a run"
    ]  # fmt: skip
    zero = "± 0.00 (95%: ± 0.00)"
    assert cells[2] == ["x", "3", "76.00 ± 4.58 (95%: ± 11.38)", f"10.00 {zero}", f"50.00 {zero}", "best epoch", "2.0"]
    assert cells[3] == ["y", "1", "60.00", "-", "50.00", "last epoch", "4.0"]


def test_figures_for_a_csv_file(tmp_path: Path):
    for seed, accuracy in enumerate((72.0, 75.0, 81.0)):
        write(tmp_path / f"seed-{seed}", seed=seed, mean_accuracy=accuracy, average_forgetting=None)
    out = tmp_path / "all.csv"
    as_frame(rows_of([tmp_path])).to_csv(out, index=False)
    with out.open() as file:
        (row,) = csv.DictReader(file)
    assert (row["row"], row["runs"]) == ("x", "3")
    assert float(row["mean_accuracy"]) == pytest.approx(76)
    assert float(row["mean_accuracy_deviation"]) == pytest.approx(math.sqrt(21))
    assert float(row["mean_accuracy_interval95"]) == pytest.approx(11.3838, abs=1e-4)
    assert row["average_forgetting"] == row["average_forgetting_deviation"] == ""
    assert float(row["peak_memory_bytes"]) == 2**20


def test_one_run_in_full(tmp_path: Path):
    leak_free = {"test_clips": 7, "mean_accuracy": 12.25, "accuracy_by_task": [1.0, 2.0]}
    run = write(tmp_path / "a", average_forgetting=None)
    metrics = json.loads((run / "metrics.json").read_text()) | {"leak_free": leak_free}
    (run / "metrics.json").write_text(json.dumps(metrics))
    shown = [" ".join(line.split()) for line in text(*run_tables(run)).splitlines()]
    for line in ("x (audio-visual), seed 0", "mean accuracy 60.00", "average forgetting -", "backward transfer -8.00"):
        assert line in shown
    assert "leak-free mean accuracy 12.25" in shown
    assert shown[-3:-1] == ["1 70.0 70.0", "2 60.0 40.0 50.0"]


def test_ten_tasks_keep_all_their_digits_on_a_screen_of_80(tmp_path: Path):
    matrix = [[100.0 - column for column in range(task)] for task in range(1, 11)]
    run = write(tmp_path / "a", accuracy_matrix=matrix, accuracy_by_task=[77.7] * 10, chosen_epochs=[1] * 10)
    last = text(*run_tables(run), width=80).splitlines()[-2].split()
    assert last == ["10", *(f"{100.0 - column:.1f}" for column in range(10)), "77.7"]


def test_notes(tmp_path: Path):
    write(tmp_path / "a")
    write(tmp_path / "b", "y", model_choice="last", random_encoder_weights=True)
    first, second = notes(rows_of([tmp_path / "a"])), notes(rows_of([tmp_path / "b"]))
    assert any("old ones included" in line for line in first)
    assert not any("RANDOM weights" in line for line in first)
    assert any("RANDOM weights" in line for line in second)
    assert not any("old ones included" in line for line in second)
    assert len(notes(rows_of([tmp_path]))) == 3


# ------------------------------------------------------------------------------------------- published figures


def config_of(method: str, dataset: str, **given: Any) -> dict[str, Any]:
    return as_plain(*configure(find_method(method), published(dataset).protocol, {"dataset": dataset, **given}))


@pytest.mark.parametrize(
    ("method", "dataset", "given", "figures"),
    [
        ("av-cil", "ave", {}, "74.04 / 7.63"),
        ("icarl-nme", "kinetics-sounds", {}, "64.51 / 18.70"),
        ("afc-lsc", "vggsound100", {}, "57.76 / 29.64"),
        ("oracle", "vggsound100", {}, "78.63"),
        ("lwf", "ave", {"modality": "audio"}, "51.88"),
        ("ss-il", "kinetics-sounds", {"modality": "visual"}, "64.55"),
        ("av-cil", "ave", {"seed": 3, "device": "cuda:0", "precision": "bfloat16"}, "74.04 / 7.63"),
    ],
)
def test_published_figures_stand_beside_runs_with_the_published_settings(
    method: str, dataset: str, given: dict[str, Any], figures: str
):
    assert published_figures(config_of(method, dataset, cache="", **given)) == figures


@pytest.mark.parametrize("given", [{"epochs": 3}, {"lambda_class": 0.9}, {"model_choice": "last"}, {"memory_size": 1}])
def test_and_beside_no_other(given: dict[str, Any]):
    assert published_figures(config_of("av-cil", "ave", cache="", **given)) is None
    assert published_figures(config_of("av-cil", "ave", cache="") | {"dataset": None}) is None
