from pathlib import Path
from typing import Any

import avcil
import pytest
from avcil.errors import InputError
from avcil.tests.incremental import synthetic


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
