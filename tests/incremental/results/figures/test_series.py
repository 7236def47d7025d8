"""What figures show, against values worked out by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import Row, load_runs, rows_of
from avcil.incremental.results.figures.series import (
    Line,
    accuracy_lines,
    confusion,
    forgetting_lines,
    mean_matrix,
    memory_lines,
    training,
)
from avcil.incremental.results.figures.training import thinned
from avcil.tests.incremental.results.finished import write

TASKS = [["a", "b"], ["c"]]


def rows_at(folder: Path) -> list[Row]:
    return rows_of(load_runs([folder]))


def with_predictions(path: Path, last: list[tuple[str, str]], **given: Any) -> None:
    """A run of two tasks on classes a, b | c, whose last answers are `last` as (class, answer)."""
    write(path, tasks=TASKS, **given)
    lines = ["after_task,video_id,label,predicted", "1,v0,a,a"]
    lines += [f"2,v{number},{label},{answer}" for number, (label, answer) in enumerate(last)]
    (path / "predictions.csv").write_text("\n".join(lines) + "\n")


def test_accuracy_by_task_with_the_interval_of_three_seeds(tmp_path: Path):
    for seed, first in enumerate((60.0, 70.0, 80.0)):
        write(tmp_path / str(seed), seed=seed, accuracy_by_task=[first, 50.0])
    (line,) = accuracy_lines(rows_at(tmp_path))
    assert (line.name, list(line.places)) == ("x", [1, 2])
    assert [value.mean for value in line.values] == [70.0, 50.0]
    assert line.values[0].interval == pytest.approx(4.302653 * 10 / math.sqrt(3), rel=1e-6)
    assert line.has_interval


def test_one_seed_has_no_interval(tmp_path: Path):
    write(tmp_path / "0")
    (line,) = accuracy_lines(rows_at(tmp_path))
    assert not line.has_interval


def test_forgetting_by_task(tmp_path: Path):
    """After task 2: 80 - 50; after task 3: the best of task 1 is 80, of task 2 it is 90: (80 - 60 + 90 - 40) / 2."""
    write(
        tmp_path / "0",
        accuracy_matrix=[[80.0], [50.0, 90.0], [60.0, 40.0, 10.0]],
        accuracy_by_task=[1.0, 2.0, 3.0],
        chosen_epochs=[1, 1, 1],
    )
    (line,) = forgetting_lines(rows_at(tmp_path))
    assert list(line.places) == [2, 3]
    assert [value.mean for value in line.values] == [30.0, 35.0]


def test_one_task_forgets_nothing(tmp_path: Path):
    write(tmp_path / "0", accuracy_matrix=[[80.0]], accuracy_by_task=[80.0], chosen_epochs=[1])
    with pytest.raises(InputError, match="several tasks"):
        forgetting_lines(rows_at(tmp_path))


def test_the_matrix_is_the_mean_over_seeds(tmp_path: Path):
    write(tmp_path / "0", seed=0, accuracy_matrix=[[70.0], [60.0, 40.0]])
    write(tmp_path / "1", seed=1, accuracy_matrix=[[80.0], [40.0, 50.0]])
    (row,) = rows_at(tmp_path)
    assert mean_matrix(row).ravel().tolist() == pytest.approx([75.0, math.nan, 50.0, 45.0], nan_ok=True)


def memory_runs(folder: Path) -> None:
    for number, (method, size, accuracy) in enumerate(
        [("x", 100, 60.0), ("x", 20, 40.0), ("y", 20, 30.0), ("fine-tuning", 20, 10.0)]
    ):
        write(folder / str(number), method, memory_size=size, mean_accuracy=accuracy)


def test_a_memory_sweep_has_a_line_a_method_and_sizes_in_order(tmp_path: Path):
    memory_runs(tmp_path)
    lines = {line.name: line for line in memory_lines(rows_at(tmp_path))}
    assert set(lines) == {"x", "y", "fine-tuning"}
    assert list(lines["x"].places) == [20, 100]
    assert [value.mean for value in lines["x"].values] == [40.0, 60.0]
    assert list(lines["y"].places) == [20]
    assert math.isnan(lines["fine-tuning"].places[0])


def test_other_settings_part_the_lines_of_a_memory_sweep(tmp_path: Path):
    for number, (size, rate) in enumerate([(10, 0.1), (20, 0.1), (10, 0.2), (20, 0.2)]):
        write(tmp_path / str(number), memory_size=size, learning_rate=rate)
    assert [line.name for line in memory_lines(rows_at(tmp_path))] == ["x learning_rate=0.1", "x learning_rate=0.2"]


def test_one_memory_size_is_no_sweep(tmp_path: Path):
    write(tmp_path / "0", memory_size=340)
    with pytest.raises(InputError, match=r"several values of memory_size; these have 340$"):
        memory_lines(rows_at(tmp_path))


def test_confusion_of_all_seeds_together(tmp_path: Path):
    """Class a: 3 of 4 right, one taken for c. b: never right. c: right."""
    with_predictions(tmp_path / "0", [("a", "a"), ("a", "c"), ("b", "a"), ("c", "c")], seed=0)
    with_predictions(tmp_path / "1", [("a", "a"), ("a", "a"), ("b", "c"), ("c", "c")], seed=1)
    (row,) = rows_at(tmp_path)
    assert confusion(row, by_task=False).tolist() == [[75, 0, 25], [50, 0, 50], [0, 0, 100]]
    assert confusion(row, by_task=True).ravel().tolist() == pytest.approx([100 * 4 / 6, 100 * 2 / 6, 0, 100])


def test_a_class_without_test_clips_has_no_confusion(tmp_path: Path):
    with_predictions(tmp_path / "0", [("a", "a"), ("c", "c")])
    (row,) = rows_at(tmp_path)
    assert np.isnan(confusion(row, by_task=False)[1]).all()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("predictions.csv", None, "cannot be read"),
        ("predictions.csv", "after_task,video_id\n1,a\n", "is damaged"),
        ("config.json", {"run": {"method": "x", "seed": 0}, "provenance": {}}, "does not tell the classes"),
    ],
)
def test_what_confusion_cannot_be_read_from(tmp_path: Path, name: str, content: Any, words: str):
    with_predictions(tmp_path / "0", [("a", "a")])
    if content is None:
        (tmp_path / "0" / name).unlink()
    else:
        (tmp_path / "0" / name).write_text(content if isinstance(content, str) else json.dumps(content))
    (row,) = rows_at(tmp_path)
    with pytest.raises(InputError, match=words):
        confusion(row, by_task=True)


def test_training_is_the_mean_over_seeds_of_the_sum_of_terms(tmp_path: Path):
    for seed, loss in enumerate((1.0, 3.0)):
        write(tmp_path / str(seed), seed=seed)
        text = f"task,epoch,one,two,validation_accuracy\n1,1,{loss},,50\n1,2,{loss},1,60\n2,1,0.5,0.25,70\n"
        (tmp_path / str(seed) / "history.csv").write_text(text)
    (row,) = rows_at(tmp_path)
    curve = training(row)
    assert curve is not None and curve.validation is not None
    assert curve.loss.tolist() == [2.0, 3.0, 0.75]
    assert curve.validation.tolist() == [50, 60, 70]
    assert curve.begins == (0, 2)


def test_where_tasks_end_early_an_epoch_is_the_mean_over_runs_that_had_it(tmp_path: Path):
    heading = "task,epoch,one,validation_accuracy\n"
    for seed, lines in enumerate(("1,1,4,\n1,2,2,50\n2,1,3,\n2,2,1,30\n2,3,0.5,\n", "1,1,6,\n2,1,5,\n2,2,3,40\n")):
        write(tmp_path / str(seed), seed=seed, epochs=9, patience=1, validate_every=2)
        (tmp_path / str(seed) / "history.csv").write_text(heading + lines)
    (row,) = rows_at(tmp_path)
    curve = training(row)
    assert curve is not None and curve.validation is not None
    assert curve.loss.tolist() == [5, 2, 4, 2, 0.5]
    np.testing.assert_equal(curve.validation, [np.nan, 50, np.nan, 35, np.nan])
    assert curve.begins == (0, 2)


def test_lengths_that_nothing_accounts_for_are_no_match(tmp_path: Path):
    for seed, lines in enumerate(("1,1,4,50\n1,2,2,50\n", "1,1,6,40\n")):
        write(tmp_path / str(seed), seed=seed)
        (tmp_path / str(seed) / "history.csv").write_text("task,epoch,one,validation_accuracy\n" + lines)
    (row,) = rows_at(tmp_path)
    with pytest.raises(InputError, match="do not match"):
        training(row)


def test_a_validation_that_only_some_epochs_have_is_drawn_where_that_was_asked_for(tmp_path: Path):
    cases: dict[str, dict[str, Any]] = {"plain": {}, "every": {"validate_every": 2}}
    for name, given in cases.items():
        write(tmp_path / name, epochs=2, **given)
        (tmp_path / name / "history.csv").write_text("task,epoch,one,validation_accuracy\n1,1,4,\n1,2,2,50\n")
    every, plain = (training(row) for row in rows_at(tmp_path))
    assert every is not None and every.validation is not None
    assert thinned(every.validation)[0].tolist() == [2] and thinned(every.validation)[1].tolist() == [50]
    assert plain is not None and plain.validation is None


def test_a_method_without_epochs_has_no_training_curve(tmp_path: Path):
    write(tmp_path / "0")
    (tmp_path / "0" / "history.csv").write_text("task,epoch\n")
    (row,) = rows_at(tmp_path)
    assert training(row) is None


@pytest.mark.parametrize("text", ["task,epoch,one\n1,1,high\n", "epoch,one\n1,2\n", "task,epoch,one\n1,1,2,9\n"])
def test_a_damaged_history_is_told(tmp_path: Path, text: str):
    write(tmp_path / "0")
    (tmp_path / "0" / "history.csv").write_text(text)
    (row,) = rows_at(tmp_path)
    with pytest.raises(InputError, match=r"history\.csv is damaged"):
        training(row)


def test_a_line_has_a_value_a_place():
    with pytest.raises(ValueError, match="2 places and 0 values"):
        Line("x", (1, 2), ())
