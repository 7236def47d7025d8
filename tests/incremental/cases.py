"""Random small runs for hypothesis, and what must hold of the batches, the memory and the choice of any run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from avcil.incremental.config import MODALITIES, Modality
from avcil.incremental.learning.gradient import Method
from avcil.tests.incremental import plain_methods
from avcil.tests.incremental.problems import Problem, Run, make_problem, run
from avcil.tests.incremental.replay import WEIGHT_TOLERANCE, close, fused, plain_heads
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from torch import Tensor

# Without shrinking a failure is told at once; a case is small enough to be read as it is.
quick = settings(
    deadline=None,
    max_examples=6,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Case:
    """A problem and how to learn it."""

    classes: tuple[int, ...]
    clips: Mapping[str, Any]
    modality: Modality
    given: Mapping[str, Any]

    @property
    def problem(self) -> Problem:
        return make_problem(self.classes, **self.clips)

    def run(self, kind: type[Method], settings: Mapping[str, Any] | None = None, **given: Any) -> Run:
        return run(kind, self.problem, settings, modality=self.modality, **{**self.given, **given})


@st.composite
def cases(
    draw: st.DrawFn,
    modalities: tuple[Modality, ...] = MODALITIES,
    *,
    fewest_new: int = 1,
    fewest_channels: int = 3,
) -> Case:
    """Three or four tasks of unequal size, classes of unequal size, sets smaller than a batch, memory from nothing."""
    classes = draw(st.lists(st.integers(fewest_new, 3), min_size=3, max_size=4))
    # With one token in all, attention has nothing to choose and rounding alone for a gradient, which Adam magnifies.
    slices, tokens = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)).filter(lambda pair: pair != (1, 1)))
    channels, audio_channels = draw(st.tuples(st.integers(fewest_channels, fewest_channels + 5), st.integers(2, 8)))
    clips = {
        "train": draw(st.lists(st.integers(1, 6), min_size=sum(classes), max_size=sum(classes))),
        "val": draw(st.integers(1, 3)),
        "test": draw(st.integers(1, 3)),
        "shape": (slices, tokens, channels, audio_channels),
        "seed": draw(st.integers(0, 10**6)),
    }
    given = {
        "epochs": draw(st.integers(1, 3)),
        "batch_size": draw(st.integers(1, 7)),
        "memory_size": draw(st.integers(0, 20)),
        "memory_batch_size": draw(st.integers(1, 4)),
        "model_choice": draw(st.sampled_from(["best", "last"])),
        "seed": draw(st.integers(0, 1000)),
    }
    return Case(tuple(classes), clips, draw(st.sampled_from(modalities)), given)


# ------------------------------------------------------------------------------------------------ any run


def train_clips(finished: Run, labels: range) -> list[int]:
    """In the manifest's order."""
    table = finished.problem.table
    return [n for n, split in enumerate(table.splits) if split == "train" and int(table.labels[n]) in labels]


def check_batches(finished: Run) -> None:
    """Every epoch passes once through the pool in full batches, in a new order; memory batches come in turn."""
    table, config, replay = finished.problem.table, finished.config, finished.trainer.method.replay
    for number, recorded in enumerate(finished.tasks, start=1):
        task = table.task(number)
        held = finished.progress.memories[number - 2] if number > 1 else {}
        memory = [clip for label in sorted(held) for clip in held[label]]
        pool = train_clips(finished, range(task.seen_classes) if replay == "everything" else task.new_classes)
        pool += memory if replay == "mixed" else []
        size = min(config.batch_size, len(pool))
        for steps in recorded.steps[: config.epochs]:
            fresh = [step.numbers[: step.new].tolist() for step in steps]
            assert [len(batch) for batch in fresh] == [size] * (len(pool) // size)
            surplus = Counter(clip for batch in fresh for clip in batch) - Counter(pool)
            assert not surplus
            beside = [step.numbers[step.new :].tolist() for step in steps]
            if replay != "separate" or not memory:
                assert not any(beside)
                continue
            memory_size = min(config.memory_batch_size, len(memory))
            turns = len(memory) // memory_size
            assert all(len(batch) == memory_size for batch in beside)
            assert not Counter(clip for batch in beside[:turns] for clip in batch) - Counter(memory)
            assert all(batch == beside[place % turns] for place, batch in enumerate(beside))
        orders = {tuple(torch.cat([step.numbers for step in steps]).tolist()) for steps in recorded.steps}
        assert len(orders) == len(recorded.steps) or len(pool) < 9


def check_memory(finished: Run) -> None:
    """|M| // classes seen of each class at a task's end; old classes keep a prefix; new ones give their own clips."""
    table, seen = finished.problem.table, 0
    held: dict[int, list[int]] = {}
    for number, memory in enumerate(finished.progress.memories, start=1):
        seen = table.task(number).seen_classes
        share = plain_methods.quota(finished.config.memory_size, seen)
        held = {label: clips[:share] for label, clips in held.items()}
        for label in table.task(number).new_classes:
            own = train_clips(finished, range(label, label + 1))
            given = memory.get(label, [])
            assert len(given) == min(share, len(own))
            assert set(given) <= set(own)
            held[label] = given
        assert {label: clips for label, clips in memory.items() if clips} == {
            label: clips for label, clips in held.items() if clips
        }


def check_choice(finished: Run) -> None:
    """The first epoch with the highest validation accuracy, or the last one, goes on to the test and the next task."""
    epochs = finished.config.epochs
    for number, recorded in enumerate(finished.tasks, start=1):
        lines = [line for line in finished.progress.history if line["task"] == number]
        chosen = finished.progress.chosen_epochs[number - 1]
        if finished.config.model_choice == "last":
            assert chosen == epochs
            assert not any("validation_accuracy" in line for line in lines)
        else:
            reached = [line["validation_accuracy"] for line in lines]
            assert chosen == reached.index(max(reached)) + 1
        for name, tensor in recorded.after_epochs[chosen - 1].items():
            assert torch.equal(tensor, recorded.chosen[name]), name
        for line, steps in zip(lines, recorded.steps, strict=False):
            mean = sum(step.loss for step in steps) / len(steps)
            terms = sum(line[name] for name in steps[0].terms)
            assert abs(mean - terms) <= 1e-4 * max(1, abs(mean))


def check_linear_readout(finished: Run) -> None:
    """Scores are the plain logits of the chosen weights; so are validation accuracies of every epoch's."""
    problem, modality = finished.problem, finished.config.modality
    for number, recorded in enumerate(finished.tasks, start=1):
        seen = problem.table.task(number).seen_classes
        clips, scores = finished.progress.predictions[number - 1]
        assert clips.tolist() == clips_of(finished, "test", seen)
        close(scores, plain_logits(recorded.chosen, problem, modality, clips), WEIGHT_TOLERANCE, f"task {number}")
        if finished.config.model_choice == "best":
            validation = torch.tensor(clips_of(finished, "val", seen))
            lines = [line for line in finished.progress.history if line["task"] == number]
            for line, state in zip(lines, recorded.after_epochs, strict=True):
                predicted = plain_logits(state, problem, modality, validation).argmax(dim=1)
                right = (predicted == problem.table.labels[validation]).double().mean()
                assert abs(line["validation_accuracy"] - 100 * float(right)) < 1e-4


def clips_of(finished: Run, split: str, seen: int) -> list[int]:
    table = finished.problem.table
    return [n for n, name in enumerate(table.splits) if name == split and int(table.labels[n]) < seen]


def plain_logits(state: Mapping[str, Tensor], problem: Problem, modality: Modality, clips: Tensor) -> Tensor:
    heads = plain_heads(state)
    with torch.no_grad():
        logits: Tensor = heads.classifier(fused(heads, modality, problem.visual[clips], problem.audio[clips]))
    return logits


def check_carried(finished: Run) -> None:
    """A task begins with the last one's chosen weights and, as its teacher, the very same; old rows included."""
    for before, after in zip(finished.tasks, finished.tasks[1:], strict=False):
        for name, tensor in before.chosen.items():
            assert torch.equal(after.initial[name][: len(tensor)], tensor), name
            if after.teacher is not None:
                assert torch.equal(after.teacher[name], tensor), name


def check_run(finished: Run) -> None:
    """All of the above."""
    check_batches(finished)
    check_memory(finished)
    check_choice(finished)
