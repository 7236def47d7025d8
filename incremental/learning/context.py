"""One task as it is handed to a method and to its way of learning.

Shapes: n clips.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import RunConfig
from ..data.batch import Batch
from ..data.memory import ExemplarMemory
from ..data.reader import ClipReader
from ..data.tasks import Task
from .randomness import generator
from .state import Stopped


@dataclass
class TaskContext:
    """What a method sees at the borders of tasks and epochs (`method.Context`), and what its way of learning needs."""

    task: Task
    memory: ExemplarMemory
    labels: Tensor
    new_clips: Tensor
    pool: Tensor
    """(n,) int64 numbers of the clips learnt from, old ones too where the method mixes them in."""
    beside: Tensor
    """(n,) int64 numbers of the memory clips that come as the second part of every batch; none for most methods."""
    reader: ClipReader
    config: RunConfig
    stop_asked: Callable[[], bool] = lambda: False
    """Whether the run is to stop at the next opportunity."""

    def over(self, function: Callable[..., Tensor], clips: Tensor) -> Tensor:
        """`function` of `clips` (n,), batch by batch without gradients, joined, on the CPU."""
        return self.reader.over(function, clips, self.config.evaluation_batch_size)

    def batches(self, index: Sequence[Tensor]) -> Iterator[Batch]:
        """The clips of each entry of `index`. Raises Stopped before a further batch where the run is to stop."""
        for number, batch in enumerate(self.reader.batches(index)):
            if number and self.stop_asked():
                raise Stopped
            yield batch

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator of the run's seed, the current task and `purpose`."""
        return generator(self.config.seed, *purpose, "task", self.task.number)
