"""Where a run stands, as it is saved and resumed from.

Shapes: n clips, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

State = dict[str, Any]


class Stopped(Exception):  # noqa: N818 - a request that is met, not an error
    """A run was asked to stop and has done so between two steps."""


@dataclass
class Progress:
    """Where a run stands. Saved as it is; tensors on the CPU or the device."""

    task: int = 1
    """The task being learnt, counting from 1; one more than there are when all is done."""
    epoch: int = 0
    """Epochs of it that are done."""
    method: State | None = None
    """The method's state after them."""
    optimiser: State | None = None
    step: int = 0
    """Steps that are done of the epoch after those, where a run was stopped within one."""
    sums: State | None = None
    """Sums of the loss terms over these steps."""
    awaiting: dict[str, float] | None = None
    """The mean loss terms of the epoch after those, where it has ended and was stopped in its validation."""
    best: State | None = None
    """The method's state after the chosen epoch so far."""
    best_accuracy: float = -1.0
    best_epoch: int = 0
    memory: dict[int, list[int]] = field(default_factory=dict)
    """Exemplars by class, as `ExemplarMemory.chosen`."""
    finished: State | None = None
    """The method's chosen state after the last finished task."""
    memories: list[dict[int, list[int]]] = field(default_factory=list)
    """The memory after each finished task."""
    predictions: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """After each finished task: test clip numbers (n,) and scores (n, C)."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """A line an epoch: task, epoch, loss terms, validation accuracy; or a line a task, for a method that is solved."""
    chosen_epochs: list[int] = field(default_factory=list)
    seconds: float = 0.0
    """Time spent so far, over all sessions."""
    operations: int = 0
    """Floating-point operations so far (`model.operations`), those that a resumed session does again included."""

    def epochs_by_task(self) -> dict[int, int]:
        """Epochs that have been done of each task that was begun, by its number; fewer where patience ended it."""
        return {line["task"]: line["epoch"] for line in self.history}


def copy_of(state: Mapping[str, Tensor]) -> State:
    """A copy of a state_dict that training does not write into."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}
