"""Records of rows and runs for files that programs read."""

import csv
import json
import math
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.results.records import chosen, document, row_records, runs_only, write_csv

from .finished import write


def test_figures_of_a_row(tmp_path: Path):
    """72, 75, 81: sd = sqrt(21); half the interval t(0.975, 2) = 4.30265 / sqrt(3) x sd."""
    for seed, accuracy in enumerate((72.0, 75.0, 81.0)):
        write(tmp_path / f"seed-{seed}", seed=seed, mean_accuracy=accuracy, average_forgetting=None)
    rows = rows_of(load_runs([tmp_path]))
    out = tmp_path / "all.csv"
    write_csv(out, row_records(rows))
    with out.open() as file:
        (row,) = csv.DictReader(file)
    assert (row["row"], row["runs"]) == ("x", "3")
    assert float(row["mean_accuracy"]) == pytest.approx(76)
    assert float(row["mean_accuracy_deviation"]) == pytest.approx(math.sqrt(21))
    assert float(row["mean_accuracy_interval95"]) == pytest.approx(11.3838, abs=1e-4)
    assert row["average_forgetting"] == row["average_forgetting_deviation"] == ""
    assert float(row["peak_memory_bytes"]) == 2**20
    (found,) = json.loads(json.dumps(document(rows)))["rows"]
    assert found["figures"]["mean_accuracy"]["interval95"] == pytest.approx(11.3838, abs=1e-4)
    assert found["figures"]["average_forgetting"] is None
    assert found["paths"] == [str(tmp_path / f"seed-{seed}") for seed in range(3)]


def test_chosen_columns_alone(tmp_path: Path):
    runs = [write(tmp_path / str(w), settings={"w": w}, cache_fingerprint="f", published=[1.0, 2.0]) for w in (1, 2)]
    names = chosen(" W, mean-accuracy,fingerprint, published", runs, per_run=False)
    assert names == ["w", "mean_accuracy", "cache_fingerprint", "published"]
    assert [list(record.values()) for record in row_records(rows_of(runs), names)] == [
        [f"x w={w}", 1, 1, w, 60.0, None, None, "f", [1.0, 2.0]] for w in (1, 2)
    ]
    names = chosen("path,seed,w,tasks", [*runs, write(tmp_path / "3", tasks=[["a"]])], per_run=True)
    assert [list(record.values()) for record in runs_only(runs, names)] == [
        [str(tmp_path / str(w)), f"x w={w}", 0, w, None] for w in (1, 2)
    ]


def test_a_misspelt_column_is_refused_with_the_nearest(tmp_path: Path):
    run = write(tmp_path / "a", settings={"lambda_class": 1.0})
    with pytest.raises(InputError, match="unknown column 'lambda_clas': did you mean 'lambda_class'"):
        chosen("lambda_clas", [run], per_run=False)
    with pytest.raises(InputError, match="unknown column 'fingerprnt': did you mean 'fingerprint'"):
        chosen("fingerprnt", [run], per_run=True)
