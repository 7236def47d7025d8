"""Learning a task from statistics: every new clip is seen once, sums are kept, a solve ends the task.

No epochs, no loss, no exemplars: a method whose answer depends on sums over clips alone learns classes that arrive one
after another exactly as if all had come together.

Shapes: B clips, n clips of the table.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ..data.batch import Batch
from .context import TaskContext
from .method import BaseMethod, Context
from .state import Progress, Stopped


class StatisticsMethod(BaseMethod):
    """Base of methods that are solved. Sums are buffers, so that they are saved and carried from task to task."""

    way = "statistics"
    uses_memory = False

    def learning(self, context: TaskContext) -> "StatisticsLearning":
        """One pass over the new clips."""
        return StatisticsLearning(self, context)

    def observe(self, batch: Batch) -> None:
        """Add the clips of a batch to the sums. Every new training clip comes once, in the order of the list."""
        raise NotImplementedError

    def solve(self, context: Context) -> Mapping[str, float]:
        """Work out from the sums what `scores` needs, once all clips of the task have been seen.

        Returns figures worth a line in history.csv, such as a penalty that was chosen, or nothing.
        """
        raise NotImplementedError

    def choose_exemplars(self, context: Context, label: int, clips: Tensor, share: int) -> Tensor:
        """None: sums replace them."""
        return clips[:0]


class StatisticsLearning:
    """One task of a `StatisticsMethod` (`method.Learning`)."""

    def __init__(self, method: StatisticsMethod, context: TaskContext) -> None:
        self.method = method
        self.context = context
        self.figures: dict[str, float] = {}

    @torch.no_grad()
    def epochs(self, progress: Progress) -> Iterator[tuple[int, dict[str, float]]]:
        """Observe every clip, then solve. No epoch."""
        reader = self.context.reader
        size = reader.at_once(self.context.config.evaluation_batch_size)
        for batch in reader.batches(self.context.pool.split(size)):
            if self.context.stop_asked():
                raise Stopped
            self.method.observe(batch)
        self.figures = dict(self.method.solve(self.context))
        yield from ()

    def write_state(self, progress: Progress) -> None:
        """Nothing: a task that was stopped is seen again from its beginning."""

    def conclude(self) -> dict[str, float]:
        """What `solve` returned."""
        return self.figures
