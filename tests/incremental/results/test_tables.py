"""Tables of results as they are shown."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.results.tables import as_frame, notes, results_table, run_tables
from rich.console import Console
from rich.table import Table

from .finished import write


def text(*tables: Table, width: int = 200) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    return capture.get()


def test_the_table_of_results(tmp_path: Path):
    for seed, accuracy in enumerate((72.0, 75.0, 81.0)):
        write(tmp_path / f"seed-{seed}", seed=seed, mean_accuracy=accuracy, seconds=2.0 * seed)
    write(tmp_path / "y", "y", average_forgetting=None, model_choice="last")
    lines = text(results_table(rows_of(load_runs([tmp_path])), markdown=True)).splitlines()
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
    as_frame(rows_of(load_runs([tmp_path]))).to_csv(out, index=False)
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
    run = replace(run, metrics={**run.metrics, "leak_free": leak_free})
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
    first, second = notes(rows_of(load_runs([tmp_path / "a"]))), notes(rows_of(load_runs([tmp_path / "b"])))
    assert any("old ones included" in line for line in first)
    assert not any("RANDOM weights" in line for line in first)
    assert any("RANDOM weights" in line for line in second)
    assert not any("old ones included" in line for line in second)
    assert len(notes(rows_of(load_runs([tmp_path])))) == 3


def test_the_published_figures_stand_where_a_run_had_exactly_those_settings(tmp_path: Path):
    write(tmp_path / "a", published=[74.04, 7.63])
    write(tmp_path / "b", "oracle", published=[76.85])
    write(tmp_path / "c", "mine", published=None)
    lines = text(results_table(rows_of(load_runs([tmp_path])), markdown=True)).splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if "|" in line]
    assert cells[0][-1] == "Published MA / AF"
    assert [row[-1] for row in cells[2:]] == ["74.04 / 7.63", "76.85", "-"]


@pytest.mark.parametrize("name", ["[/red]", "[bold]x", "[link=x]y[/link]", ":dog:", "a\\\\[b]"])
def test_names_are_no_markup(tmp_path: Path, name: str):
    """Of methods, settings and choices alike, wherever a console of the caller's own would read markup."""
    write(tmp_path / "a", name, settings={"w": name}, model_choice=name)
    run = write(tmp_path / "b", name, settings={"w": 1})
    found = text(results_table(rows_of(load_runs([tmp_path]))))
    assert f"{name} model_choice={name} w={name}" in found or f"{name} w={name}" in found
    assert f"{name} (audio-visual), seed 0" in text(*run_tables(run))


def test_characters_that_a_terminal_acts_on_are_shown_by_their_number(tmp_path: Path):
    run = write(tmp_path / "a", "\x1b[2Jx", settings={"w": "\u202e"}, model_choice="\x9b")
    found = text(results_table(rows_of([run])), *run_tables(run))
    assert "\\u001b[2Jx" in found
    assert "\\u009b" in found
    assert not {"\x1b", "\x9b"} & set(found)
