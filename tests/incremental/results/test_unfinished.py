"""How far a run is that has not come to its end."""

import json
from pathlib import Path
from typing import Any

import pytest
from avcil.incremental.results.unfinished import unfinished_below


def begun(path: Path, *, way: str = "gradient", tasks: int = 3, epochs: int = 5) -> Path:
    path.mkdir(parents=True)
    run: dict[str, Any] = {"method": "x", "seed": 0, "epochs": epochs}
    provenance = {"way": way, "tasks": [[str(task)] for task in range(tasks)]}
    (path / "config.json").write_text(json.dumps({"run": run, "provenance": provenance}))
    return path


@pytest.mark.parametrize(
    ("way", "history", "weights", "words"),
    [
        ("gradient", None, 0, "no epoch done yet"),
        ("gradient", "task,epoch,loss\n1,1,0.5\n1,2,0.25\n", 0, "task 1 of 3, epoch 2 of 5"),
        ("gradient", "task,epoch,loss\n1,5,0.5\n", 1, "1 of 3 tasks learnt"),
        ("gradient", "task,epoch,loss\n1,5,0.5\n2,4,0.5\n", 1, "task 2 of 3, epoch 4 of 5"),
        ("gradient", "not a table\n\x00", 2, "2 of 3 tasks learnt"),
        ("statistics", "task,epoch,rank\n1,0,7\n", 1, "1 of 3 tasks learnt"),
        ("statistics", None, 0, "no task learnt yet"),
    ],
)
def test_how_far(tmp_path: Path, way: str, history: str | None, weights: int, words: str):
    folder = begun(tmp_path / "run", way=way)
    if history is not None:
        (folder / "history.csv").write_text(history)
    (folder / "weights").mkdir()
    for task in range(1, weights + 1):
        (folder / "weights" / f"task-{task:02d}.safetensors").touch()
    found = unfinished_below(tmp_path)
    assert found == [(folder, f"the run is not finished ({words}); the same avcil-incr run resumes it")]


def test_finished_runs_and_configurations_of_something_else_are_passed_over(tmp_path: Path):
    (begun(tmp_path / "done") / "metrics.json").touch()
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text('{"hidden_size": 192}')
    assert unfinished_below(tmp_path) == []
