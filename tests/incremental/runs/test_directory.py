"""A run's folder: what is written when, what is refused, and that nothing half-written is ever read."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.files import aside
from avcil.incremental.learning.state import Progress
from avcil.incremental.runs.directory import Keeper, RunDirectory
from avcil.incremental.runs.state_file import read_state, write_state
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG: dict[str, Any] = {"method": "x", "seed": 0, "epochs": 3, "settings": {"temperature": 2.0, "direction": "a"}}


def begun(path: Path, config: dict[str, Any] = CONFIG, **provenance: Any) -> RunDirectory:
    directory = RunDirectory(path, config)
    with directory.alone():
        facts = {
            "cache_fingerprint": "f",
            "clips_sha256": "c",
            "labels_sha256": "l",
            "tasks": [["a"]],
            "plugins": None,
            "computed_in": "bfloat16",
        }
        directory.begin(facts | {"way": "gradient"} | provenance)
    return directory


def refusal(path: Path, config: dict[str, Any] = CONFIG, **provenance: Any) -> str:
    with pytest.raises(InputError) as error:
        begun(path, config, **provenance)
    assert "\n" not in str(error.value)
    assert "choose another --out" in str(error.value)
    return str(error.value)


# ------------------------------------------------------------------------------------------ what is refused


def test_nothing_is_made_until_the_run_begins(tmp_path: Path):
    RunDirectory(tmp_path / "a" / "b", CONFIG)
    assert not (tmp_path / "a").exists()
    begun(tmp_path / "a" / "b")
    assert json.loads((tmp_path / "a" / "b" / "config.json").read_text())["run"] == CONFIG


def test_the_same_configuration_is_let_in_again(tmp_path: Path):
    begun(tmp_path)
    assert not begun(tmp_path).finished


def test_a_folder_where_another_process_runs_is_refused(tmp_path: Path):
    with begun(tmp_path).alone(), pytest.raises(InputError, match="another process runs in"), begun(tmp_path).alone():
        pass
    with begun(tmp_path).alone():
        pass


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"epochs": 4}, "epochs = 3, not 4"),
        ({"method": "y"}, "method = 'x', not 'y'"),
        ({"settings": {"temperature": 1.0, "direction": "a"}}, "temperature = 2.0, not 1.0"),
    ],
)
def test_another_configuration_is_refused_with_the_difference_named(
    tmp_path: Path, changed: dict[str, Any], words: str
):
    begun(tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    assert words in refusal(tmp_path, CONFIG | changed)
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_folder_with_other_things_is_refused(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    assert "is not empty and holds no run" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"run": 3}', '{"run"'])
def test_a_config_file_that_is_none_is_refused_in_one_line(tmp_path: Path, content: str):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as error:
        RunDirectory(tmp_path, CONFIG)
    assert str(tmp_path / "config.json") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cache_fingerprint": "g"}, "features made in another way"),
        ({"clips_sha256": "d"}, "another list of clips"),
        ({"labels_sha256": "m"}, "other labels or splits"),
        ({"computed_in": "float32"}, "arithmetic in another precision"),
        ({"tasks": [["a"], ["b"]]}, "other tasks"),
        ({"plugins": {"/own.py": "0" * 64}}, "another version of a plugin"),
    ],
)
def test_a_run_is_not_resumed_with_other_inputs(tmp_path: Path, changed: dict[str, Any], words: str):
    """Same names of files, other content: the state counts clips by number."""
    directory = begun(tmp_path)
    directory.keep(Progress())
    assert words in refusal(tmp_path, **changed)
    begun(tmp_path)
    (tmp_path / "state.pt").unlink()
    begun(tmp_path, **changed)  # nothing learnt yet that could be mixed up


# ------------------------------------------------------------------------------------ half-written and lost


def test_what_a_killed_writer_left_is_passed_over_and_removed(tmp_path: Path):
    """Under the names that this version gives to unfinished files; whatever else lies there is left alone."""
    directory = begun(tmp_path)
    (tmp_path / "weights").mkdir()
    left = [aside(tmp_path / name) for name in ("state.pt", "config.json", "weights/task-01.safetensors")]
    others = [tmp_path / name for name in ("state.pt.part", "notes.part", "weights/.tmpAbCd12")]
    for path in left + others:
        path.write_bytes(b"half")
    with directory.alone():
        assert directory.progress(3) is None
    assert not directory.finished
    assert [path.exists() for path in left + others] == [False] * 3 + [True] * 3
    directory.keep(Progress(epoch=2))
    assert directory.progress(3) == Progress(epoch=2)


def finished_task(number: int = 1, epoch: int = 0) -> Progress:
    """As after `number` tasks of two test clips each."""
    return Progress(
        task=number + 1,
        epoch=epoch,
        method={"w": torch.rand(2)} if epoch else None,
        finished={"w": torch.full((2,), float(number))},
        memories=[{}] * number,
        predictions=[(torch.tensor([1, 2]), torch.rand(2, 3))] * number,
        chosen_epochs=[3] * number,
    )


def test_weights_that_were_damaged_are_written_again_or_the_run_is_refused(tmp_path: Path):
    """Those of the last task are in the state; older ones a resumed run would not make again."""
    directory = begun(tmp_path)
    directory.keep(finished_task(1))
    directory.keep(finished_task(2))
    directory.keep(finished_task(2, epoch=1))
    first, second = (tmp_path / "weights" / f"task-0{number}.safetensors" for number in (1, 2))
    whole = second.read_bytes()
    for damage in (b"", whole[:-1] + b"x"):
        second.write_bytes(damage)
        assert begun(tmp_path).progress(3) is not None
        assert second.read_bytes() == whole
    second.unlink()
    assert begun(tmp_path).progress(3) is not None
    assert second.read_bytes() == whole
    first.write_bytes(b"")
    with pytest.raises(InputError, match=r"task-01\.safetensors is damaged") as error:
        begun(tmp_path).progress(3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("planted", ["state.pt", "weights", "config.json"])
def test_nothing_is_written_through_a_link(tmp_path: Path, planted: str):
    victim = tmp_path / "victim"
    victim.mkdir() if planted == "weights" else victim.write_text("mine")
    out = tmp_path / "out"
    directory = begun(out)
    (out / planted).unlink(missing_ok=True)
    (out / planted).symlink_to(victim)
    if planted == "weights":
        with pytest.raises(InputError, match="is a link, and nothing is written through links"):
            directory.keep(finished_task())
        assert list(victim.iterdir()) == []
        return
    if planted == "config.json":
        victim.write_text(json.dumps({"run": CONFIG, "provenance": {}}))
        before = victim.read_text()
        begun(out)
    else:
        before = victim.read_text()
        directory.keep(finished_task())
    assert victim.read_text() == before
    assert not (out / planted).is_symlink()


def test_a_file_where_a_folder_has_to_be_is_named(tmp_path: Path):
    directory = begun(tmp_path / "out")
    (tmp_path / "out" / "weights").write_text("mine")
    with pytest.raises(InputError, match="weights is a file, and a folder has to be there: move it away"):
        directory.keep(finished_task())


def test_states_are_written_after_tasks_and_when_enough_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    directory = begun(tmp_path)
    written: list[tuple[int, int]] = []
    monkeypatch.setattr(directory, "keep", lambda progress: written.append((progress.task, progress.epoch)))
    keeper = Keeper(directory, 30)
    run: Any = SimpleNamespace(epochs=10)
    for seconds, task, epoch in ((110, 1, 1), (129, 1, 2), (130, 1, 3), (140, 1, 4), (141, 2, 0), (170, 2, 1)):
        now[0] = seconds
        (keeper.epoch_ended if epoch else keeper.task_ended)(run, Progress(task=task, epoch=epoch))
    now[0] = 171
    keeper.epoch_ended(run, Progress(task=2, epoch=2))
    assert written == [(1, 3), (2, 0), (2, 2)]
    every = Keeper(directory, 0)
    written.clear()
    for epoch in (1, 10):  # the last epoch's state comes with its task
        every.epoch_ended(run, Progress(task=3, epoch=epoch))
    assert written == [(3, 1)]


# ------------------------------------------------------------------------------------------------ a whole run


def test_a_finished_run_is_not_overwritten(made: Made, tmp_path: Path):
    synthetic.run(made, "fine-tuning", tmp_path / "out", epochs=1)
    files = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert synthetic.run(made, "fine-tuning", tmp_path / "out", epochs=1) == metrics
    with pytest.raises(InputError, match="epochs = 1, not 2"):
        synthetic.run(made, "fine-tuning", tmp_path / "out", epochs=2)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == files


def test_what_another_process_did_before_the_lock_was_ours_counts(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may have finished the run, or have begun another one."""
    alone = RunDirectory.alone
    others_now: list[int] = []

    @contextmanager
    def late(directory: RunDirectory) -> Iterator[None]:
        if others_now:
            synthetic.run(made, "fine-tuning", directory.path, epochs=others_now.pop())
        with alone(directory):
            yield

    monkeypatch.setattr(RunDirectory, "alone", late)
    others_now.append(1)
    metrics = synthetic.run(made, "fine-tuning", tmp_path / "same", epochs=1)
    assert json.loads((tmp_path / "same" / "metrics.json").read_text()) == metrics
    others_now.append(2)
    with pytest.raises(InputError, match="holds a run with epochs = 2, not 1"):
        synthetic.run(made, "fine-tuning", tmp_path / "other", epochs=1)


def test_a_folder_of_several_seeds_is_told_as_one(made: Made, tmp_path: Path):
    synthetic.run(made, "fine-tuning", tmp_path / "seed-3", epochs=1)
    assert "holds runs of several seeds: give --seeds to go on" in refusal(tmp_path)


def test_the_state_of_a_run_killed_between_its_metrics_and_its_end_is_removed(
    made: Made, tmp_path: Path, reference: Callable[[str], Path]
):
    out = tmp_path / "out"
    shutil.copytree(reference("fine-tuning"), out)
    (out / "state.pt").write_bytes(b"what the run was resumed from")
    synthetic.run(made, "fine-tuning", out)
    assert not (out / "state.pt").exists()
    assert synthetic.differing(reference("fine-tuning"), out) == []


class _Stopped(Exception):  # noqa: N818 - no error
    """Between two epochs."""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.update(finished={"nothing": torch.zeros(1)}), "does not fit the method fine-tuning"),
        (
            lambda state: state.update(finished={name: one[None] for name, one in state["finished"].items()}),
            "does not fit",
        ),
        (lambda state: state.update(method={name: one[None] for name, one in state["method"].items()}), "does not fit"),
        (lambda state: state.update(memory={0: [10**6]}), "exemplars that are not among the run's clips"),
    ],
)
def test_a_state_that_does_not_fit_the_run_is_refused(
    made: Made, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
):
    def report(progress: Progress) -> None:
        if (progress.task, progress.epoch) == (2, 1):
            raise _Stopped

    with pytest.raises(_Stopped):
        synthetic.run(made, "fine-tuning", tmp_path / "out", report)
    progress, weights = read_state(tmp_path / "out" / "state.pt", 3)
    change(vars(progress))
    write_state(tmp_path / "out" / "state.pt", progress, weights)
    with pytest.raises(InputError, match=words) as error:
        synthetic.run(made, "fine-tuning", tmp_path / "out")
    assert str(error.value).endswith("delete state.pt in its folder to begin the run again")


def test_what_a_finished_run_holds(made: Made, reference: Callable[[str], Path]):
    out = reference("av-cil")
    listing = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    tasks = (1, 2, 3)
    assert listing == {
        *(".lock", "config.json", "metrics.json", "history.csv", "predictions.csv", "scores.safetensors"),
        *("class_accuracy.csv", "confusion_matrix.csv"),
        *(f"weights/task-{number:02d}.safetensors" for number in tasks),
        *(f"memory/task-{number:02d}.csv" for number in tasks),
    }
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics.keys() >= {
        *("mean_accuracy", "average_forgetting", "last_accuracy", "accuracy_by_task", "accuracy_matrix", "seconds"),
        *("peak_memory_bytes", "class_balanced_mean_accuracy", "backward_transfer", "nonnegative_forgetting"),
        *("first_minus_last_forgetting", "model_choice", "chosen_epochs", "seed", "random_encoder_weights"),
    }
    assert metrics["peak_memory_bytes"] > 10**7
    content = json.loads((out / "config.json").read_text())
    assert content["run"]["settings"]["lambda_instance"] == 0.5
    provenance = content["provenance"]
    assert provenance["cache_made_by"] == synthetic.FACTS
    assert provenance["random_encoder_weights"] is True
    assert provenance["sha256"]["manifest"] == hashlib.sha256(made.manifest.read_bytes()).hexdigest()
    assert provenance["computed_in"] == "float32"
    assert {"torch", "numpy", "python", "avcil"} <= provenance["versions"].keys()


def test_figures_can_be_worked_out_again_from_the_files(reference: Callable[[str], Path]):
    out = reference("icarl-nme")
    metrics = json.loads((out / "metrics.json").read_text())
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    scores = load_file(out / "scores.safetensors")
    for task in (1, 2, 3):
        after = [row for row in rows if row["after_task"] == str(task)]
        assert len({row["video_id"] for row in after}) == len(after) == 6 * task
        right = [row["label"] == row["predicted"] for row in after]
        assert metrics["accuracy_by_task"][task - 1] == pytest.approx(100 * sum(right) / len(right))
        assert all(row["label"] == f"class {int(row['video_id'][1:3]):02d}" for row in after)
        answers = scores[f"after_task_{task:02d}"]
        assert answers.shape == (6 * task, 2 * task)
        assert [f"class {label:02d}" for label in answers.argmax(dim=1)] == [row["predicted"] for row in after]
    with (out / "confusion_matrix.csv").open() as file:
        confusion = list(csv.DictReader(file))
    with (out / "class_accuracy.csv").open() as file:
        by_class = {row["label"]: row for row in csv.DictReader(file)}
    for line in confusion:
        of_class = [row for row in after if row["label"] == line["label"]]
        for name in by_class:
            assert int(line[name]) == sum(row["predicted"] == name for row in of_class)
        assert int(by_class[line["label"]]["test_clips"]) == len(of_class)
        accuracy = 100 * int(line[line["label"]]) / len(of_class)
        assert float(by_class[line["label"]]["accuracy"]) == pytest.approx(accuracy)


def test_history_and_memory_on_disk(made: Made, reference: Callable[[str], Path]):
    out = reference("icarl-fc")
    with (out / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [(row["task"], row["epoch"]) for row in history] == [(t, e) for t in "123" for e in "12"]
    assert [bool(row["distillation"]) for row in history] == [False] * 2 + [True] * 4  # none in the first task
    for task, share in ((1, 4), (2, 2), (3, 1)):
        with (out / "memory" / f"task-{task:02d}.csv").open() as file:
            memory = list(csv.DictReader(file))
        assert [row["place"] for row in memory] == [str(place + 1) for place in range(share)] * (2 * task)
        assert all(row["video_id"].startswith(f"c{row['label'][-2:]}_train_") for row in memory)
