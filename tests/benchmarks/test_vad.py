"""The benchmark of VAD on the demo: its command lines are accepted, and what stands in its tables."""

import json
from pathlib import Path
from typing import Any

import pytest
from avcil.benchmarks.vad import EXPERIMENTS, figures_of, main, row, words_of
from avcil.incremental.results.collect import FinishedRun
from click.testing import CliRunner

from ..incremental.called import done

LAST_CASES = [list(rows.values())[-1] for rows in EXPERIMENTS.values()]
"""Of every table."""


def ended(**metrics: Any) -> FinishedRun:
    return FinishedRun(Path("run"), {}, metrics)


@pytest.mark.parametrize("given", LAST_CASES, ids=" ".join)
def test_a_case_is_a_run_with_what_it_changes(given: tuple[str, ...], tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "cache").mkdir()
    rows = [f"{label}-{split},{label},{split}" for label in "abcd" for split in ("train", "val", "test")]
    (tmp_path / "data" / "manifest.csv").write_text("\n".join(["video_id,label,split", *rows]))
    (tmp_path / "data" / "classes.csv").write_text("class_index,label\n0,a\n1,b\n2,c\n3,d\n")
    configured = json.loads(done(*words_of(given, tmp_path, tmp_path / "out", 7), "--print-config"))
    found = configured | configured.pop("settings")
    assert found["seed"] == 7
    for name, value in (word.split("=", 1) for word in given):
        expected = value.format(oracle=tmp_path / "runs/oracle/seed-7/weights/task-03.safetensors")
        assert found[name] == type(found[name])(expected)


def test_new_and_old_classes_are_told_apart_from_the_second_task_on():
    run = ended(mean_accuracy=70.0, average_forgetting=4.0, accuracy_matrix=[[100.0], [80.0, 50.0], [60.0, 40.0, 90.0]])
    assert figures_of(run) == (70.0, 4.0, 70.0, 60.0)
    assert row("x", [run]) == "| x | 70.0 | 4.0 | 70.0 | 60.0 |"


def test_a_demo_without_the_oracles_weights_is_refused_before_anything_is_run(tmp_path: Path):
    result = CliRunner().invoke(main, ["--demo", str(tmp_path), "--out", str(tmp_path / "out"), "--seeds", "2"])
    assert result.exit_code == 2
    assert "run the demo with --seeds 2, or ask for fewer" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
