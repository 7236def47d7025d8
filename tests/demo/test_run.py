import json
import sys
from io import StringIO
from pathlib import Path

import pytest
from avcil.cache import FeatureCache
from avcil.demo.__main__ import main
from avcil.demo.clips import CLASSES, plan
from avcil.demo.run import LEARNINGS, Demo, console_script, shortest
from avcil.errors import InputError
from avcil.tests.incremental.results.finished import write
from click.testing import CliRunner
from rich.console import Console


def figures(out: Path, name: str) -> dict[str, float]:
    metrics: dict[str, float] = json.loads((out / "runs" / name / "seed-0" / "metrics.json").read_text())
    return metrics


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path):
    """One seed: AV-CIL beats fine-tuning, the oracle both; one modality is not enough; a second start does nothing.

    In 20 epochs a task these differ as clearly as in the demo's 50.
    """
    heard = StringIO()
    demo = Demo(tmp_path, plan(), seeds=1, epochs=20, console=Console(file=heard, width=200))
    demo.run()
    said = heard.getvalue()

    cache = FeatureCache(tmp_path / "cache")
    assert len(cache.ids) == 300
    assert cache.visual_shape == (8, 49, 192)
    assert cache.random_weights
    tuned, av_cil, oracle = (figures(tmp_path, name) for name in ("fine-tuning", "av-cil", "oracle"))
    assert av_cil["mean_accuracy"] > tuned["mean_accuracy"] + 10
    assert oracle["mean_accuracy"] > av_cil["mean_accuracy"]
    assert av_cil["average_forgetting"] < tuned["average_forgetting"] - 50
    chance_and_noise = 100 / 3 + 3 * 100 * (2 / 9 / 60) ** 0.5  # three standard errors over 60 test clips
    for alone in ("oracle-audio", "oracle-visual"):
        assert figures(tmp_path, alone)["last_accuracy"] < chance_and_noise

    assert said.count("RANDOM weights") >= 3
    assert str(tmp_path / "accuracy.svg") in said
    assert (tmp_path / "accuracy.svg").is_file()
    assert f"--out {tmp_path}/runs/av-cil" in said
    for learning, name in ((entry, entry.name) for entry in LEARNINGS):
        (row,) = [line for line in said.splitlines() if line.strip().startswith(f"{learning.title}  ")]
        assert f"{figures(tmp_path, name)['mean_accuracy']:.1f}" in row
        assert f"{figures(tmp_path, name)['average_forgetting']:.1f}" in row

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    before |= {path: path.stat().st_mtime_ns for path in tmp_path.rglob("shard-*")}
    before |= {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")}
    assert len(before) > 300
    demo.run()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "they are there already" in heard.getvalue()


def finished(out: Path) -> list[Path]:
    """Runs of all kinds, one seed each, as if step 3 had been done."""
    for number, learning in enumerate(LEARNINGS):
        write(out / "runs" / learning.name / "seed-0", learning.name, accuracy_by_task=[90.0, 60.0 - number])
    return [out / "runs" / learning.name for learning in LEARNINGS]


def test_it_ends_with_a_picture_of_all_runs(tmp_path: Path):
    heard = StringIO()
    demo = Demo(tmp_path, plan(), seeds=1, console=Console(file=heard, width=500))
    demo.draw_results(demo.rows(finished(tmp_path)))
    assert f"as a picture: {tmp_path / 'accuracy.svg'}" in heard.getvalue()
    text = (tmp_path / "accuracy.svg").read_text()
    assert all(f">{learning.title}<" in text for learning in LEARNINGS)


def test_without_matplotlib_the_picture_is_left_out_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    heard = StringIO()
    demo = Demo(tmp_path, plan(), seeds=1, console=Console(file=heard, width=500))
    demo.draw_results(demo.rows(finished(tmp_path)))
    assert "matplotlib is not installed: pip install 'avcil[report]'" in heard.getvalue()
    assert not (tmp_path / "accuracy.svg").exists()


def test_a_step_that_fails_stops_the_demo_in_one_line(tmp_path: Path):
    demo = Demo(tmp_path, plan(), console=Console(file=StringIO()))
    with pytest.raises(InputError, match=r"'avcil-incr shw' ended with status 2$"):
        demo.call("avcil-incr", "shw", tmp_path / "nothing")


def test_a_missing_command_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match=r"no avcil-extract beside .*make setup"):
        console_script("avcil-extract")


def test_paths_are_shown_from_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert shortest(str(tmp_path / "bin" / "tool")) == "bin/tool"
    assert shortest(str(tmp_path.parent / "tool")) == str(tmp_path.parent / "tool")


def test_options_are_checked(tmp_path: Path):
    runner = CliRunner()
    assert runner.invoke(main, []).exit_code == 2
    assert "--seeds" in runner.invoke(main, ["--out", str(tmp_path), "--seeds", "0"]).output
    assert not list(tmp_path.iterdir())
    assert "--out" in runner.invoke(main, ["-h"]).output


def test_every_class_is_in_the_demo():
    assert {(clip.motion, clip.sound) for clip in plan()} == set(CLASSES)
    assert len({entry.name for entry in LEARNINGS}) == len(LEARNINGS)
