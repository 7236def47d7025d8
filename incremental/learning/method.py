"""What every method is, however it learns: classes that arrive, a memory policy, a readout.

A method is an nn.Module, so what it learns, saves and resumes from is its state_dict. Its base says how it learns a
task: `gradient.Method` by steps down a loss, `statistics.StatisticsMethod` by sums over clips that are solved at the
end of the task. For each task the trainer calls, in this order: `learning`, `grow`, `begin_task`; then whatever the way
of learning asks of the method; then `end_task`, and `scores` on the test clips.

Shapes: B clips, n clips of the table, C classes.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Protocol

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from ..config import MODALITIES, STRICT, Modality
from ..data.batch import Batch
from ..data.memory import ExemplarMemory
from ..data.tasks import Task
from ..model.heads import Widths
from .state import Progress

Replay = Literal["none", "separate", "mixed", "everything"]
"""How old clips are trained on: not at all; as the second part of every batch; mixed into the training set;
or all clips seen so far, as only an upper bound may."""

Way = Literal["gradient", "statistics"]
"""How a task is learnt: by steps down a loss over epochs, or by sums over clips, each seen once."""


@dataclass(frozen=True, config=STRICT)
class Settings:
    """A method's own settings; a method adds fields in a subclass. Every field can be set with --set."""


class Context(Protocol):
    """What the trainer shows a method at the borders of tasks and epochs."""

    task: Task
    memory: ExemplarMemory
    labels: Tensor
    """(clips,) int64 class index of every clip of the run, on the CPU."""
    new_clips: Tensor
    """(n,) int64 numbers of the current task's own training clips, on the CPU."""

    def over(self, function: Callable[[Batch], Tensor], clips: Tensor) -> Tensor:
        """`function` of the clips numbered `clips`, batch by batch without gradients, joined, on the CPU."""
        ...

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A CPU generator of the run's seed, the current task and `purpose`."""
        ...


class Learning(Protocol):
    """How one task is learnt, from its beginning to its end; made before the method grows for it."""

    def epochs(self, progress: Progress) -> Iterator[tuple[int, dict[str, float]]]:
        """Learn epoch by epoch, from where `progress` stands in the task.

        Gives the number of each epoch that has ended and the mean of its loss terms; a way without epochs learns all of
        the task and gives nothing. The trainer may take fewer epochs than there are (`config.patience`).
        Raises Stopped where the run is asked to stop.
        """
        ...

    def write_state(self, progress: Progress) -> None:
        """Put into `progress` what `epochs` needs, the method's own state too, to be resumed from here; nothing where
        a task that was stopped is learnt from its beginning."""
        ...

    def conclude(self) -> dict[str, float]:
        """What is left to learn once the chosen epoch's state and the exemplars of all classes are in place.

        Returns figures worth a line in history.csv, or nothing.
        """
        ...


class BaseMethod(nn.Module):
    """Base of all ways to learn. A method of one's own begins with `Method` or `StatisticsMethod`."""

    name: ClassVar[str]
    """What --method calls it."""
    paper: ClassVar[str]
    """Authors, title, venue and year."""
    family: ClassVar[str | None] = None
    """Whose number of epochs a benchmark's presets give it; its own name unless said."""
    way: ClassVar[Way]
    replay: ClassVar[Replay] = "none"
    uses_memory: ClassVar[bool] = True
    """False where no result depends on the exemplar memory: `replay` brings none of it and the method never looks at
    it. Runs that differ in `memory_size` alone are then the same experiment."""
    modalities: ClassVar[tuple[Modality, ...]] = MODALITIES
    needs_tokens: ClassVar[bool] = True
    """Whether audio-visual batches come with every visual token, or with their mean alone."""
    only_for_learning: ClassVar[tuple[str, ...]] = ()
    """Beginnings of names in the state that `scores` never reads, such as sums that weights are solved from: they are
    resumed from, and left out of the weights that are kept after every task."""
    scores_are_logits: ClassVar[bool] = False
    """Whether the softmax of `scores` are probabilities of classes."""
    Settings: ClassVar[type[Settings]] = Settings
    reads_settings: ClassVar[tuple[str, ...]] = ()
    """Fields of `Settings` that the base reads, which a method's own have to have."""

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__()
        self.settings = settings
        self.widths = widths
        self.modality = modality
        self.task = Task(0, (0, 0))

    def learning(self, context: Any) -> Learning:
        """How this method learns the task of `context` (a `context.TaskContext`)."""
        raise NotImplementedError

    def grow(self, task: Task) -> None:
        """Make room for the task's classes. Shapes only: what depends on data belongs to `begin_task`."""
        self.task = task

    def begin_task(self, context: Context) -> None:
        """Initialise from data, before anything is learnt."""

    def end_task(self, context: Context) -> None:
        """Update, from the chosen weights, whatever `scores` needs besides them."""

    def choose_exemplars(self, context: Context, label: int, clips: Tensor, share: int) -> Tensor:
        """Numbers of at most `share` of `clips` (all of class `label`) for the memory, best first."""
        order = torch.randperm(len(clips), generator=context.generator("exemplars", label))
        return clips[order[:share]]

    def scores(self, batch: Batch) -> Tensor:
        """(B, C) one score for every class seen; the highest is the prediction."""
        raise NotImplementedError
