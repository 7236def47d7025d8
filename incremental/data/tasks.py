"""The clips of a run, numbered: which class, which split, which task."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


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
