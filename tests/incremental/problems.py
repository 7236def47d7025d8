"""Small incremental problems held in memory, and a trainer that writes down all it does on them.

Shapes: N clips, B clips of a batch, L time slices, S tokens, D channels, C classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from avcil.incremental.config import Modality, RunConfig
from avcil.incremental.data.batch import Batch
from avcil.incremental.data.reader import ClipReader
from avcil.incremental.data.residence import Residence
from avcil.incremental.data.tasks import ClipTable
from avcil.incremental.learning.adam import Optimiser
from avcil.incremental.learning.gradient import GradientLearning, Method
from avcil.incremental.learning.method import Context
from avcil.incremental.learning.randomness import seeded_initialisation
from avcil.incremental.learning.state import Progress, copy_of
from avcil.incremental.learning.trainer import Trainer
from avcil.incremental.model.heads import Widths
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """Clips, and their features: visual (N, L, S, D) and audio (N, D_audio), by clip number."""

    table: ClipTable
    visual: Tensor
    audio: Tensor

    @property
    def visual_shape(self) -> tuple[int, ...]:
        return tuple(self.visual.shape[1:])

    @property
    def audio_shape(self) -> tuple[int, ...]:
        return tuple(self.audio.shape[1:])

    @property
    def widths(self) -> Widths:
        return Widths(audio=self.audio.shape[-1], visual=self.visual.shape[-1])

    def read_into(
        self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
    ) -> None:
        places = torch.tensor([self.table.ids.index(one) for one in ids])
        if visual is not None:
            visual[: len(ids)] = self.visual[places]
        if audio is not None:
            audio[: len(ids)] = self.audio[places]


def make_problem(
    classes: Sequence[int],
    *,
    train: int | Sequence[int] = 5,
    val: int = 2,
    test: int = 2,
    shape: tuple[int, int, int, int] = (2, 3, 6, 5),
    noise: float = 1.0,
    seed: int = 0,
) -> Problem:
    """Clips of sum(classes) classes: each class a random pattern, each clip the pattern and noise.

    `classes` by task; `train` clips by class, or for all; `shape` is (L, S, D, D_audio). The clips' order mixes
    classes and splits.
    """
    draw = torch.Generator().manual_seed(seed)
    count = sum(classes)
    trains = [train] * count if isinstance(train, int) else list(train)
    entries = [
        (label, split)
        for label in range(count)
        for split, clips in (("train", trains[label]), ("val", val), ("test", test))
        for _ in range(clips)
    ]
    entries = [entries[i] for i in torch.randperm(len(entries), generator=draw).tolist()]
    labels = torch.tensor([label for label, _ in entries])
    slices, tokens, channels, audio_channels = shape
    visual_of = torch.randn(count, slices, tokens, channels, generator=draw)
    audio_of = torch.randn(count, audio_channels, generator=draw)
    visual = visual_of[labels] + noise * torch.randn(len(entries), slices, tokens, channels, generator=draw)
    audio = audio_of[labels] + noise * torch.randn(len(entries), audio_channels, generator=draw)
    names = iter(f"class {label}" for label in range(count))
    table = ClipTable(
        ids=tuple(f"{split} {number}" for number, (_, split) in enumerate(entries)),
        labels=labels,
        splits=tuple(split for _, split in entries),
        tasks=tuple(tuple(next(names) for _ in range(new)) for new in classes),
    )
    return Problem(table, visual, audio)


@dataclass
class Step:
    """One step of training."""

    numbers: Tensor
    """(B,) clip numbers of the batch."""
    new: int
    """How many of them come first and are of the current task."""
    terms: dict[str, float]
    """The loss, term by term, before the step."""

    @property
    def loss(self) -> float:
        return sum(self.terms.values(), start=0.0)


@dataclass
class RecordedTask:
    """What a trainer did in one task."""

    initial: dict[str, Tensor]
    """The method's state before the first step."""
    teacher: dict[str, Tensor] | None
    """The teacher's state."""
    steps: list[list[Step]] = field(default_factory=list)
    """By epoch; balanced epochs come last."""
    after_epochs: list[dict[str, Tensor]] = field(default_factory=list)
    """The method's state after each epoch."""
    chosen: dict[str, Tensor] = field(default_factory=dict)
    """The method's state that went on to testing and to the next task."""


class RecordingLearning(GradientLearning):
    """The production way of learning, written along with."""

    recorded: list[RecordedTask]

    def epochs(self, *args: Any) -> Iterator[tuple[int, dict[str, float]]]:
        asked = None if self.teacher is None else copy_of(self.teacher.method.state_dict())  # type: ignore[attr-defined]
        self.recorded.append(RecordedTask(copy_of(self.method.state_dict()), asked))
        for ended in super().epochs(*args):
            yield ended
            self.recorded[-1].after_epochs.append(copy_of(self.method.state_dict()))

    def _epoch(self, *args: Any) -> dict[str, float]:
        self.recorded[-1].steps.append([])
        return super()._epoch(*args)

    def _step(self, batch: Batch, optimiser: Optimiser) -> Mapping[str, Tensor]:
        terms = super()._step(batch, optimiser)
        values = {name: float(term) for name, term in terms.items()}
        self.recorded[-1].steps[-1].append(Step(batch.numbers.clone(), batch.new, values))
        return terms


class RecordingTrainer(Trainer):
    """The production trainer with a method whose learning is recorded."""

    def __init__(self, config: RunConfig, table: ClipTable, method: Method, reader: ClipReader) -> None:
        self.recorded: list[RecordedTask] = []
        learning = type("Learning", (RecordingLearning,), {"recorded": self.recorded})
        kind = type(method)
        method.__class__ = type(kind.__name__, (kind,), {"learning": lambda self, context: learning(self, context)})
        super().__init__(config, table, method, reader, [self])

    def epoch_ended(self, progress: Progress) -> None:
        """Nothing: the learning records its epochs."""

    def stopped(self, progress: Progress) -> None:
        """It never is."""

    def task_ended(self, progress: Progress) -> None:
        self.recorded[-1].chosen = copy_of(self.method.state_dict())


def configure(kind: type[Method], **given: Any) -> RunConfig:
    """A run's configuration, small unless `given` says otherwise."""
    values: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 4,
        "memory_size": 8,
        "memory_batch_size": 3,
        "evaluation_batch_size": 64,
        "device": "cpu",
        "precision": "float32",
    }
    return RunConfig(method=kind.name, cache="in memory", classes_per_task=1, **(values | given))


def make_trainer(
    kind: type[Method], problem: Problem, config: RunConfig, settings: Mapping[str, Any] | None = None
) -> RecordingTrainer:
    """A trainer at the beginning of a run."""
    visual = {"audio-visual": "tokens", "visual": "mean", "audio": "none"}[config.modality]
    residence = Residence(
        problem,
        problem.table.ids,
        device=torch.device("cpu"),
        dtype=torch.float32,
        visual=visual,  # type: ignore[arg-type]
        largest_batch=64,
    )
    with seeded_initialisation(config.seed, "heads"):
        method = kind(kind.Settings(**(settings or {})), problem.widths, config.modality)
    return RecordingTrainer(config, problem.table, method, ClipReader(residence, problem.table.labels))


def nudged(kind: type[Method]) -> type[Method]:
    """The method, but from the second task on every part of the heads starts a little away from its teacher.

    Where teacher and student agree, a distillation's gradient is rounding alone, which Adam and L1 distances magnify:
    no two computations then take the same first step.
    """

    def begin_task(self: Method, context: Context) -> None:
        kind.begin_task(self, context)
        if self.task.number > 1:
            draw = context.generator("nudge")
            with torch.no_grad():
                for weight in self.heads.parameters():
                    if weight.requires_grad and weight.dim():
                        weight.add_(0.05 * torch.randn(weight.shape, generator=draw))

    return type(f"Nudged{kind.__name__}", (kind,), {"name": f"{kind.name}, nudged", "begin_task": begin_task})


def gradient_of(tensor: Tensor) -> Tensor:
    """The gradient that backward has left, which must be there."""
    assert tensor.grad is not None
    return tensor.grad


@dataclass(frozen=True)
class Run:
    """A finished run."""

    problem: Problem
    config: RunConfig
    trainer: RecordingTrainer
    progress: Progress

    @property
    def tasks(self) -> list[RecordedTask]:
        return self.trainer.recorded


def run(
    kind: type[Method],
    problem: Problem,
    settings: Mapping[str, Any] | None = None,
    *,
    modality: Modality = "audio-visual",
    **given: Any,
) -> Run:
    """Learn all tasks with the production trainer."""
    config = configure(kind, modality=modality, **given)
    trainer = make_trainer(kind, problem, config, settings)
    return Run(problem, config, trainer, trainer.run())
