"""One event a line, each once, whatever happens in between."""

import json
from pathlib import Path
from typing import Any

import pytest
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.experiment import run_once
from avcil.incremental.runs.listeners import StartedRun
from avcil.incremental.runs.trackers.jsonl_ import JsonLines
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made

from .told import resumed, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def places(folder: Path) -> list[tuple[str, int, int]]:
    return [(event["event"], event["task"], event["epoch"]) for event in events(folder)]


COURSE = [
    ("begins", 1, 0),
    *[place for task in (1, 2, 3) for place in (("epoch", task, 1), ("epoch", task, 2), ("task", task, 2))],
    ("ends", 3, 2),
]


def test_a_run_from_its_beginning_to_its_end(made: Made, tmp_path: Path):
    metrics = whole(made, tmp_path / "out", "jsonl")
    found = events(tmp_path / "out")
    assert places(tmp_path / "out") == COURSE
    assert found[0]["settings"]["method"] == "av-cil" and found[0]["resumed"] is False
    assert set(found[1]["loss"]) and "validation_accuracy" in found[1]
    tests = [event["test"] for event in found if event["event"] == "task"]
    assert tests == pytest.approx(metrics["accuracy_by_task"])
    assert found[-1]["mean_accuracy"] == metrics["mean_accuracy"]
    assert all(event["seed"] == 0 and event["time"].endswith("Z") for event in found)


def test_a_resumed_run_goes_on_and_repeats_nothing(made: Made, tmp_path: Path):
    resumed(made, tmp_path / "out", "jsonl")
    assert places(tmp_path / "out") == [*COURSE[:4], ("begins", 2, 0), *COURSE[4:]]
    assert [event["resumed"] for event in events(tmp_path / "out") if event["event"] == "begins"] == [False, True]
    whole(made, tmp_path / "whole", "jsonl")
    losses = [[e["loss"] for e in events(tmp_path / name) if e["event"] == "epoch"] for name in ("out", "whole")]
    assert losses[0] == losses[1]


def test_tasks_that_end_early_are_told_at_their_last_epoch(made: Made, tmp_path: Path):
    prepared = synthetic.prepare(made, "av-cil", epochs=6, patience=1)
    metrics = run_once(*prepared, tmp_path / "out", [JsonLines()])
    took = metrics["epochs_by_task"]
    assert min(took) < 6
    found = places(tmp_path / "out")
    assert [epoch for event, _, epoch in found if event == "task"] == took
    assert found[-1] == ("ends", 3, took[-1])
    assert len([event for event, _, _ in found if event == "epoch"]) == sum(took)


def test_a_method_that_is_solved_has_tasks_alone(made: Made, tmp_path: Path):
    whole(made, tmp_path / "out", "jsonl", "ridge")
    assert places(tmp_path / "out") == [("begins", 1, 0), *[("task", task, 0) for task in (1, 2, 3)], ("ends", 3, 0)]


def test_a_cut_line_and_a_link_do_no_harm(made: Made, tmp_path: Path):
    out = tmp_path / "out"
    (tmp_path / "thesis").write_text("mine")
    prepared = synthetic.prepare(made, "ridge")
    listener = JsonLines(clock=lambda: "then")
    out.mkdir()
    (out / "log.jsonl").symlink_to(tmp_path / "thesis")
    run = StartedRun(prepared.config, prepared.settings, "statistics", out, prepared.data.table)
    listener.run_begins(run, Progress())
    assert (tmp_path / "thesis").read_text() == "mine"
    (out / "log.jsonl").write_text((out / "log.jsonl").read_text() + '{"event": "task", "ta')
    listener.run_begins(run, Progress(task=2))
    assert [(event["event"], event["time"]) for event in events(out)] == [("begins", "then")] * 2
