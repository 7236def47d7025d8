import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.incremental.cli import main
from avcil.incremental.results.metrics import FIGURES
from avcil.incremental.runs.evaluation import evaluate
from avcil.incremental.runs.trained import load_trained
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made
from click.testing import CliRunner, Result

pytestmark = pytest.mark.usefixtures("one_thread")

SERIES = ("accuracy_by_task", "forgetting_by_task", "accuracy_matrix")


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("method", ["av-cil", "icarl-nme", "ridge"])
def test_its_own_test_clips_give_the_runs_own_figures_and_answers(
    method: str, made: Made, reference: Callable[[str], Path], tmp_path: Path
):
    run = reference(method)
    found = evaluate(load_trained(run, device="cpu"), made.manifest, made.cache)
    expected = json.loads((run / "metrics.json").read_text())
    assert found.figures() == {name: expected[name] for name in (*FIGURES, *SERIES)}
    found.write_answers(tmp_path / "answers.csv")
    assert (tmp_path / "answers.csv").read_text() == (run / "predictions.csv").read_text()
    assert found.missing == ()


def test_clips_of_some_classes_only(made: Made, reference: Callable[[str], Path], tmp_path: Path):
    """Classes 2 and 5 of six, in a list without training clips, one of whose clips the cache lacks."""
    ids = [synthetic.clip_id(label, "val", number) for label in (5, 2) for number in (0, 1)]
    rows = [(clip, f"class {clip[1:3]}", "test") for clip in ids] + [("nowhere", "class 02", "test")]
    listed = synthetic.write_csv(tmp_path / "other.csv", ("video_id", "label", "split"), rows)
    found = evaluate(load_trained(reference("ridge"), device="cpu"), listed, made.cache)
    assert found.lacking() == [1]
    assert [clip.id for clip in found.missing] == ["nowhere"]
    assert [answers.clips.tolist() for answers in found.after] == [[], [2, 3], [0, 1, 2, 3]]
    last = found.after[-1]
    assert last.labels.tolist() == [5, 5, 2, 2]
    right = sum(last.predicted == last.labels)
    assert found.figures() == {"last_accuracy": pytest.approx(25 * right)}

    out, answers = tmp_path / "out.json", tmp_path / "out.csv"
    words = ("evaluate", reference("ridge"), "--manifest", listed, "--cache", made.cache, "--device", "cpu")
    result = call(*words, "--json", out, "--csv", answers)
    assert result.exit_code == 0, result.output
    assert "not in the cache and left out: 1 clip: class 02 1" in result.stdout
    assert "no clip of the classes of task 1: only the accuracy after the last task can be told" in result.stdout
    assert f"{25 * right:.2f}" in result.stdout
    assert "RANDOM weights" in result.stdout
    document = json.loads(out.read_text())
    assert (document["clips"], document["missing_clips"], document["method"]) == (4, 1, "ridge")
    assert document["last_accuracy"] == pytest.approx(25 * right)
    assert document["class_accuracy"]["class 00"] is None
    with answers.open() as file:
        assert [row["after_task"] for row in csv.DictReader(file)] == ["2", "2", "3", "3", "3", "3"]


def test_clips_that_the_run_learnt_from_are_told(made: Made, reference: Callable[[str], Path], tmp_path: Path):
    ids = [synthetic.clip_id(0, "train", 0), synthetic.clip_id(0, "train", 1), synthetic.clip_id(0, "val", 0)]
    listed = synthetic.write_csv(
        tmp_path / "other.csv", ("video_id", "label", "split"), [(clip, "class 00", "test") for clip in ids]
    )
    assert evaluate(load_trained(reference("ridge"), device="cpu"), made.manifest, made.cache).trained_on == 0
    words = ("evaluate", reference("ridge"), "--manifest", listed, "--cache", made.cache, "--device", "cpu")
    assert "training clips of the run among these: 2; this is no test of it" in call(*words).stdout
    run = tmp_path / "moved"
    shutil.copytree(reference("ridge"), run)
    config = json.loads((run / "config.json").read_text())
    config["run"]["manifest"] = str(tmp_path / "gone.csv")
    (run / "config.json").write_text(json.dumps(config))
    result = call("evaluate", run, "--manifest", listed, "--cache", made.cache, "--device", "cpu")
    assert "whether it learnt from some of these clips is not known" in result.stdout


def test_another_split(made: Made, reference: Callable[[str], Path]):
    found = evaluate(load_trained(reference("ridge"), device="cpu"), made.manifest, made.cache, "val")
    assert len(found.clips) == 12


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("c00_test_00", "class 0x", "test"), r"other.csv row 2: unknown label 'class 0x': did you mean 'class 0"),
        (("c00_test_00", "class 00", "val"), r"other.csv has no test clips$"),
        (("nowhere", "class 00", "test"), r"holds none of the 1 test clips of "),
    ],
)
def test_lists_that_do_not_fit(
    row: tuple[str, str, str], words: str, made: Made, reference: Callable[[str], Path], tmp_path: Path
):
    listed = synthetic.write_csv(tmp_path / "other.csv", ("video_id", "label", "split"), [row])
    with pytest.raises(InputError, match=words):
        evaluate(load_trained(reference("ridge"), device="cpu"), listed, made.cache)


def test_features_made_in_another_way(made: Made, reference: Callable[[str], Path], tmp_path: Path):
    other = synthetic.make(tmp_path / "other", facts=synthetic.FACTS | {"storage": "float16"})
    result = call("evaluate", reference("ridge"), "--manifest", other.manifest, "--cache", other.cache)
    assert result.exit_code == 2
    assert "made in another way" in result.stderr
    assert 'storage: "float16" here, "float32" there' in result.stderr


def test_rescoring(made: Made, reference: Callable[[str], Path], tmp_path: Path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "metrics = {'answers': lambda after: sum(len(one.clips) for one in after), 'none': lambda a: None}"
    )
    run, out = reference("ridge"), tmp_path / "out.csv"
    result = call("rescore", run, "--plugin", plugin, "--csv", out)
    assert result.exit_code == 0, result.output
    assert "36.00" in result.stdout
    assert out.read_text() == f"path,answers,none\n{run},36.0,\n"
    result = call("rescore", run, "--plugin", plugin, "--csv", tmp_path / "no" / "out.csv")
    assert result.stderr == f"error: --csv {tmp_path}/no/out.csv: there is no folder {tmp_path}/no\n"
