"""`avcil-incr show` and `table` as a user meets them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from avcil.incremental.cli.tables import with_published_figures
from avcil.incremental.methods import find_method
from avcil.incremental.results.collect import load_runs
from avcil.incremental.runs.configure import as_plain, configure
from avcil.manifests import published, split_into_tasks
from avcil.tests.incremental.called import call, done, mistake
from avcil.tests.incremental.results.finished import write
from avcil.tests.incremental.synthetic import Made

pytestmark = pytest.mark.usefixtures("one_thread")


def test_show_and_table(made: Made, tmp_path: Path, reference: Callable[[str], Path]):
    first, second = reference("av-cil"), reference("oracle")
    shown = done("show", first)
    assert "av-cil (audio-visual), seed 0" in shown
    assert f"files: {first}" in shown
    metrics = json.loads((first / "metrics.json").read_text())
    assert f"{metrics['mean_accuracy']:.2f}" in shown
    assert f"{metrics['accuracy_matrix'][2][0]:.1f}" in shown
    out = tmp_path / "figures.csv"
    table = done("table", first, second, "--markdown", "--csv", out)
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if line[:2] == "| "]
    assert [row[0] for row in rows] == ["Method", "av-cil †", "oracle †"]
    assert rows[1][2] == f"{metrics['mean_accuracy']:.2f}"
    with out.open() as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["av-cil", "oracle"]


def test_tables_of_other_kinds(tmp_path: Path):
    for seed in (0, 1):
        write(tmp_path / f"x_{seed}", "x_y", seed=seed, settings={"w": 1}, mean_accuracy=70.0 + seed)
    latex = done("table", tmp_path, "--latex").splitlines()
    assert latex[0] == "% All figures in percent; forgetting: lower is better."
    assert r"x\_y & $2$ & $70.50 \pm 0.71$ & $10.00 \pm 0.00$ & $50.00 \pm 0.00$ & best epoch & $4.0$ \\" in latex
    assert latex[-1] == r"\end{tabular}"
    done("table", tmp_path, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    (row,) = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert (row["row"], row["seeds"], row["settings"]["w"]) == ("x_y", [0, 1], 1)
    assert row["figures"]["mean_accuracy"]["mean"] == 70.5
    runs = done("table", tmp_path, "--per-run", "--columns", "seed,mean-accuracy", "--csv", tmp_path / "b.csv")
    assert "70.00" in runs and "71.00" in runs and "±" not in runs
    with (tmp_path / "b.csv").open() as file:
        found = [(row["path"], row["row"], row["seed"], row["mean_accuracy"]) for row in csv.DictReader(file)]
    assert found == [(str(tmp_path / f"x_{seed}"), "x_y", str(seed), f"{70.0 + seed}") for seed in (0, 1)]
    done("table", tmp_path, "--per-run", "--json", tmp_path / "b.json")
    assert [run["w"] for run in json.loads((tmp_path / "b.json").read_text())["runs"]] == [1, 1]


def test_a_column_that_is_none_is_refused_before_anything_is_written(tmp_path: Path):
    write(tmp_path / "a", settings={"temperature": 2.0})
    out = tmp_path / "a.csv"
    words = "table", tmp_path, "--csv", out, "--columns"
    assert mistake(*words, "temprature") == "unknown column 'temprature': did you mean 'temperature'?"
    assert mistake(*words, "mean_accuracy,mean_acc") == "unknown column 'mean_acc': did you mean 'mean_accuracy'?"
    assert "unknown column 'seed'" in mistake(*words, "seed")  # a row has several
    assert "--markdown and --latex" in mistake("table", tmp_path, "--markdown", "--latex")
    assert "--digits" in mistake("table", tmp_path, "--digits", "7")
    assert not out.exists()


def test_a_table_is_not_written_through_a_link(reference: Callable[[str], Path], tmp_path: Path):
    precious, link = tmp_path / "precious.txt", tmp_path / "figures.csv"
    precious.write_text("kept")
    link.symlink_to(precious)
    done("table", reference("lwf"), "--csv", link)
    assert precious.read_text() == "kept"
    assert "lwf" in link.read_text()


def test_a_figures_file_in_no_folder(tmp_path: Path, reference: Callable[[str], Path]):
    result = call("table", reference("lwf"), "--csv", tmp_path / "gone" / "a.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "there is no folder" in result.stderr


def test_a_run_folder_that_is_damaged_costs_no_table(tmp_path: Path):
    write(tmp_path / "good", "a")
    bad = write(tmp_path / "bad", "b").path
    (bad / "metrics.json").write_text("{")
    result = call("table", tmp_path)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"left out: {bad / 'metrics.json'} cannot be read as JSON")
    assert "a " in result.stdout
    assert str(bad) in mistake("table", bad)


def test_a_data_set_that_is_gone_costs_no_table(tmp_path: Path):
    """Of a run of version 0.1, which did not record whether its settings are the published ones."""
    run = write(tmp_path / "old", "lwf", dataset=str(tmp_path / "gone.toml"), cache="c", modality="audio")
    metrics = {key: value for key, value in run.metrics.items() if key != "published"}
    (run.path / "metrics.json").write_text(json.dumps(metrics))
    config = {"method": "lwf", "seed": 0, "dataset": str(tmp_path / "gone.toml"), "cache": "c", "modality": "audio"}
    (run.path / "config.json").write_text(json.dumps({"run": config, "provenance": {}}))
    result = call("table", tmp_path)
    assert result.exit_code == 0
    assert "lwf" in result.stdout
    assert result.stderr.startswith(f"{run.path}: not compared with published figures: ")


def test_runs_of_version_0_1_are_compared_with_the_published_figures(tmp_path: Path):
    """They did not record whether their settings are the published ones."""
    kind, benchmark = find_method("av-cil"), published("ave")
    tasks = split_into_tasks(benchmark.manifest.class_order, 7)
    for name, epochs in (("as published", 200), ("shorter", 3)):
        given = {"dataset": "ave", "cache": "c", "epochs": epochs}
        config = as_plain(*configure(kind, benchmark.protocol, given))
        run = write(tmp_path / name, "av-cil")
        metrics = {key: value for key, value in run.metrics.items() if key != "published"}
        (run.path / "metrics.json").write_text(json.dumps(metrics))
        provenance = {"tasks": [list(task) for task in tasks]}
        (run.path / "config.json").write_text(json.dumps({"run": config, "provenance": provenance}))
    runs = with_published_figures(load_runs(tmp_path))
    assert [run.metrics["published"] for run in runs] == [[74.04, 7.63], None]
