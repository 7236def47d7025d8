"""`avcil-incr plot` as a user meets it."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from avcil.incremental.cli import figures
from avcil.incremental.results.figures import kinds
from avcil.tests.incremental.called import call, mistake
from avcil.tests.incremental.results.finished import write


def test_a_figure_is_drawn_and_named(tmp_path: Path):
    write(tmp_path / "runs" / "0", seed=0)
    write(tmp_path / "runs" / "1", seed=1, random_encoder_weights=True)
    out = tmp_path / "a.pdf"
    result = call("plot", tmp_path / "runs", "--kind", "curves", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: curves of x (2 seeds)\n")
    assert "RANDOM weights" in result.stdout
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kind", "curvse", "--out", "a.pdf"), "unknown kind of figure 'curvse': did you mean 'curves'?"),
        (("--kind", "curves", "--out", "a.jpg"), "a figure is written as .pdf, .svg or .png"),
        (("--kind", "curves", "--out", "gone/a.pdf"), "there is no folder"),
        (("--kind", "curves", "--out", "a.pdf", "--width", "0"), "2.4 to 30 inches wide, not 0"),
        (("--kind", "memory", "--out", "a.pdf"), "several values of memory_size; these have none"),
        (("--kind", "confusion", "--out", "a.pdf"), "does not tell the classes of its tasks"),
        (("--kind", "training", "--out", "a.pdf"), "history.csv cannot be read"),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_written(tmp_path: Path, words: tuple[str, ...], said: str):
    write(tmp_path / "runs" / "0")
    placed = [str(tmp_path / word) if "a." in word else word for word in words]
    assert said in mistake("plot", tmp_path / "runs", *placed)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_without_matplotlib_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    find = importlib.util.find_spec

    def without(name: str, *others: Any) -> Any:
        return None if name == "matplotlib" else find(name, *others)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    write(tmp_path / "runs" / "0")
    said = mistake("plot", tmp_path / "runs", "--kind", "curves", "--out", tmp_path / "a.pdf")
    assert said == "this needs matplotlib, which is not installed: pip install 'avcil[report]'"


def test_the_command_knows_every_kind_without_importing_matplotlib():
    assert tuple(kinds.KINDS) == figures.KINDS
    assert kinds.SUFFIXES == figures.SUFFIXES


def test_a_report_is_written_and_named(tmp_path: Path):
    write(tmp_path / "runs" / "0", tasks=[["a"], ["b"]])
    out = tmp_path / "report.html"
    result = call("report", tmp_path / "runs", "--out", out, "--title", "Mine")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: 1 finished run, ")
    assert "<title>Mine</title>" in out.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "report.pdf"), "a report is written as .html"),
        (("--out", "gone/report.html"), "there is no folder"),
        (("--out", "report.html", "--attention", "gone.png"), "gone.png cannot be read"),
    ],
)
def test_mistakes_of_a_report_leave_nothing(tmp_path: Path, words: tuple[str, ...], said: str):
    write(tmp_path / "runs" / "0")
    placed = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    assert said in mistake("report", tmp_path / "runs", *placed)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
