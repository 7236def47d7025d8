import json
from pathlib import Path
from typing import Any

import avcil
import numpy as np
import pytest
from avcil.errors import InputError
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.results.finished import write


def test_run_and_read_what_came_out(tmp_path: Path):
    made = synthetic.make(tmp_path / "made", 4)
    common: dict[str, Any] = {
        "manifest": str(made.manifest),
        "cache": str(made.cache),
        "classes_per_task": 2,
        "device": "cpu",
    }
    found = avcil.run("ridge", out=tmp_path / "runs", seeds=2, penalty=0.1, **common)
    assert len(found) == 2
    assert [run.seed for run in found] == [0, 1]
    assert found[1].content["run"]["settings"]["penalty"] == 0.1
    table = avcil.results(tmp_path / "runs").frame()
    assert table["mean_accuracy"].tolist() == [run.metrics["mean_accuracy"] for run in found]
    assert repr(found).startswith(f"<ridge: 2 runs, Mean Accuracy {found[0].metrics['mean_accuracy']:.2f} ")
    with pytest.raises(InputError, match="unknown setting 'penalti': did you mean 'penalty'"):
        avcil.run("ridge", out=tmp_path / "other", penalti=0.1, **common)
    assert not (tmp_path / "other").exists()


def test_a_table_has_a_line_a_row_and_figures_are_drawn(tmp_path: Path):
    for method, accuracies in (("lwf", (0.5, 0.7)), ("ridge", (0.9,))):
        for seed, accuracy in enumerate(accuracies):
            written = write(tmp_path / f"{method}-{seed}", method, seed=seed)
            metrics = json.loads((written.path / "metrics.json").read_text())
            (written.path / "metrics.json").write_text(json.dumps(metrics | {"mean_accuracy": 100 * accuracy}))
    found = avcil.results(tmp_path)
    table = found.table().set_index("row")
    assert table["runs"].to_dict() == {"lwf": 2, "ridge": 1}
    assert table.loc["lwf", "mean_accuracy"] == pytest.approx(60)
    assert table.loc["lwf", "mean_accuracy_deviation"] == pytest.approx(200**0.5)
    # Student's t with one degree of freedom, times the deviation, by the root of 2.
    assert table.loc["lwf", "mean_accuracy_interval95"] == pytest.approx(12.7062 * 10, rel=1e-4)
    assert table["mean_accuracy_interval95"].isna().to_dict() == {"lwf": False, "ridge": True}
    figure = found.draw("curves", width=5)
    assert figure.get_size_inches()[0] == 5
    lines = [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines]
    assert [line for line in lines if len(line) == 2] == [[70.0, 50.0]] * 2  # accuracy_by_task of both rows
    with pytest.raises(InputError, match="'curve': did you mean 'curves'"):
        found.draw("curve")
