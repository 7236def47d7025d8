"""The clips of a run, numbered: which class, which split, which task; and a batch of them by reference.

Shapes: B clips, L time slices, S tokens, D channels, C classes, N clips held in the store.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class Task:
    """One step of the incremental problem. Classes are numbered in class order, so a task is a range."""

    number: int
    """Counts from 1."""
    boundaries: tuple[int, ...]
    """Class index at which each task up to this one begins, and where this one ends: (0, 7, 14) in task 2."""

    @property
    def old_classes(self) -> int:
        """Classes of all earlier tasks."""
        return self.boundaries[-2]

    @property
    def seen_classes(self) -> int:
        """Classes of this and all earlier tasks."""
        return self.boundaries[-1]

    @property
    def new_classes(self) -> range:
        """Class indices that arrive with this task."""
        return range(self.old_classes, self.seen_classes)

    @property
    def old_tasks(self) -> tuple[slice, ...]:
        """The logits of each earlier task."""
        return tuple(slice(begin, end) for begin, end in pairwise(self.boundaries[:-1]))


@dataclass(frozen=True)
class ClipTable:
    """All clips of a run. A clip's number is its place in these lists."""

    ids: tuple[str, ...]
    labels: Tensor
    """(clips,) int64 class index in class order."""
    splits: tuple[str, ...]
    """"train", "val" or "test" for each clip."""
    tasks: tuple[tuple[str, ...], ...]
    """Names of the classes of each task; strung together they are the class order."""
    leaked: frozenset[str] = frozenset()
    """Test clips cut from a source video that also gave training clips."""

    @property
    def class_order(self) -> tuple[str, ...]:
        """Class names by class index."""
        return tuple(name for task in self.tasks for name in task)

    def task(self, number: int) -> Task:
        """The task called `number`, counting from 1."""
        boundaries = [0]
        for names in self.tasks[:number]:
            boundaries.append(boundaries[-1] + len(names))
        return Task(number, tuple(boundaries))

    def of(self, split: str, classes: range) -> Tensor:
        """Numbers of the clips of `split` whose class is in `classes`, in the manifest's order. (n,) int64."""
        wanted = torch.tensor([name == split for name in self.splits], dtype=torch.bool)
        inside = (self.labels >= classes.start) & (self.labels < classes.stop)
        return torch.nonzero(wanted & inside).flatten()


class Recalled(Mapping[str, Tensor]):
    """What the teacher said of a batch, by reference: an answer (B, ...) is gathered when it is asked for by name."""

    def __init__(self, answers: Mapping[str, Tensor], places: Tensor | None = None) -> None:
        """Places (B,) of the batch in answers (n, ...), or answers (B, ...) of the batch alone."""
        self.answers = answers
        self.places = places

    def __getitem__(self, name: str) -> Tensor:
        """The answer of each clip of the batch. (B, ...)"""
        answer = self._known(name)
        return answer if self.places is None else answer[self.places]

    def where(self, name: str) -> tuple[Tensor, Tensor]:
        """Answers (n, ...) of more clips than these, and places (B,) among them, for what can do without a copy."""
        answer = self._known(name)
        return answer, torch.arange(len(answer), device=answer.device) if self.places is None else self.places

    def _known(self, name: str) -> Tensor:
        if name not in self.answers:
            has = ", ".join(self.answers) or "nothing: does the method say has_teacher = True?"
            raise InputError(f"the teacher was not asked for '{name}'; its `recall` gave {has}")
        return self.answers[name]

    def __contains__(self, name: object) -> bool:
        return name in self.answers

    def __iter__(self) -> Iterator[str]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)


class Clips(NamedTuple):
    """A batch of clips by reference: visual tokens stay where they are stored."""

    numbers: Tensor
    """(B,) int64 clip numbers."""
    labels: Tensor
    """(B,) int64 class indices."""
    audio: Tensor
    """(B, D) float32 audio features f_a."""
    store: Tensor | None = None
    """(N, L, S, D) visual tokens f_v of the clips held on the device; None without the visual modality."""
    rows: Tensor | None = None
    """(B,) int64 rows of `store`."""
    visual_mean: Tensor | None = None
    """(B, D) float32 mean over all tokens of f_v; only for the visual modality alone."""
    new: int = 0
    """The first `new` clips belong to the current task, the rest to the exemplar memory."""
    teacher: Recalled = Recalled({})
    """What the frozen previous model says of these clips, as `Method.recall` worked it out."""
    teacher_of_memory: Recalled = Recalled({})
    """The same for the clips from `new` on, as `Method.recall_of_memory` worked it out."""

    def part(self, begin: int, end: int | None = None) -> "Clips":
        """The clips from `begin` to `end`, without the teacher's outputs."""
        new = max(0, min(self.new, len(self.numbers) if end is None else end) - begin)
        part = self.each(lambda tensor: tensor[begin:end])
        return part._replace(new=new, teacher=Recalled({}), teacher_of_memory=Recalled({}))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The batch's own tensors, with a row a clip: not the store, nor the teacher's outputs."""
        every = self.numbers, self.labels, self.audio, self.rows, self.visual_mean
        return tuple(tensor for tensor in every if tensor is not None)

    def each(self, function: Callable[[Tensor], Tensor]) -> "Clips":
        """The batch with `function` of each of its `tensors`."""
        return self._replace(
            numbers=function(self.numbers),
            labels=function(self.labels),
            audio=function(self.audio),
            rows=None if self.rows is None else function(self.rows),
            visual_mean=None if self.visual_mean is None else function(self.visual_mean),
        )


@dataclass
class ExemplarMemory:
    """Clips of old classes that may be trained on again: at most `size` in all, an equal share a class.

    Each class holds a list in the order of choice; when the share shrinks, it keeps a prefix of its list.
    """

    size: int
    """|M|: clips in all."""
    chosen: dict[int, list[int]] = field(default_factory=dict)
    """Class index -> clip numbers in the order of choice."""

    def share(self, classes: int) -> int:
        """|M| // classes: clips a class may hold once `classes` have been seen."""
        return self.size // classes

    def admit(self, chosen: Mapping[int, Sequence[int]], classes: int) -> None:
        """Take the lists of new classes and cut every list to the share that `classes` seen leave."""
        self.chosen.update({label: list(clips) for label, clips in chosen.items()})
        share = self.share(classes)
        self.chosen = {label: clips[:share] for label, clips in sorted(self.chosen.items())}

    @property
    def clips(self) -> Tensor:
        """(n,) int64 clip numbers, class by class."""
        return torch.tensor([clip for clips in self.chosen.values() for clip in clips], dtype=torch.int64)
