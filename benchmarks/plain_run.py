"""The plain way to a whole AV-CIL run over a per-clip reader, as a researcher would first write it.

One read a clip and epoch, float32, the whole batch at once, the teacher asked again in every step. Random
choices are gathered in `PlainChoices`, so that a test can make this run follow the choices of another.

Shapes: B clips, L time slices, S tokens, D channels, C classes.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from avcil.benchmarks.plain import PlainHeads, PlainWeights, adam, av_cil_loss
from torch import Tensor, nn

Read = Callable[[str], tuple[Any, Any]]
"""A clip's id to its visual (L, S, D) and audio (D,) features: anything `torch.as_tensor` takes."""
Batch = tuple[Tensor, Tensor, Tensor]
"""Visual (B, L, S, D) float32, audio (B, D) float32, labels (B,) int64."""


@dataclass(frozen=True)
class PlainClip:
    """A clip and its class's place in the class order."""

    id: str
    label: int


@dataclass(frozen=True)
class PlainTask:
    """What one task brings: so many new classes, numbered on from those before, and their clips."""

    classes: int
    train: tuple[PlainClip, ...]
    val: tuple[PlainClip, ...]
    test: tuple[PlainClip, ...]


@dataclass(frozen=True)
class PlainSettings:
    """One run's settings; the defaults are those of the published AVE run."""

    epochs: int = 200
    batch_size: int = 256
    memory_batch_size: int = 128
    evaluation_batch_size: int = 128
    memory_size: int = 340
    weights: PlainWeights = field(default_factory=PlainWeights)
    choose_best_epoch: bool = True
    device: str = "cpu"


@dataclass
class PlainResult:
    """What a run leaves behind; lists are by task."""

    accuracy: list[list[float]] = field(default_factory=list)  # a[t][i], fractions
    chosen_epochs: list[int] = field(default_factory=list)  # from 0
    epoch_losses: list[list[float]] = field(default_factory=list)  # mean loss of each epoch's steps
    memory: list[list[PlainClip]] = field(default_factory=list)  # what each task rehearsed
    heads: list[PlainHeads] = field(default_factory=list)  # the chosen model


class PlainChoices:
    """Every random choice of a run."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def order(self, clips: int) -> list[int]:
        """The order in which an epoch visits so many clips."""
        return torch.randperm(clips, generator=self.generator).tolist()

    def exemplars(self, clips: Sequence[PlainClip], quota: int) -> list[PlainClip]:
        """At most `quota` clips of one class, drawn without repeats."""
        return [clips[i] for i in self.order(len(clips))[:quota]]

    def linear(self, inputs: int, outputs: int) -> nn.Linear:
        """A new linear map, weights and biases uniform in +-1/sqrt(inputs), as PyTorch's own."""
        linear = nn.Linear(inputs, outputs)
        for parameter in linear.parameters():
            bound = 1 / math.sqrt(inputs)
            nn.init.uniform_(parameter, -bound, bound, generator=self.generator)
        return linear

    def heads(self, visual_dim: int, audio_dim: int, classes: int) -> PlainHeads:
        """The first task's heads."""
        heads = PlainHeads(visual_dim, audio_dim, self.linear(visual_dim, classes))
        heads.audio_projection = self.linear(audio_dim, visual_dim)
        heads.visual_projection = self.linear(visual_dim, visual_dim)
        heads.attention_audio = self.linear(audio_dim, visual_dim)
        heads.attention_visual = self.linear(visual_dim, visual_dim)
        return heads

    def widened(self, old: nn.Linear, classes: int) -> nn.Linear:
        """A classifier of so many classes whose first rows are the old one's."""
        wide = self.linear(old.in_features, classes)
        with torch.no_grad():
            wide.weight[: old.out_features] = old.weight
            wide.bias[: old.out_features] = old.bias
        return wide


def collate(clips: Sequence[PlainClip], read: Read, device: str) -> Batch:
    """Read the clips one by one and stack them."""
    pairs = [read(clip.id) for clip in clips]
    visual = torch.stack([torch.as_tensor(visual).float() for visual, _ in pairs])  # (B, L, S, D)
    audio = torch.stack([torch.as_tensor(audio).float() for _, audio in pairs])  # (B, D)
    labels = torch.tensor([clip.label for clip in clips])  # (B,)
    return visual.to(device), audio.to(device), labels.to(device)


def epoch_batches(
    clips: Sequence[PlainClip], size: int, read: Read, choices: PlainChoices, device: str
) -> Iterator[Batch]:
    """Shuffled full batches, the last incomplete one dropped; a set smaller than a batch is one batch."""
    order = choices.order(len(clips))
    size = min(size, len(clips))
    for start in range(0, len(clips) - size + 1, size):
        yield collate([clips[i] for i in order[start : start + size]], read, device)


def plain_step(
    student: PlainHeads,
    teacher: PlainHeads | None,
    optimiser: torch.optim.Optimizer,
    new: Batch,
    memory: Batch | None,
    old_tasks: Sequence[slice],
    weights: PlainWeights,
) -> Tensor:
    """One training step: returns the loss before it, detached. The first task, without teacher, is plain CE.

    A memory too small for even one clip a class leaves `memory` None: the losses over it then vanish.
    """
    visual, audio, labels = new
    if memory is not None:
        visual, audio, labels = (torch.cat(both) for both in zip(new, memory, strict=True))
    logits, features = student(visual, audio)
    if teacher is None:
        loss = F.cross_entropy(logits, labels)
    else:
        with torch.no_grad():
            teacher_logits, teacher_features = teacher(visual, audio)
        loss = av_cil_loss(logits, features, teacher_logits, teacher_features, labels, len(new[2]), old_tasks, weights)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()


@torch.no_grad()
def predictions(heads: PlainHeads, clips: Sequence[PlainClip], read: Read, settings: PlainSettings) -> list[int]:
    """The class of the highest logit (the first of equals) of each clip."""
    predicted: list[int] = []
    for start in range(0, len(clips), settings.evaluation_batch_size):
        chunk = clips[start : start + settings.evaluation_batch_size]
        visual, audio, _ = collate(chunk, read, settings.device)
        predicted += heads(visual, audio)[0].argmax(dim=1).tolist()
    return predicted


def accuracy(heads: PlainHeads, clips: Sequence[PlainClip], read: Read, settings: PlainSettings) -> float:
    """The share of clips whose class is predicted."""
    predicted = predictions(heads, clips, read, settings)
    return sum(p == clip.label for p, clip in zip(predicted, clips, strict=True)) / len(clips)


def rehearsed(
    memory: dict[int, list[PlainClip]],
    clips: Sequence[PlainClip],
    seen: int,
    size: int,
    choices: PlainChoices,
) -> dict[int, list[PlainClip]]:
    """The memory as a new task begins: |M| // classes seen so far, for each of them.

    The classes of the task just past draw from their clips; older ones keep a prefix of what they have.
    """
    quota = size // seen
    kept = {label: held[:quota] for label, held in memory.items()}
    for label in sorted({clip.label for clip in clips}):
        kept[label] = choices.exemplars([clip for clip in clips if clip.label == label], quota)
    return kept


def plain_av_cil_run(
    tasks: Sequence[PlainTask],
    read: Read,
    settings: PlainSettings,
    choices: PlainChoices,
    progress: Callable[[int, int, float], None] | None = None,
) -> PlainResult:
    """Train and test AV-CIL over all tasks; `progress(task, epoch, mean loss)` follows every epoch."""
    result = PlainResult()
    first_visual, first_audio = (torch.as_tensor(part) for part in read(tasks[0].train[0].id))
    heads = choices.heads(first_visual.shape[-1], first_audio.shape[-1], tasks[0].classes)
    held: dict[int, list[PlainClip]] = {}
    old_tasks: list[slice] = []
    for number, task in enumerate(tasks):
        seen = old_tasks[-1].stop if old_tasks else 0
        teacher: PlainHeads | None = None
        if number > 0:
            teacher = copy.deepcopy(heads)
            heads.classifier = choices.widened(_linear(heads), seen + task.classes)
            held = rehearsed(held, tasks[number - 1].train, seen, settings.memory_size, choices)
        memory = [clip for label in sorted(held) for clip in held[label]]
        heads = heads.to(settings.device)
        optimiser = adam(list(heads.parameters()))
        validation = [clip for earlier in tasks[: number + 1] for clip in earlier.val]

        best, best_accuracy, losses = heads, -1.0, []
        chosen = settings.epochs - 1
        for epoch in range(settings.epochs):
            new_batches = epoch_batches(task.train, settings.batch_size, read, choices, settings.device)
            memory_batches: Iterator[Batch | None] = itertools.repeat(None)
            if memory:
                # The epoch's memory batches are kept and come again in the same order: one read an epoch.
                memory_batches = itertools.cycle(
                    epoch_batches(memory, settings.memory_batch_size, read, choices, settings.device)
                )
            steps = [
                plain_step(heads, teacher, optimiser, new, old, old_tasks, settings.weights)
                for new, old in zip(new_batches, memory_batches, strict=False)
            ]
            losses.append(torch.stack(steps).mean().item())
            if settings.choose_best_epoch:
                reached = accuracy(heads, validation, read, settings)
                if reached > best_accuracy:
                    best, best_accuracy, chosen = copy.deepcopy(heads), reached, epoch
            if progress is not None:
                progress(number, epoch, losses[-1])

        heads = best if settings.choose_best_epoch else heads
        old_tasks.append(slice(seen, seen + task.classes))
        result.accuracy.append([accuracy(heads, past.test, read, settings) for past in tasks[: number + 1]])
        result.chosen_epochs.append(chosen)
        result.epoch_losses.append(losses)
        result.memory.append(memory)
        result.heads.append(copy.deepcopy(heads))
    return result


def _linear(heads: PlainHeads) -> nn.Linear:
    if not isinstance(heads.classifier, nn.Linear):
        raise TypeError("a run with AFC's proxies is no AV-CIL run")
    return heads.classifier
