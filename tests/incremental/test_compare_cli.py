"""`avcil-incr compare` as a user meets it."""

import csv
import json
from pathlib import Path

from avcil.tests.incremental.called import done, mistake
from avcil.tests.incremental.results.finished import write


def two_methods(path: Path, seeds: int) -> None:
    for seed in range(seeds):
        write(path / "a" / str(seed), "a", seed, mean_accuracy=70.0 + 2 * seed)
        write(path / "b" / str(seed), "b", seed, mean_accuracy=69.0 + seed)


def test_a_comparison_in_words_and_files(tmp_path: Path):
    two_methods(tmp_path / "runs", 6)
    said = done(
        *("compare", tmp_path / "runs", "--csv", tmp_path / "c.csv", "--json", tmp_path / "c.json", "--digits", "1")
    )
    (line,) = [line for line in said.splitlines() if line.split()[:2] == ["a", "b"]]
    assert line.split() == ["a", "b", "6", "3.5", "±", "2.0", "0.0312", "0.0312", "6/0/0", "better"]
    assert "Mean Accuracy in percent (higher is better); pairs: runs of the same seed" in said
    with (tmp_path / "c.csv").open() as file:
        (record,) = csv.DictReader(file)
    assert (record["first"], record["pairs"], record["p_holm"]) == ("a", "6", "0.03125")
    (whole,) = json.loads((tmp_path / "c.json").read_text())["comparisons"]
    assert whole["differences"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_too_few_runs_are_told(tmp_path: Path):
    two_methods(tmp_path, 3)
    write(tmp_path / "b" / "9", "b", 9)
    said = done("compare", tmp_path)
    assert "too few pairs: no fewer than 6 seeds (--seeds) can show anything in this comparison" in said
    assert "without a counterpart, and left out there: b, seed 9" in said


def test_what_cannot_be_compared_is_told(tmp_path: Path):
    write(tmp_path / "a", "a", epochs=3)
    write(tmp_path / "b", "b", epochs=60)
    assert "not comparable: epochs 3 (a); epochs 60 (b)" in done("compare", tmp_path)


def test_markdown_and_latex(tmp_path: Path):
    two_methods(tmp_path, 6)
    assert "| a     | b      |" in done("compare", tmp_path, "--markdown")
    assert r"\begin{tabular}{llrrrrrr}" in done("compare", tmp_path, "--latex")
    assert "one table is of one kind" in mistake("compare", tmp_path, "--markdown", "--latex")


def test_mistakes_are_one_line(tmp_path: Path):
    two_methods(tmp_path, 2)
    assert "did you mean 'mean_accuracy'" in mistake("compare", tmp_path, "--figure", "mean_acc")
    assert "did you mean" in mistake("compare", tmp_path, "--against", "bb")
    assert "all runs are of one row, a" in mistake("compare", tmp_path / "a")
    assert "no finished run there" in mistake("compare", tmp_path / "nowhere")
    assert "there is no folder" in mistake("compare", tmp_path, "--csv", tmp_path / "no" / "c.csv")
    assert not (tmp_path / "no").exists()


def test_average_forgetting_by_its_title(tmp_path: Path):
    two_methods(tmp_path, 2)
    assert "Average Forgetting in percent (lower is better)" in done(
        "compare", tmp_path, "--figure", "average-forgetting"
    )
