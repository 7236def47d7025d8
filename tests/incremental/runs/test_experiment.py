"""Whole runs on data that is small and awkward, by every method; and what of it is refused."""

import csv
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.cache import CacheWriter, Fingerprint
from avcil.errors import InputError
from avcil.incremental.learning.gradient import GradientLearning
from avcil.incremental.runs.experiment import run_once
from avcil.incremental.runs.problem import load_problem
from avcil.manifests import published, shuffled_class_order
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import METHODS, QUICK_FIRST, Made
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("one_thread")


def sound(out: Path, metrics: Mapping[str, Any]) -> None:
    """A run that is whole: every figure is a number in its range, every score finite."""
    tasks = json.loads((out / "config.json").read_text())["provenance"]["tasks"]
    assert len(metrics["accuracy_by_task"]) == len(metrics["accuracy_matrix"]) == len(tasks)
    assert [len(row) for row in metrics["accuracy_matrix"]] == list(range(1, len(tasks) + 1))
    every = [metrics["mean_accuracy"], metrics["last_accuracy"]]
    for row in metrics["accuracy_matrix"]:
        every += row
    assert all(0 <= figure <= 100 for figure in every)
    forgetting = metrics["average_forgetting"]
    assert forgetting is None if len(tasks) == 1 else -100 <= forgetting <= 100
    scores = load_file(out / "scores.safetensors")
    seen = 0
    for number, names in enumerate(tasks, start=1):
        seen += len(names)
        assert scores[f"after_task_{number:02d}"].shape[1] == seen
    weights = [load_file(path) for path in sorted((out / "weights").iterdir())]
    assert len(weights) == len(tasks)
    for tensors in (scores, *weights):
        assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    with (out / "history.csv").open() as file:
        values = [value for row in csv.DictReader(file) for value in row.values() if value]
    assert all(math.isfinite(float(value)) for value in values)


def memory_of(out: Path, task: int) -> dict[str, list[str]]:
    with (out / "memory" / f"task-{task:02d}.csv").open() as file:
        held: dict[str, list[str]] = {}
        for row in csv.DictReader(file):
            held.setdefault(row["label"], []).append(row["video_id"])
    return held


def refusal(made: Made, tmp_path: Path, method: str = "fine-tuning", **given: Any) -> str:
    with pytest.raises(InputError) as error:
        synthetic.run(made, method, tmp_path / "refused", **given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "refused").exists()
    return str(error.value)


# --------------------------------------------------------------------------------- awkward, for every method


@pytest.fixture(scope="session")
def scarce(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Classes of one, two or eight training clips."""
    return synthetic.make(
        tmp_path_factory.mktemp("scarce"), counts=lambda label: {"train": (1, 8, 2)[label % 3], "val": 1, "test": 2}
    )


@pytest.mark.parametrize("method", QUICK_FIRST)
def test_a_class_with_fewer_clips_than_its_share_of_the_memory(scarce: Made, tmp_path: Path, method: str):
    metrics = synthetic.run(scarce, method, tmp_path / "out", memory_size=24, epochs=1)
    sound(tmp_path / "out", metrics)
    counts = {name: len(clips) for name, clips in memory_of(tmp_path / "out", 3).items()}
    assert counts == {f"class {label:02d}": min(4, (1, 8, 2)[label % 3]) for label in range(6)}


@pytest.mark.parametrize("method", QUICK_FIRST)
def test_training_set_and_memory_smaller_than_a_batch(scarce: Made, tmp_path: Path, method: str):
    metrics = synthetic.run(
        scarce, method, tmp_path / "out", batch_size=256, memory_batch_size=128, evaluation_batch_size=128, epochs=1
    )
    sound(tmp_path / "out", metrics)


@pytest.mark.parametrize("memory_size", [3, 1, 0])
@pytest.mark.parametrize("method", QUICK_FIRST)
def test_a_memory_smaller_than_the_number_of_classes(scarce: Made, tmp_path: Path, method: str, memory_size: int):
    """3: one clip of each class in the first task and none afterwards; 1 and 0: none at all."""
    metrics = synthetic.run(scarce, method, tmp_path / "out", memory_size=memory_size, epochs=1)
    sound(tmp_path / "out", metrics)
    held = [sum(map(len, memory_of(tmp_path / "out", task).values())) for task in (1, 2, 3)]
    assert held == [2 * (memory_size // 2), 0, 0]


@pytest.mark.parametrize("method", QUICK_FIRST)
def test_one_task_only(scarce: Made, tmp_path: Path, method: str):
    metrics = synthetic.run(scarce, method, tmp_path / "out", classes_per_task=6, epochs=1)
    sound(tmp_path / "out", metrics)
    for figure in ("average_forgetting", "backward_transfer", "nonnegative_forgetting", "first_minus_last_forgetting"):
        assert metrics[figure] is None
    assert metrics["mean_accuracy"] == metrics["last_accuracy"]


@pytest.mark.parametrize("modality", ["audio", "visual"])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "av-cil"])
def test_one_modality(made: Made, tmp_path: Path, method: str, modality: str):
    metrics = synthetic.run(made, method, tmp_path / "out", modality=modality, epochs=1)
    sound(tmp_path / "out", metrics)
    assert metrics["modality"] == modality
    names = load_file(tmp_path / "out" / "weights" / "task-03.safetensors").keys()
    other = {"audio": "visual", "visual": "audio"}[modality]
    assert any(modality in name for name in names)
    assert not any(other in name or "attention" in name for name in names)


@pytest.mark.parametrize("vad", ["vad", "none", "grad-cam"])
@pytest.mark.parametrize(("instance", "of_class"), [(0, 0), (0.5, 0), (0, 1), (0.5, 1)])
def test_every_part_of_av_cil_can_be_switched_off(
    made: Made, tmp_path: Path, instance: float, of_class: float, vad: str
):
    given: dict[str, Any] = {"lambda_instance": instance, "lambda_class": of_class, "attention_distillation": vad}
    sound(tmp_path / "out", synthetic.run(made, "av-cil", tmp_path / "out", epochs=1, **given))
    with (tmp_path / "out" / "history.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert ("instance_audio_visual_similarity" in last) == bool(instance)
    assert ("class_audio_visual_similarity" in last) == bool(of_class)
    assert ("visual_attention_distillation" in last) == (vad == "vad")
    assert ("grad_cam_distillation" in last) == (vad == "grad-cam")


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("lwf", {"cross_entropy_over": "all-classes"}),
        ("lwf", {"kl_direction": "student-teacher"}),
        ("icarl-nme", {"distillation": "single-sigmoid", "herding_repeats": False, "normalise_means": True}),
        ("ss-il", {"second_task_loss": "plain"}),
        ("afc-lsc", {"importances": "channel", "margin": 0.6, "balanced_epochs": 1}),
        ("afc-nme", {"importances": "none", "discrepancy_growth": "sqrt-classes", "herding_repeats": False}),
        ("av-cil", {"class_similarity": "equation7", "kl_direction": "student-teacher"}),
    ],
)
def test_the_choices_of_the_methods_own_papers(scarce: Made, tmp_path: Path, method: str, given: dict[str, Any]):
    for memory_size in (3, 24):
        out = tmp_path / str(memory_size)
        sound(out, synthetic.run(scarce, method, out, epochs=1, memory_size=memory_size, **given))


# ---------------------------------------------------------------------------------- validation, tasks, order


def test_an_empty_validation_split_needs_the_last_epoch(tmp_path: Path):
    made = synthetic.make(tmp_path / "data", counts={"train": 4, "val": 0, "test": 2})
    assert "choose --model-choice last" in refusal(made, tmp_path)
    metrics = synthetic.run(made, "av-cil", tmp_path / "out", model_choice="last", epochs=3)
    sound(tmp_path / "out", metrics)
    assert metrics["chosen_epochs"] == [3, 3, 3]
    assert metrics["model_choice"] == "last"


def test_validation_clips_of_later_tasks_do_not_help_the_first(tmp_path: Path):
    made = synthetic.make(tmp_path / "data", counts=lambda label: {"train": 4, "val": 2 * (label > 1), "test": 2})
    assert "classes of task 1" in refusal(made, tmp_path)


def test_an_unequal_last_task_is_kept(made: Made, tmp_path: Path):
    metrics = synthetic.run(made, "av-cil", tmp_path / "out", classes_per_task=4, epochs=1)
    sound(tmp_path / "out", metrics)
    assert [len(task) for task in tasks_in(tmp_path / "out")] == [4, 2]
    assert metrics["test_clips"] == 18


def tasks_in(out: Path) -> list[list[str]]:
    tasks: list[list[str]] = json.loads((out / "config.json").read_text())["provenance"]["tasks"]
    return tasks


def test_class_order_from_a_seed(made: Made, tmp_path: Path):
    for seed in (1, 2):
        synthetic.run(made, "fine-tuning", tmp_path / str(seed), class_order_seed=seed, epochs=1)
    names = [f"class {label:02d}" for label in range(6)]
    for seed in (1, 2):
        assert [name for task in tasks_in(tmp_path / str(seed)) for name in task] == list(
            shuffled_class_order(names, seed)
        )
    assert tasks_in(tmp_path / "1") != tasks_in(tmp_path / "2")


@pytest.mark.parametrize("method", QUICK_FIRST)
def test_unequal_tasks_from_a_file(made: Made, tmp_path: Path, method: str):
    rows = [("first", 5), ("second", 1), ("second", 0), ("second", 4), ("last", 2), ("last", 3)]
    tasks = synthetic.write_csv(
        tmp_path / "tasks.csv", ("task", "label"), [(task, f"class {label:02d}") for task, label in rows]
    )
    metrics = synthetic.run(made, method, tmp_path / "out", tasks=str(tasks), epochs=1)
    sound(tmp_path / "out", metrics)
    expected = [["class 05"], ["class 01", "class 00", "class 04"], ["class 02", "class 03"]]
    assert tasks_in(tmp_path / "out") == expected
    for task in (1, 2, 3):
        learnt = {name for names in expected[:task] for name in names}
        assert set(memory_of(tmp_path / "out", task)) == learnt
    with (tmp_path / "out" / "predictions.csv").open() as file:
        after_first = [row["label"] for row in csv.DictReader(file) if row["after_task"] == "1"]
    assert after_first == ["class 05"] * 3


# ------------------------------------------------------------------------------------ clips without features


def test_clips_that_the_cache_lacks_are_left_out_and_counted(tmp_path: Path):
    gone = ["c00_train_00", "c03_train_02", "c03_test_01", "c05_val_00"]
    made = synthetic.make(tmp_path / "data", not_cached=gone)
    with CacheWriter(made.cache, Fingerprint(synthetic.FACTS)) as writer:
        writer.quarantine("c00_train_00", "no audio", "stream not found")
    what = synthetic.prepare(made, "av-cil", epochs=1)
    assert [clip.id for clip in what.data.lost] == gone
    metrics = run_once(*what, tmp_path / "out")
    sound(tmp_path / "out", metrics)
    assert metrics["test_clips"] == 17
    provenance = json.loads((tmp_path / "out" / "config.json").read_text())["provenance"]
    assert (provenance["clips"], provenance["clips_missing_from_cache"]) == (56, 4)
    said = (tmp_path / "out" / "predictions.csv").read_text() + str(memory_of(tmp_path / "out", 1))
    assert not any(clip in said for clip in gone)


@pytest.mark.parametrize(
    ("lacking", "split", "words"),
    [
        ((3,), "train", "no train clip in .* for class 'class 03' .1 such class"),
        ((2, 3), "test", "no test clip in .* for any class of task 2"),
        ((0, 1), "val", "no validation clip for the classes of task 1"),
    ],
)
def test_a_split_that_the_cache_lacks_for_a_class(tmp_path: Path, lacking: tuple[int, ...], split: str, words: str):
    gone = [synthetic.clip_id(label, split, number) for label in lacking for number in range(5)]
    made = synthetic.make(tmp_path / "data", not_cached=gone)
    with pytest.raises(InputError, match=words) as error:
        synthetic.run(made, "fine-tuning", tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_class_without_training_clips_in_the_manifest(tmp_path: Path):
    made = synthetic.make(tmp_path / "data", counts=lambda label: {"train": 3 * (label != 4), "val": 1, "test": 1})
    assert "class 'class 04' has no training clips" in refusal(made, tmp_path)


def test_a_class_without_test_clips_is_learnt_all_the_same(tmp_path: Path):
    made = synthetic.make(tmp_path / "data", counts=lambda label: {"train": 3, "val": 1, "test": 2 * (label != 3)})
    metrics = synthetic.run(made, "ss-il", tmp_path / "out", epochs=1)
    sound(tmp_path / "out", metrics)
    assert ("class 03,0,\n") in (tmp_path / "out" / "class_accuracy.csv").read_text()


def test_a_cache_of_other_clips(made: Made, tmp_path: Path):
    other = synthetic.make(tmp_path / "data", classes=1)
    synthetic.write_cache(tmp_path / "strange", [("nobody", 0)])
    assert "holds none of the 10 clips of clips" in refusal(Made(other.manifest, tmp_path / "strange"), tmp_path)


def test_too_little_room_for_features(made: Made, tmp_path: Path):
    message = refusal(made, tmp_path, "av-cil", residence_gigabytes=1e-6)
    assert "raise residence_gigabytes" in message


@pytest.mark.parametrize("calls", [0, 3])
def test_a_device_without_memory_is_one_line_and_the_run_is_resumed(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Callable[[str], Path], calls: int
):
    """At the first step and in the second epoch."""
    steps: list[None] = []
    step = GradientLearning._step

    def full(self: Any, *given: Any, **named: Any) -> Any:
        steps.append(None)
        if len(steps) > calls:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, *given, **named)

    with monkeypatch.context() as stand_in:
        stand_in.setattr(GradientLearning, "_step", full)
        with pytest.raises(InputError, match="cpu has no memory left: free some, or lower residence_gigabytes"):
            synthetic.run(made, "fine-tuning", tmp_path / "out")
    synthetic.run(made, "fine-tuning", tmp_path / "out")
    assert synthetic.differing(reference("fine-tuning"), tmp_path / "out") == []


def test_a_run_does_not_go_on_when_the_cache_has_grown(tmp_path: Path):
    """Clips are counted by number: one more in front would shift the memory to other clips."""

    class StoppedError(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.task == 2:
            raise StoppedError

    made = synthetic.make(tmp_path / "data", not_cached=["c00_train_01"])
    with pytest.raises(StoppedError):
        synthetic.run(made, "ss-il", tmp_path / "out", stop)
    with CacheWriter(made.cache, Fingerprint(synthetic.FACTS)) as writer:
        visual, audio = synthetic.features("c00_train_01", 0)
        writer.write_shard("shard-00090", ["c00_train_01"], visual[None], audio[None])
    with pytest.raises(InputError, match="another list of clips"):
        synthetic.run(made, "ss-il", tmp_path / "out")


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "int8"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_storage_type_and_precision(tmp_path: Path, storage: str, precision: str):
    made = synthetic.make(tmp_path / "data", facts=synthetic.FACTS | {"storage": storage})
    sound(tmp_path / "out", synthetic.run(made, "av-cil", tmp_path / "out", epochs=1, precision=precision))


# -------------------------------------------------------------------------------------------- leak-free figures


@pytest.fixture(scope="session")
def vggsound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training, one validation and up to four test clips of each class, two of these leaked where there are."""
    benchmark = published("vggsound100")
    leaked = {clip.id for clip in benchmark.seen_in_training("test")}
    index = {name: label for label, name in enumerate(benchmark.manifest.class_order)}
    kept: dict[tuple[str, str, bool], list[str]] = {}
    for clip in benchmark.manifest.clips:
        of_kind = kept.setdefault((clip.label, clip.split, clip.id in leaked), [])
        if len(of_kind) < {"train": 2, "val": 1, "test": 2}[clip.split]:
            of_kind.append(clip.id)
    clips = [(clip, index[label]) for (label, _, _), ids in kept.items() for clip in ids]
    out = tmp_path_factory.mktemp("vggsound") / "cache"
    synthetic.write_cache(out, clips)
    return out


def test_vggsound_is_reported_with_and_without_its_leak(vggsound: Path, tmp_path: Path):
    given: dict[str, Any] = {
        "manifest": None,
        "dataset": "vggsound100",
        "modality": "audio",
        "epochs": 2,
        "classes_per_task": 25,
    }
    metrics = synthetic.run(Made(Path(), vggsound), "ss-il", tmp_path / "out", **given, batch_size=64)
    sound(tmp_path / "out", metrics)
    leaked = {clip.id for clip in published("vggsound100").seen_in_training("test")}
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_task = []
    for task in range(1, 5):
        after = [row for row in rows if row["after_task"] == str(task)]
        clean = [row["label"] == row["predicted"] for row in after if row["video_id"] not in leaked]
        assert 0 < len(clean) < len(after)
        by_task.append(100 * sum(clean) / len(clean))
    found = metrics["leak_free"]
    assert found["test_clips"] == len(clean)
    assert found["accuracy_by_task"] == pytest.approx(by_task)
    assert found["last_accuracy"] == pytest.approx(by_task[-1])
    assert found["mean_accuracy"] == pytest.approx(sum(by_task) / 4)
    assert found["mean_accuracy"] != metrics["mean_accuracy"]
    assert isinstance(found["average_forgetting"], float)


def test_no_leak_no_second_figures(made: Made, reference: Callable[[str], Path]):
    assert "leak_free" not in json.loads((reference("ss-il") / "metrics.json").read_text())
    assert load_problem("ave", None, None).leaked == frozenset()
    assert len(load_problem("vggsound100", None, None).leaked) == 1627


# --------------------------------------------------------------------------------------------- what to learn


@pytest.mark.parametrize(("dataset", "manifest"), [(None, None), ("ave", "clips.csv")])
def test_either_a_dataset_or_a_manifest(dataset: str | None, manifest: str | None):
    with pytest.raises(InputError, match="either --dataset NAME or --manifest FILE"):
        load_problem(dataset, manifest, None)


def test_a_published_dataset_brings_its_protocol_and_a_manifest_none(made: Made):
    assert load_problem("ave", None, None).protocol["memory_size"] == 340
    assert load_problem(None, str(made.manifest), None).protocol == {}
