"""A finished run answers for any features as it did for its own test clips."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from avcil.cache import FeatureCache
from avcil.errors import InputError
from avcil.incremental.methods import all_methods
from avcil.incremental.runs.trained import load_trained
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import SOLVED, SOME, Made
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = {*SOME, *SOLVED, "icarl-nme"}
METHODS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in all_methods()]


def predictions(run: Path) -> dict[int, list[tuple[str, str]]]:
    """(clip, predicted label) after each task, as the run wrote them."""
    found: dict[int, list[tuple[str, str]]] = {}
    with (run / "predictions.csv").open() as file:
        for row in csv.DictReader(file):
            found.setdefault(int(row["after_task"]), []).append((row["video_id"], row["predicted"]))
    return found


@pytest.mark.parametrize("method", METHODS)
def test_after_every_task_it_answers_as_the_run_did(method: str, made: Made, reference: Callable[[str], Path]):
    """All readouts: classifiers, nearest means of exemplars, proxies, ridge regression."""
    run = reference(method)
    saved, answers, cache = load_file(run / "scores.safetensors"), predictions(run), FeatureCache(made.cache)
    trained = load_trained(run, device="cpu")
    assert trained.task == len(answers) == 3
    for number, expected in answers.items():
        then = trained.after(number)
        scores = then.scores(cache, [clip for clip, _ in expected])
        torch.testing.assert_close(scores.float(), saved[f"after_task_{number:02d}"], rtol=1e-5, atol=1e-5)
        assert [then.classes[place] for place in scores.argmax(dim=1)] == [label for _, label in expected]


def test_classes_come_task_by_task(reference: Callable[[str], Path]):
    trained = load_trained(reference("ridge"), task=2, device="cpu")
    assert trained.classes == tuple(f"class {label:02d}" for label in range(4))
    assert trained.after(None).classes == tuple(f"class {label:02d}" for label in range(6))
    assert trained.random_weights


def test_only_classifiers_trained_by_cross_entropy_give_probabilities():
    kinds = all_methods()
    without = {name for name, kind in kinds.items() if not kind.scores_are_logits}
    assert {*SOLVED, "icarl-nme", "afc-nme", "afc-lsc"} == without
    assert {"av-cil", "ss-il", "icarl-fc", "fine-tuning"}.isdisjoint(without)


@pytest.mark.parametrize("task", [0, 4, -1])
def test_a_task_that_is_not_there(task: int, reference: Callable[[str], Path]):
    with pytest.raises(InputError, match=rf"has tasks 1 to 3, and no task {task}$"):
        load_trained(reference("ridge"), task=task)


def test_a_folder_of_several_runs_or_none(reference: Callable[[str], Path], tmp_path: Path):
    for seed in (0, 1):
        shutil.copytree(reference("ridge"), tmp_path / f"seed-{seed}")
    with pytest.raises(InputError, match=r"holds 2 runs, and one is wanted, such as .*seed-0$"):
        load_trained(tmp_path)
    with pytest.raises(InputError, match="no finished run there"):
        load_trained(tmp_path / "seed-0" / "memory")


def test_weights_that_are_gone_damaged_or_of_other_features(
    made: Made, reference: Callable[[str], Path], tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(reference("ridge"), run)
    wider = synthetic.make(tmp_path / "wider", shape=(2, 3, 9))
    cache, other = FeatureCache(made.cache), FeatureCache(wider.cache)
    with pytest.raises(InputError, match="does not fit method 'ridge' on features of 9 visual and 16 audio channels"):
        load_trained(run, device="cpu").scores(other, other.ids[:1])
    weights = run / "weights" / "task-03.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match=r"task-03.safetensors cannot be read \("):
        load_trained(run, device="cpu").scores(cache, cache.ids[:1])
    weights.unlink()
    with pytest.raises(InputError, match=r"task-03.safetensors is not there: .* as after task 3"):
        load_trained(run, device="cpu").scores(cache, cache.ids[:1])


def test_a_plugin_that_has_moved_is_given_anew(made: Made, tmp_path: Path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from avcil.incremental import Method\nclass Mine(Method):\n    name = 'mine'\n    paper = 'none'\n"
    )
    synthetic.run(made, "mine", tmp_path / "run", plugins=(str(plugin),))
    moved = plugin.rename(tmp_path / "moved.py")
    with pytest.raises(InputError, match=r"mine.py: no such file"):
        load_trained(tmp_path / "run")
    cache = FeatureCache(made.cache)
    assert load_trained(tmp_path / "run", plugins=[moved], device="cpu").scores(cache, cache.ids[:2]).shape == (2, 6)
