"""Tables of results as they are shown."""

from dataclasses import replace
from pathlib import Path

import pytest
from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.results.tables import notes, results_table, run_tables, runs_grid
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
    assert cells[2] == [
        "x model_choice=best",
        "3",
        "76.00 ± 4.58 (95%: ± 11.38)",
        f"10.00 {zero}",
        f"50.00 {zero}",
        "best epoch",
        "2.0",
    ]
    assert cells[3] == ["y model_choice=last", "1", "60.00", "-", "50.00", "last epoch", "4.0"]


def test_80_characters_hold_a_table_without_the_intervals(tmp_path: Path):
    for seed, accuracy in enumerate((72.0, 75.0, 81.0)):
        write(tmp_path / f"seed-{seed}", "av-cil", seed=seed, mean_accuracy=accuracy, modality="audio-visual")
    write(tmp_path / "y", "ss-il", published=[74.04, 7.63], modality="audio", memory_size=36, epochs=60)
    rows = rows_of(load_runs([tmp_path]))
    lines = text(results_table(rows, width=80), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "76.0 ± 4.6" in lines[4]
    assert not any("95%" in line or "…" in line for line in lines)
    assert any("Forgetting" in line for line in lines)
    assert any("ss-il" in line and "60.0" in line for line in lines)
    wide = text(results_table(rows, width=200), width=200)
    assert "76.00 ± 4.58 (95%: ± 11.38)" in wide


def test_long_names_are_wrapped_and_nothing_of_them_is_lost(tmp_path: Path):
    for number in (1, 2):
        settings = {f"setting_number_{place}": number for place in range(4)}
        write(tmp_path / str(number), "method-of-a-long-name", settings=settings, modality=f"{number}")
    rows = rows_of(load_runs([tmp_path]))
    found = text(results_table(rows, width=80), width=80)
    assert max(map(len, found.splitlines())) <= 80
    left = "".join(line[2:30].strip() for line in found.splitlines())
    for row in rows:
        for word in row.name.split():
            assert word in left


def test_digits_and_columns(tmp_path: Path):
    write(tmp_path / "a", "x", learning_rate=0.003, cache_fingerprint="12345678" * 8, peak_memory_bytes=2**21)
    write(tmp_path / "b", "y", learning_rate=0.003, cache_fingerprint="12345678" * 8, mean_accuracy=-0.0004)
    rows = rows_of(load_runs([tmp_path]))
    names = ["learning_rate", "mean_accuracy", "cache_fingerprint", "peak_memory_bytes", "published"]
    found = text(results_table(rows, markdown=True, digits=3, columns=names)).splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in found if "|" in line]
    assert cells[0][2:] == [
        "learning_rate",
        "Mean Accuracy",
        "cache_fingerprint",
        "Peak memory, MiB",
        "Published MA / AF",
    ]
    assert cells[2] == ["x", "1", "0.003", "60.000", "12345678", "2", "-"]
    assert cells[3] == ["y", "1", "0.003", "0.000", "12345678", "1", "-"]


def test_a_line_a_run(tmp_path: Path):
    for seed, accuracy in enumerate((72.0, 75.5)):
        write(tmp_path / f"seed-{seed}", seed=seed, mean_accuracy=accuracy, random_encoder_weights=seed == 1)
    found = text(runs_grid(load_runs([tmp_path])).table(markdown=True), width=500).splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in found if "|" in line]
    titles = ["Mean Accuracy", "Average Forgetting", "Last Accuracy", "Seconds a run"]
    assert cells[0] == ["Method", "Seed", *titles, "Path"]
    assert cells[2] == ["x", "0", "72.00", "10.00", "50.00", "4.0", str(tmp_path / "seed-0")]
    assert cells[3] == ["x †", "1", "75.50", "10.00", "50.00", "4.0", str(tmp_path / "seed-1")]


def test_one_run_in_full(tmp_path: Path):
    leak_free = {"test_clips": 7, "mean_accuracy": 12.25, "accuracy_by_task": [1.0, 2.0]}
    run = write(tmp_path / "a", average_forgetting=None)
    run = replace(run, metrics={**run.metrics, "leak_free": leak_free})
    shown = [" ".join(line.split()) for line in text(*run_tables(run)).splitlines()]
    for line in ("x (audio-visual), seed 0", "Mean Accuracy 60.00", "Average Forgetting -", "Backward Transfer -8.00"):
        assert line in shown
    assert "Leak-free Mean Accuracy 12.25" in shown
    assert shown[-3:-1] == ["1 70.0 70.0", "2 60.0 40.0 50.0"]


def test_ten_tasks_keep_all_their_digits_on_a_screen_of_80(tmp_path: Path):
    matrix = [[100.0 - column for column in range(task)] for task in range(1, 11)]
    run = write(tmp_path / "a", accuracy_matrix=matrix, accuracy_by_task=[77.7] * 10, chosen_epochs=[1] * 10)
    last = text(*run_tables(run), width=80).splitlines()[-2].split()
    assert last == ["10", *(f"{100.0 - column:.1f}" for column in range(10)), "77.7"]


def test_what_shortened_a_run_is_said_with_its_chosen_epochs(tmp_path: Path):
    run = write(tmp_path / "a", epochs=9, patience=1, validate_every=5)
    run = replace(run, metrics={**run.metrics, "epochs_by_task": [9, 5]})
    words = " ".join(text(*run_tables(run)).split())
    assert "chosen epochs 2, 1 of 9, 5 (patience 1, validate_every 5)" in words
    write(tmp_path / "b", epochs=9)
    lines = notes(rows_of(load_runs([tmp_path])))
    assert "patience 1: a task ended once its best accuracy on validation clips was 1 epoch ago." in lines
    assert [line.partition(":")[0] for line in lines if line.startswith("validate_every")] == ["validate_every 5"]
    (name, plain) = (row.name for row in rows_of(load_runs([tmp_path])))
    assert (name, plain) == ("x patience=1 validate_every=5", "x")
    plain_words = text(*run_tables(load_runs([tmp_path / "b"])[0]))
    assert "chosen epochs 2, 1" in plain_words and " of " not in plain_words.partition("chosen")[2].partition("\n")[0]
    assert not any(line.startswith(("patience", "validate")) for line in notes(rows_of(load_runs([tmp_path / "b"]))))


def test_notes(tmp_path: Path):
    write(tmp_path / "a")
    write(tmp_path / "b", "y", model_choice="last", random_encoder_weights=True)
    first, second = notes(rows_of(load_runs([tmp_path / "a"]))), notes(rows_of(load_runs([tmp_path / "b"])))
    assert any("old ones included" in line for line in first)
    assert not any("RANDOM weights" in line for line in first)
    assert any("RANDOM weights" in line for line in second)
    assert not any("old ones included" in line for line in second)
    both = rows_of(load_runs([tmp_path]))
    assert len(notes(both)) == 3
    found = text(results_table(both))
    assert "y model_choice=last †" in found and found.count("†") == 1  # the note is on its row, not on the whole table
    assert second[1].startswith("† the features come from")


def test_what_stands_behind_the_sign_is_said_of_runs_of_several_seeds_alone(tmp_path: Path):
    write(tmp_path / "0")
    assert not any(line.startswith("±") for line in notes(rows_of(load_runs([tmp_path]))))
    write(tmp_path / "1", seed=1)
    rows = rows_of(load_runs([tmp_path]))
    assert (
        notes(rows)[1]
        == "±: sample standard deviation over the runs; 95%: half the 95% interval of the mean (Student's t)."
    )
    assert notes(rows, interval=False)[1] == "±: sample standard deviation over the runs."
    assert not any(line.startswith("±") for line in notes(rows, deviation=False))


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
