"""Figures over seeds by hand, and which runs make one row."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.incremental.results.cause import FACTS
from avcil.incremental.results.collect import frame, load_runs, rows_of
from avcil.incremental.results.metrics import FIGURES
from avcil.incremental.results.records import document, row_records
from avcil.incremental.results.spreads import spread, spread_over
from avcil.incremental.results.tables import notes, results_grid, results_table, run_tables
from avcil.manifests import shuffled_class_order
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from .finished import METRICS, write

# --------------------------------------------------------------------------------------------------- grouping


def test_runs_that_differ_only_in_their_seed_make_one_row(tmp_path: Path):
    for seed, accuracy in enumerate((72.0, 75.0, 81.0)):
        write(tmp_path / "a" / f"seed-{seed}", seed=seed, settings={"w": 1}, mean_accuracy=accuracy)
    write(tmp_path / "b", settings={"w": 2}, mean_accuracy=10.0)
    write(tmp_path / "c", "y", settings={}, mean_accuracy=20.0)
    rows = rows_of(load_runs([tmp_path]))
    assert [(row.name, len(row.runs)) for row in rows] == [("x w=1", 3), ("x w=2", 1), ("y", 1)]
    assert rows[0].figure("mean_accuracy") == spread([72.0, 75.0, 81.0])
    assert [run.seed for run in rows[0].runs] == [0, 1, 2]


def test_a_run_named_twice_counts_once(tmp_path: Path):
    write(tmp_path / "a")
    assert [len(row.runs) for row in rows_of(load_runs([tmp_path / "a", tmp_path, tmp_path / "a"]))] == [1]


def test_a_run_that_repeats_another_does_not_count_twice(tmp_path: Path):
    """However it was carried out and wherever the same features lay; and the reader is told."""
    first = write(tmp_path / "a", seed=0, mean_accuracy=60.0, teacher="once", cache="/one")
    again = write(tmp_path / "b", seed=0, mean_accuracy=60.0, teacher="each-step", cache="/two", device="cuda")
    other = write(tmp_path / "c", seed=1, mean_accuracy=70.0, teacher="once", cache="/three")
    (row,) = rows_of([first, again, other])
    assert (row.name, row.runs, row.repeated) == ("x", (first, other), (again.path,))
    assert f"left out, since it repeats a run in the table: {again.path}" in notes([row])


def test_class_orders_drawn_from_one_list_make_one_row(tmp_path: Path):
    """Orders of other classes, or given by a file, are rows of their own."""
    given = [["a", "b"], ["c", "d"]]
    drawn = list(shuffled_class_order("abcd", 7))
    assert drawn != list("abcd")
    write(tmp_path / "given", tasks=given, mean_accuracy=50.0)
    write(tmp_path / "drawn", class_order_seed=7, tasks=[drawn[:2], drawn[2:]], mean_accuracy=60.0)
    (row,) = rows_of(load_runs(tmp_path))
    assert (row.orders, row.counted) == ((None, 7), "2 runs in 2 class orders")
    assert row.figure("mean_accuracy") == spread([60.0, 50.0])
    assert [run.repetition for run in row.runs] == ["class order 7, seed 0", "seed 0"]
    write(tmp_path / "other", class_order_seed=7, tasks=given, mean_accuracy=70.0)
    assert len(rows_of(load_runs(tmp_path))) == 2
    write(tmp_path / "file", tasks=[drawn[:2], drawn[2:]], mean_accuracy=80.0)
    assert len(rows_of(load_runs(tmp_path))) == 3


def test_the_same_seed_of_two_orders_is_no_repetition(tmp_path: Path):
    for number, (order, seed) in enumerate([(None, 0), (None, 1), (1, 0), (1, 1), (1, 1)]):
        write(tmp_path / str(number), class_order_seed=order, seed=seed, mean_accuracy=float(number))
    (row,) = rows_of(load_runs(tmp_path))
    assert [(run.order, run.seed) for run in row.runs] == [(None, 0), (None, 1), (1, 0), (1, 1)]
    assert row.repeated == (tmp_path / "4",)
    assert row.figure("mean_accuracy") == spread_over([0.0, 1.0, 2.0, 3.0], [None, None, 1, 1])


def test_several_orders_in_a_table(tmp_path: Path):
    """The published figures are the given order's; a row of one order is not comparable with it, in words."""
    for order in (None, 1, 2):
        for seed in (0, 1):
            write(tmp_path / f"{order}-{seed}", class_order_seed=order, seed=seed, mean_accuracy=60.0 + (order or 0))
    write(tmp_path / "published", seed=2, published=[61.0, 12.0])
    write(tmp_path / "y", "y")
    rows = rows_of(load_runs(tmp_path))
    assert [row.published for row in rows] == [[61.0, 12.0], []]
    grid = results_grid(rows)
    assert {column.heading: column.cells for column in grid.columns}["Class orders"] == ("3", "1")
    said = notes(rows)
    assert any("the second ±, over the seeds within an order" in line for line in said)
    assert "Published figures are of the given class order alone." in said
    assert "not comparable: class orders given, 1, 2 (x); class order given (y)" in said
    records = row_records(rows, ["mean_accuracy"])
    assert (records[0]["class_orders"], records[0]["mean_accuracy_deviation_within_orders"]) == (3, 0.0)
    assert "mean_accuracy_deviation_within_orders" not in records[1]
    assert frame(load_runs(tmp_path))["class_order_seed"].dropna().tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("fact", "values", "names"),
    [
        ("cache_fingerprint", ("1234567890abcdef", "abcdef1234567890"), ["x features=12345678", "x features=abcdef12"]),
        ("labels_sha256", ("a" * 64, "b" * 64), ["x labels=aaaaaaaa", "x labels=bbbbbbbb"]),
        ("clips_sha256", ("a" * 64, "b" * 64), ["x clips=aaaaaaaa", "x clips=bbbbbbbb"]),
        ("computed_in", ("float32", "bfloat16"), ["x computed_in=float32", "x computed_in=bfloat16"]),
        ("tasks", ([["a"], ["b"]], [["b"], ["a"]]), None),
        ("plugins", ({"own.py": "1"}, {"own.py": "2"}), None),
    ],
)
def test_runs_of_another_cause_are_rows_of_their_own(tmp_path: Path, fact: str, values: Any, names: list[str] | None):
    """At the same path and with the same settings: features made in another way, mended labels, a changed plugin."""
    runs = [
        write(tmp_path / name, cache="/the/same", **{fact: value}) for name, value in zip("ab", values, strict=True)
    ]
    rows = rows_of(runs)
    assert [row.runs for row in rows] == [(runs[0],), (runs[1],)]
    assert len({row.name for row in rows}) == 2
    assert names is None or [row.name for row in rows] == names


def test_the_same_plugin_at_another_path_is_the_same_cause(tmp_path: Path):
    runs = [write(tmp_path / str(seed), seed=seed, plugins={f"/{seed}/own.py": "1"}) for seed in (0, 1)]
    assert [len(row.runs) for row in rows_of(runs)] == [2]


def test_rows_come_in_the_order_in_which_runs_are_given(tmp_path: Path):
    first, second = write(tmp_path / "z", "b"), write(tmp_path / "a", "a")
    assert [row.name for row in rows_of([first, second])] == ["b", "a"]


def test_unfinished_runs_are_named_beside_finished_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path / "a")
    half = write(tmp_path / "half").path
    (half / "metrics.json").unlink()
    assert [run.path for run in load_runs([tmp_path])] == [tmp_path / "a"]
    words = "the run is not finished (no epoch done yet); the same avcil-incr run resumes it"
    assert capsys.readouterr().err == f"left out: {half}: {words}\n"
    assert [run.path for run in load_runs([half, tmp_path])] == [tmp_path / "a"]
    assert capsys.readouterr().err == f"left out: {half}: {words}\n"
    with pytest.raises(InputError, match="the run is not finished") as error:
        load_runs([half])
    assert str(error.value) == f"{half}: {words}"


@pytest.mark.parametrize(("unfinished", "words"), [(True, "the run is not finished"), (False, "no finished run there")])
def test_what_holds_no_finished_run(tmp_path: Path, unfinished: bool, words: str):
    if unfinished:
        (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=words) as error:
        load_runs([tmp_path])
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no finished run there"):
        load_runs([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"run": [], "provenance": {}}', '{"run": {"settings": 1}, "provenance": {}}']
)
@pytest.mark.parametrize("file", ["config.json", "metrics.json"])
def test_files_of_another_shape_are_one_line(tmp_path: Path, file: str, content: str):
    path = write(tmp_path / "a").path
    (path / file).write_text(content)
    with pytest.raises(InputError, match=f"{file}: not a run's {file}") as error:
        load_runs([path])
    assert "\n" not in str(error.value)


def test_a_frame_has_a_line_a_run(tmp_path: Path):
    runs = [write(tmp_path / str(seed), seed=seed, settings={"w": 1}, mean_accuracy=70.0 + seed) for seed in range(3)]
    runs.append(write(tmp_path / "again", seed=1, settings={"w": 1}))
    found = frame(runs)
    assert list(found["seed"]) == [0, 1, 2, 1]
    assert list(found["mean_accuracy"]) == [70.0, 71.0, 72.0, 60.0]
    assert list(found["row"]) == ["x", "x", "x", "x (repeated)"]
    assert list(found["path"]) == [str(run.path) for run in runs]
    assert {"method", "w", "seconds", "peak_memory_bytes", *FIGURES} <= set(found.columns)


# ------------------------------------------------------------------------------------- files of another shape


def everything_shown(path: Path) -> None:
    """All that is worked out of a folder of runs."""
    runs = load_runs([path])
    rows = rows_of(runs)
    console = Console(file=io.StringIO(), width=200)
    for table in (
        results_table(rows),
        results_table(rows, markdown=True),
        *(t for run in runs for t in run_tables(run)),
    ):
        console.print(table)
    notes(rows)
    row_records(rows)
    document(rows)
    frame(runs)


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("mean_accuracy", "high", "mean_accuracy: Input should be a valid number"),
        ("average_forgetting", [1.0], "average_forgetting: "),
        ("seed", "0", "seed: Input should be a valid integer"),
        ("model_choice", None, "model_choice: Input should be a valid string"),
        ("random_encoder_weights", "no", "random_encoder_weights: "),
        ("accuracy_by_task", 50.0, "accuracy_by_task: Input should be a valid list"),
        ("accuracy_by_task", [], "accuracy_by_task: "),
        ("accuracy_by_task", [70.0], "accuracy_matrix has to have a row a task"),
        ("accuracy_matrix", [[70.0], [60.0]], "accuracy_matrix has to have a row a task"),
        ("accuracy_matrix", [[70.0], ["60", 40.0]], "accuracy_matrix.1.0: "),
        ("chosen_epochs", 3, "chosen_epochs: "),
        ("seconds", None, "seconds: "),
        ("peak_memory_bytes", {}, "peak_memory_bytes: "),
        ("published", [], "published: "),
        ("published", 74.0, "published: "),
    ],
)
def test_figures_of_another_shape_are_named(tmp_path: Path, entry: str, value: Any, words: str):
    path = write(tmp_path / "a").path
    (path / "metrics.json").write_text(json.dumps(METRICS | {entry: value}))
    with pytest.raises(InputError, match=r"not a run's metrics\.json") as error:
        load_runs([path])
    assert words in str(error.value)


@pytest.mark.parametrize("entry", ["method", "seed", "accuracy_matrix", "seconds", "modality"])
def test_a_figure_that_is_missing_is_named(tmp_path: Path, entry: str):
    path = write(tmp_path / "a").path
    (path / "metrics.json").write_text(json.dumps({name: value for name, value in METRICS.items() if name != entry}))
    with pytest.raises(InputError, match=f"not a run's metrics.json: {entry}: Field required"):
        load_runs([path])


@pytest.mark.parametrize(
    ("run", "provenance", "words"),
    [
        ({"seed": 0}, {}, "run.method: Field required"),
        ({"method": "x"}, {}, "run.seed: Field required"),
        ({"method": ["x"], "seed": 0}, {}, "run.method: "),
        ({"method": "x", "seed": None}, {}, "run.seed: "),
        ({"method": "x", "seed": 0, "plugins": 5}, {}, "run.plugins: "),
        ({"method": "x", "seed": 0, "dataset": 5}, {}, "run.dataset: "),
        ({"method": "x", "seed": 0}, {"plugins": {"a.py": 1}}, "provenance.plugins.a.py: "),
        ({"method": "x", "seed": 0}, {"tasks": [1]}, "provenance.tasks.0: "),
        ({"method": "x", "seed": 0}, {"clips_sha256": {}}, "provenance.clips_sha256: "),
    ],
)
def test_a_configuration_of_another_shape_is_named(
    tmp_path: Path, run: dict[str, Any], provenance: dict[str, Any], words: str
):
    path = write(tmp_path / "a").path
    (path / "config.json").write_text(json.dumps({"run": run, "provenance": provenance}))
    with pytest.raises(InputError, match=r"not a run's config\.json") as error:
        load_runs([path])
    assert words in str(error.value)


@pytest.mark.parametrize("content", ["[]", '{"run": 5}'])
def test_what_is_no_object_is_said_without_names_of_classes(tmp_path: Path, content: str):
    path = write(tmp_path / "a").path
    (path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"not a run's config\.json: (run: )?it has to be an object$"):
        load_runs([path])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*METRICS, "leak_free"]), JSON, max_size=3),
    st.dictionaries(st.sampled_from(["method", "seed", "plugins", "settings", "dataset", "epochs"]), JSON, max_size=3),
    st.dictionaries(st.sampled_from([*FACTS, "way", "residence"]), JSON, max_size=3),
)
def test_whatever_the_files_hold_it_is_shown_or_refused_in_one_line(tmp_path_factory, metrics, run, provenance):
    path = tmp_path_factory.getbasetemp() / "fuzzed-run"
    path.mkdir(exist_ok=True)
    (path / "metrics.json").write_text(json.dumps(METRICS | metrics))
    (path / "config.json").write_text(json.dumps({"run": {"method": "x", "seed": 0} | run, "provenance": provenance}))
    with contextlib.suppress(InputError):
        everything_shown(path)
