"""`avcil-incr reproduce` as a user meets it, on a small data set."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from avcil.incremental.cli import main
from avcil.incremental.learning.state import Stopped
from avcil.incremental.methods.av_cil import AvCil
from avcil.incremental.reproduce import execution
from avcil.incremental.results.files import METRICS
from avcil.incremental.runs.call import run
from avcil.tests.incremental.synthetic import Made
from click.testing import CliRunner, Result

SETTINGS = (
    *("--epochs", "1", "--batch-size", "8", "--memory-batch-size", "4", "--memory-size", "6"),
    *("--device", "cpu", "--precision", "float32"),
)


def call(target: str, made: Made, out: Path, *more: str, classes: str | None = "2") -> Result:
    words = ["reproduce", target, "--manifest", str(made.manifest), "--cache", str(made.cache), "--out", str(out)]
    words += [] if classes is None else ["--classes-per-task", classes]
    kept = list(SETTINGS)
    if target == "figure6":
        place = kept.index("--memory-size")
        del kept[place : place + 2]
    return CliRunner().invoke(main, [*words, *kept, *more])


def finished(out: Path) -> set[str]:
    return {str(path.parent.relative_to(out)) for path in out.rglob(METRICS)}


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_is_run_once_shared_with_others_and_written(made: Made, tmp_path: Path):
    out = tmp_path / "out"
    listed = call("table8", made, out, "--dry-run", "--seeds", "2")
    assert listed.exit_code == 0, listed.output
    assert "6 of 6 runs to do; time left unknown" in listed.stdout
    assert not out.exists()

    first = call("table8", made, out, "--seeds", "2")
    assert first.exit_code == 0, first.output
    assert "0 runs there already, 6 run now, 0 failed" in first.stdout
    assert len(finished(out)) == 6
    lines = records(out / f"table8-{made.manifest.stem}.csv")
    assert [line["row"] for line in lines] == ["D-AVSC only", "Grad-CAM distillation", "VAD"]
    for line in lines:
        assert line["runs"] == "2"
        assert line["mean_accuracy_published"] == line["mean_accuracy_difference"] == ""  # a list of one's own
    values: dict[str, list[float]] = {}
    for folder in finished(out):
        content = json.loads((out / folder / "config.json").read_text())["run"]
        kind = content["settings"]["attention_distillation"]
        values.setdefault(kind, []).append(json.loads((out / folder / METRICS).read_text())["mean_accuracy"])
    one, other = values["vad"]
    assert float(lines[2]["mean_accuracy"]) == pytest.approx((one + other) / 2)
    # Student's t with one degree of freedom, times the deviation |a - b| / sqrt(2), by the root of 2.
    assert float(lines[2]["mean_accuracy_interval95"]) == pytest.approx(12.7062 * abs(one - other) / 2, rel=1e-4)
    assert "| VAD" in (out / f"table8-{made.manifest.stem}.md").read_text()
    assert r"\toprule" in (out / f"table8-{made.manifest.stem}.tex").read_text()

    again = call("table8", made, out, "--seeds", "2")
    assert "6 runs there already, 0 run now, 0 failed" in again.stdout
    listed = call("table3", made, out, "--dry-run", "--seeds", "2")
    assert "12 of 16 runs to do; about" in listed.stdout
    assert listed.stdout.count("finished") == 4


def test_a_run_that_fails_is_told_at_the_end_and_the_others_go_on(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(self: Any, *given: Any) -> Any:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(AvCil, "loss", broken)
    result = call("table1", made, tmp_path / "out", "--set", "lambda_class=0.5")
    assert result.exit_code == 1
    assert "8 run now, 1 failed" in result.stdout
    assert result.stderr.splitlines()[-1].endswith("RuntimeError: no such luck")
    monkeypatch.undo()
    result = call("table1", made, tmp_path / "out", "--set", "lambda_class=0.5")
    assert result.exit_code == 0, result.output
    assert "8 runs there already, 1 run now, 0 failed" in result.stdout


def test_a_stopped_table_goes_on_from_there(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ran = run
    calls = []

    def stopping(*given: Any, **more: Any) -> Any:
        calls.append(given[1])
        if len(calls) == 2:
            raise Stopped
        return ran(*given, **more)

    monkeypatch.setattr(execution, "run_configured", stopping)
    result = call("table8", made, tmp_path / "out")
    assert result.exit_code == 128
    assert "the same command goes on from there" in result.stderr
    assert len(finished(tmp_path / "out")) == 1
    result = call("table8", made, tmp_path / "out")
    assert "1 run there already, 2 run now, 0 failed" in result.stdout


def test_finished_runs_of_other_features_are_no_part_of_the_table(made: Made, tmp_path: Path):
    assert call("table8", made, tmp_path / "out").exit_code == 0
    for path in (tmp_path / "out").rglob("config.json"):
        content = json.loads(path.read_text())
        content["provenance"]["cache_fingerprint"] = "0" * 64
        path.write_text(json.dumps(content))
    result = call("table8", made, tmp_path / "out")
    assert result.exit_code == 1
    assert "0 runs there already, 0 run now, 3 failed" in result.stdout
    assert "features made in another way; choose another --out" in result.stderr


def test_curves_and_memory_sweeps_are_written_as_data_and_drawn(made: Made, tmp_path: Path):
    out, name = tmp_path / "out", made.manifest.stem
    result = call("figure7", made, out)
    assert result.exit_code == 0, result.output
    lines = records(out / f"figure7-{name}.csv")
    assert [(line["row"], line["task"]) for line in lines[:4]] == [
        *(("D-AVSC only", str(task)) for task in (1, 2, 3)),
        ("Grad-CAM distillation", "1"),
    ]
    result = call("figure6", made, out, "--memory-sizes", "3,6")
    assert result.exit_code == 0, result.output
    lines = records(out / f"figure6-{name}.csv")
    assert {line["memory_size"] for line in lines} == {"3", "6"}
    for figure in ("figure6", "figure7"):
        assert (out / f"{figure}-{name}.pdf").read_bytes().startswith(b"%PDF")


def test_clips_that_the_cache_lacks_are_counted_beside_the_table(made: Made, tmp_path: Path):
    clips = tmp_path / "more.csv"
    clips.write_text(made.manifest.read_text() + "nowhere_1,class 00,train\nnowhere_2,class 01,test\n")
    result = call("figure7", Made(clips, made.cache), tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Not in the cache and left out: 2 clips of the list" in result.stdout


def test_rows_that_a_list_cannot_have_are_left_out_with_a_word(made: Made, tmp_path: Path):
    clips, classes = tmp_path / "few.csv", ("class 00", "class 01", "class 02", "class 03", "class 04")
    lines = made.manifest.read_text().splitlines()
    clips.write_text("\n".join([lines[0], *(line for line in lines if line.split(",")[1] in classes)]))
    few = Made(clips, made.cache)
    result = call("table7", few, tmp_path / "out", "--dry-run", classes=None)
    assert result.exit_code == 0, result.output
    assert "9 of 9 runs to do" in result.stdout
    assert "left out: Fine-tuning, 5 classes a task: 5 classes make no two tasks of 5" in result.stdout


@pytest.mark.parametrize(
    ("target", "more", "said"),
    [
        ("tabel1", (), "did you mean 'table1'?"),
        ("table3", ("--set", "lambda_class=0.5"), "lambda_class is what the rows of table3 differ in: leave it out"),
        ("table7", (), "classes_per_task is what the rows of table7 differ in: leave it out"),
        ("table1", ("--memory-sizes", "3,6"), "--memory-sizes is for figure6, not for table1"),
        ("figure6", ("--memory-sizes", "3"), "--memory-sizes takes two or more numbers"),
        ("table1", ("--set", "epoch=3"), "unknown setting 'epoch': did you mean 'epochs'?"),
        ("table1", ("--set", "epochs=3"), "epochs cannot be given by --set here"),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_written(
    made: Made, tmp_path: Path, target: str, more: tuple[str, ...], said: str
):
    result = call(target, made, tmp_path / "out", *more)
    assert result.exit_code == 2
    assert said in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_published_figures_stand_beside_and_other_settings_are_told(tmp_path: Path):
    """No features are needed to plan: the rows of a published data set and how far they are from its settings."""
    from avcil.incremental.reproduce.comparison import comparison, remarks
    from avcil.incremental.reproduce.plan import make_plan
    from avcil.incremental.reproduce.targets import target_of

    given = {"dataset": "ave", "cache": str(tmp_path / "cache")}
    as_published = make_plan(target_of("table1", "ave"), given, tmp_path / "out")
    assert all(row.departs is None for row in as_published.rows)
    quick = make_plan(target_of("table1", "ave"), {**given, "epochs": 2}, tmp_path / "out")
    assert quick.rows[0].departs == "epochs = 2, published 150"
    early = make_plan(target_of("table1", "ave"), {**given, "patience": 9}, tmp_path / "out")
    assert early.rows[0].departs == "patience = 9, published None"
    off = make_plan(target_of("table1", "ave"), {**given, "patience": None, "validate_every": 1}, tmp_path / "out")
    assert [run.folder for run in off.runs] == [run.folder for run in as_published.runs]
    rows = [(row, None) for row in quick.rows]
    assert any(
        "Not the published settings in 9 of 9 rows: Fine-tuning: epochs = 2" in line for line in remarks(quick, rows)
    )
    grid = comparison(rows)
    assert [column.cells[7] for column in grid.columns] == ["AV-CIL", "-", "74.04", "-", "-", "7.63", "-", "0"]
    shared = {run.folder for run in as_published.runs} & {
        run.folder for run in make_plan(target_of("table3", "ave"), given, tmp_path / "out").runs
    }
    assert len(shared) == 1  # AV-CIL itself
    assert not (tmp_path / "out").exists()


def test_a_figure_on_which_the_paper_disagrees_with_itself_is_named(tmp_path: Path):
    from avcil.incremental.reproduce.comparison import records as lines_of
    from avcil.incremental.reproduce.comparison import remarks
    from avcil.incremental.reproduce.plan import make_plan
    from avcil.incremental.reproduce.targets import target_of

    said = {}
    for dataset in ("ave", "kinetics-sounds", "vggsound100"):
        given = {"dataset": dataset, "cache": str(tmp_path / "cache")}
        plan = make_plan(target_of("table1", dataset), given, tmp_path / "out")
        rows = [(row, None) for row in plan.rows]
        said[dataset] = [line for line in remarks(plan, rows) if line.startswith("In paper, ")]
        of_file = {line["row"]: line["published_contested"] for line in lines_of(rows) if line["published_contested"]}
        assert len(of_file) == len(said[dataset])
    assert said["ave"] == []
    assert said["kinetics-sounds"] == ["In paper, iCaRL-FC, 65.54: the paper prints both 65.05 and 65.54."]
    assert [line.partition(":")[0] for line in said["vggsound100"]] == [
        "In paper, iCaRL-NME, 56.19", "In paper, AFC-NME, 61.41", "In paper, AFC-LSC, 57.76"
    ]  # fmt: skip
