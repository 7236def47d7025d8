"""Figures over seeds by hand, and which runs make one row."""

import math
from pathlib import Path
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import Spread, frame, load_runs, row_names, rows_of, spread
from avcil.incremental.results.metrics import FIGURES
from avcil.incremental.results.tables import notes

from .finished import write


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


def test_names_tell_what_differs_among_runs_of_one_method():
    causes = [
        {"settings": {"method": "x", "epochs": 3, "w": 1, "v": 0}, "facts": {}},
        {"settings": {"method": "x", "epochs": 4, "w": 1, "v": 0}, "facts": {}},
        {"settings": {"method": "y", "epochs": 9, "u": 1}, "facts": {}},
    ]
    assert row_names(causes) == ["x epochs=3", "x epochs=4", "y"]


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
    assert list(found["row"]) == ["x", "x", "x", "repeated"]
    assert list(found["path"]) == [str(run.path) for run in runs]
    assert {"method", "w", "seconds", "peak_memory_bytes", *FIGURES} <= set(found.columns)
