"""Closed-form heads taken through tasks without a run: the seeded clips, random draws given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from avcil.incremental.config import checked
from avcil.incremental.data.tasks import Task
from avcil.incremental.learning.closed_form.method import ClosedForm
from avcil.incremental.learning.randomness import generator
from avcil.incremental.methods import find_method
from avcil.incremental.model.heads import Widths
from avcil.tests.incremental.methods import closed_form_clips
from avcil.tests.incremental.methods.closed_form_clips import CHANNELS, SEED, TASKS
from torch import Tensor

CLIPS = closed_form_clips.make()
TRAIN = tuple((torch.from_numpy(rows).double(), torch.from_numpy(labels)) for rows, labels in CLIPS.train)
TEST = torch.from_numpy(CLIPS.test[0]).double()


def drawn(offset: int) -> np.random.RandomState:
    return np.random.RandomState(SEED + offset)


NORMAL = torch.from_numpy(drawn(1).randn(CHANNELS, 64))
UNIFORM = torch.from_numpy((drawn(2).uniform(-1, 1, (64, CHANNELS)) / np.sqrt(CHANNELS)).T.copy())


class Asked:
    """As much of a context as heads ask for."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def generator(self, *purpose: str | int) -> torch.Generator:
        return generator(0, *purpose, "task", self.task.number)


def head(name: str, **settings: Any) -> Any:
    """A head on raw features of 32 channels, unless `settings` say otherwise."""
    torch.manual_seed(0)
    kind = find_method(name)
    given = checked(kind.Settings, {"features": "raw"} | settings)
    return kind(given, Widths(audio=CHANNELS, visual=5), "audio")


def task_of(number: int) -> Task:
    return Task(number, tuple(2 * n for n in range(number + 1)))


def learn(one: ClosedForm, task: Task, vectors: Tensor, labels: Tensor) -> dict[str, float]:
    """One task with all of it: growth, what is frozen by the first task, sums and solve."""
    one.grow(task)
    asked: Any = Asked(task)
    if task.number == 1:
        one.inputs.freeze(vectors, labels)
        one.freeze(one.inputs(vectors), labels, asked)
    scaled = one.inputs(vectors)
    one.gather(scaled, labels)
    return dict(one.fit(scaled, labels, asked))


def scores_after(one: ClosedForm, tasks: Sequence[tuple[Tensor, Tensor]] = TRAIN, test: Tensor = TEST) -> list[Tensor]:
    """Scores of the test clips of all classes seen, after each task."""
    found = []
    for number, (vectors, labels) in enumerate(tasks, start=1):
        learn(one, task_of(number), vectors, labels)
        found.append(one.answer(one.inputs(test[: 20 * number])))
    assert len(found) == len(TASKS)
    return found
