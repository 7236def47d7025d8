"""A whole AV-CIL run of the trainer against the plain run that makes the same random choices.

Nothing is handed across but choices: first weights, new rows, the order of every epoch, the exemplars drawn.
Batches, memory, teacher, model choice and accuracies are each run's own.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from avcil.benchmarks.plain import PlainHeads, PlainWeights
from avcil.benchmarks.plain_run import (
    PlainChoices,
    PlainClip,
    PlainResult,
    PlainSettings,
    PlainTask,
    plain_av_cil_run,
)
from avcil.incremental.learning.randomness import generator, seeded_initialisation
from avcil.incremental.methods.av_cil import AvCil
from avcil.incremental.results import metrics
from avcil.incremental.runs.outcome import predictions_of
from avcil.tests.incremental import plain_methods
from avcil.tests.incremental.problems import Problem, Run, make_problem, run
from avcil.tests.incremental.replay import plain_heads, same_weights
from torch import Tensor, nn

pytestmark = pytest.mark.usefixtures("one_thread")


class ReplayedChoices(PlainChoices):
    """The choices that the trainer draws from its named streams, in the order in which the plain run asks for them."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(seed)
        self.problem, self.seed = problem, seed
        self.task, self.epoch, self.rehearses, self.memory_is_next = 1, 0, False, False

    def order(self, clips: int) -> list[int]:
        """New clips and memory in turn, once an epoch each, where there is a memory."""
        if self.memory_is_next:
            self.memory_is_next = False
            purpose = "shuffle memory"
        else:
            self.epoch += 1
            self.memory_is_next = self.rehearses
            purpose = "shuffle"
        stream = generator(self.seed, purpose, self.epoch, "task", self.task)
        return torch.randperm(clips, generator=stream).tolist()

    def exemplars(self, clips: Sequence[PlainClip], quota: int) -> list[PlainClip]:
        """The trainer draws them when their task ends, the plain run when the next one begins: with equal result."""
        self.rehearses = self.rehearses or quota > 0
        stream = generator(self.seed, "exemplars", clips[0].label, "task", self.task - 1)
        return [clips[i] for i in torch.randperm(len(clips), generator=stream).tolist()[:quota]]

    def heads(self, visual_dim: int, audio_dim: int, classes: int) -> PlainHeads:
        with seeded_initialisation(self.seed, "heads"):
            method = AvCil(AvCil.Settings(), self.problem.widths, "audio-visual")
        with seeded_initialisation(self.seed, "grow", 1):
            method.grow(self.problem.table.task(1))
        return plain_heads(method.state_dict())

    def widened(self, old: nn.Linear, classes: int) -> nn.Linear:
        self.task, self.epoch, self.rehearses = self.task + 1, 0, False
        with seeded_initialisation(self.seed, "grow", self.task):
            wide = nn.Linear(old.in_features, classes)
        with torch.no_grad():
            wide.weight[: old.out_features] = old.weight
            wide.bias[: old.out_features] = old.bias
        return wide


def plain_tasks(problem: Problem) -> list[PlainTask]:
    table = problem.table

    def clips(split: str, labels: range) -> tuple[PlainClip, ...]:
        return tuple(
            PlainClip(name, int(table.labels[number]))
            for number, name in enumerate(table.ids)
            if table.splits[number] == split and int(table.labels[number]) in labels
        )

    made = []
    for number, names in enumerate(table.tasks, start=1):
        labels = table.task(number).new_classes
        made.append(PlainTask(len(names), *(clips(split, labels) for split in ("train", "val", "test"))))
    return made


def plain_run(finished: Run, weights: PlainWeights | None = None) -> PlainResult:
    problem, config = finished.problem, finished.config

    def read(name: str) -> tuple[Tensor, Tensor]:
        number = problem.table.ids.index(name)
        return problem.visual[number], problem.audio[number]

    settings = PlainSettings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        memory_batch_size=config.memory_batch_size,
        evaluation_batch_size=config.evaluation_batch_size,
        memory_size=config.memory_size,
        weights=weights or PlainWeights(),
        choose_best_epoch=config.model_choice == "best",
    )
    return plain_av_cil_run(plain_tasks(problem), read, settings, ReplayedChoices(problem, config.seed))


def check_equal(finished: Run, plain: PlainResult, tolerance: float = 1e-4) -> None:
    table = finished.problem.table
    for number, memory in enumerate(plain.memory[1:], start=1):
        held = finished.progress.memories[number - 1]
        ids = [table.ids[clip] for label in sorted(held) for clip in held[label]]
        assert [clip.id for clip in memory] == ids
    assert finished.progress.chosen_epochs == [epoch + 1 for epoch in plain.chosen_epochs]
    for number, losses in enumerate(plain.epoch_losses, start=1):
        epochs = finished.tasks[number - 1].steps
        ours = [sum(step.loss for step in steps) / len(steps) for steps in epochs]
        assert ours == pytest.approx(losses, rel=1e-4)
    for number, (heads, recorded) in enumerate(zip(plain.heads, finished.tasks, strict=True), start=1):
        for (name, tensor), (same, theirs) in zip(
            heads.state_dict().items(), plain_heads(recorded.chosen).state_dict().items(), strict=True
        ):
            assert name == same
            assert (tensor - theirs).abs().max() <= tolerance * theirs.abs().max(), f"task {number}, {name}"
        if tolerance <= 1e-4:
            same_weights(heads, recorded.chosen, f"task {number}", recorded.initial)
    after = [predictions_of(table, clips, scores) for clips, scores in finished.progress.predictions]
    boundaries = table.task(len(table.tasks)).boundaries
    summary = metrics.summarise(after, boundaries)
    matrix = metrics.accuracy_matrix(after, boundaries)
    assert summary["accuracy_matrix"] == matrix
    for row, fractions in zip(matrix, plain.accuracy, strict=True):
        assert row == pytest.approx([100 * fraction for fraction in fractions])
    counts = [len(task.test) for task in plain_tasks(finished.problem)]
    expected = plain_methods.mean_accuracy(plain.accuracy, counts)
    assert summary["mean_accuracy"] == pytest.approx(100 * expected)
    if len(matrix) > 1:
        forgotten = plain_methods.average_forgetting(plain.accuracy)
        assert summary["average_forgetting"] == pytest.approx(100 * forgotten, abs=1e-9)


SIZES: dict[str, Any] = {
    "epochs": 5,
    "batch_size": 5,
    "memory_batch_size": 3,
    "memory_size": 12,
    "evaluation_batch_size": 7,
}


@pytest.mark.parametrize("model_choice", ["best", "last"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_whole_run_equals_the_plain_one(model_choice: str, seed: int):
    """Three tasks, the last smaller; ten batches of new clips an epoch or fewer, memory batches in turn."""
    problem = make_problem([3, 3, 2], train=7, val=3, test=4, shape=(2, 4, 12, 9), noise=1.5, seed=seed)
    finished = run(AvCil, problem, model_choice=model_choice, seed=seed, **SIZES)
    check_equal(finished, plain_run(finished))
    rows = [[round(float(step.loss), 3) for step in task.steps[0]] for task in finished.tasks]
    assert len({value for row in rows for value in row}) > 5  # not a run in which nothing happens


def test_a_whole_run_by_the_printed_equations():
    printed = {"class_similarity": "equation7", "kl_direction": "student-teacher"}
    finished = run(AvCil, make_problem([3, 2, 2], shape=(2, 4, 12, 9), noise=1.5), printed, **SIZES)
    check_equal(finished, plain_run(finished, PlainWeights(as_printed=True)))


def test_a_whole_run_with_other_weights():
    settings = {
        "lambda_instance": 0.1,
        "lambda_class": 0.3,
        "lambda_spatial": 0.2,
        "similarity_temperature": 0.2,
        "temperature": 1.0,
    }
    finished = run(AvCil, make_problem([3, 2, 2], shape=(3, 2, 10, 10), noise=1.5), settings, **SIZES)
    check_equal(finished, plain_run(finished, PlainWeights(0.1, 0.3, 0.2, tau=0.2, temperature=1.0)))


@pytest.mark.parametrize(
    ("memory_size", "train", "tolerance"),
    [(0, 6, 5e-3), (4, 6, 5e-3), (100, [2, 7, 3, 5, 2, 6, 4], 1e-4), (9, 1, 1e-4)],
    ids=["no memory", "one that runs out", "one larger than all classes", "sets smaller than a batch"],
)
def test_awkward_sizes(memory_size: int, train: int | list[int], tolerance: float):
    """Without memory, old rows feel distillation alone, which at first is rounding: Adam magnifies it, up to a step."""
    problem = make_problem([3, 2, 2], train=train, shape=(2, 3, 12, 9), noise=1.5)
    finished = run(AvCil, problem, **SIZES | {"memory_size": memory_size, "epochs": 3})
    check_equal(finished, plain_run(finished), tolerance)


def test_one_task_alone():
    finished = run(AvCil, make_problem([3], shape=(2, 3, 12, 9)), **SIZES)
    check_equal(finished, plain_run(finished))


def test_a_choice_changed_is_seen():
    """The comparison has teeth: another order of one epoch is another run."""
    finished = run(AvCil, make_problem([2, 2], shape=(2, 3, 12, 9)), **SIZES)
    other = run(AvCil, make_problem([2, 2], shape=(2, 3, 12, 9)), seed=1, **SIZES)
    with pytest.raises(AssertionError):
        check_equal(finished, plain_run(other))
