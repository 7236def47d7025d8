"""What a method is: heads, a loss, a memory policy and a readout. One file a method in `methods/`.

A method is an nn.Module, so what it trains, saves and goes on from is its state_dict. The trainer calls, in
this order, for each task: `grow`, `begin_task`; then for each epoch `loss` for every batch, `after_epoch`,
`scores` on the validation clips; then, with the chosen weights back in place, `end_task` and `scores` on the
test clips. The frozen copy of the method made at a task's end is the next task's teacher.

Shapes: B clips, L time slices, S tokens, D channels, C classes.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from ..config import MODALITIES, STRICT, Modality
from ..data.batch import Batch
from ..data.memory import ExemplarMemory
from ..data.tasks import Task
from ..model.heads import HeadOutputs, Heads, Widths

Replay = Literal["none", "separate", "mixed", "everything"]
"""How old clips are trained on: not at all; as the second part of every batch; mixed into the training set;
or all clips seen so far, as only an upper bound may."""


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


class Method(nn.Module):
    """Base of all methods: plain cross-entropy over all classes so far, no memory, argmax of logits."""

    name: ClassVar[str]
    """What --method calls it."""
    paper: ClassVar[str]
    """Authors, title, venue and year."""
    family: ClassVar[str | None] = None
    """Whose number of epochs a benchmark's presets give it; its own name unless said."""
    replay: ClassVar[Replay] = "none"
    has_teacher: ClassVar[bool] = False
    """Whether `recall` is asked from the second task on."""
    modalities: ClassVar[tuple[Modality, ...]] = MODALITIES
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__()
        self.settings = settings
        self.widths = widths
        self.modality = modality
        self.task = Task(0, (0, 0))
        self.heads = self.build_heads()

    def build_heads(self) -> Heads:
        """The network, before it knows any class."""
        return Heads(self.widths, self.modality)

    @property
    def balanced_epochs(self) -> int:
        """Epochs that train the classifier on the exemplars of all classes alone, once these are chosen."""
        return 0

    # ---- the borders of tasks and epochs

    def grow(self, task: Task) -> None:
        """Make room for the task's classes. Shapes only: what depends on data belongs to `begin_task`."""
        self.task = task
        self.heads.classifier.widen(task.seen_classes)

    def begin_task(self, context: Context) -> None:
        """Initialise from data, before the optimiser is made."""

    def after_epoch(self, context: Context) -> None:
        """Update whatever `scores` needs besides the weights (as buffers)."""

    def end_task(self, context: Context) -> None:
        """Update, from the chosen weights, whatever `scores` needs besides them."""

    def choose_exemplars(self, context: Context, label: int, clips: Tensor, share: int) -> Tensor:
        """Numbers of at most `share` of `clips` (all of class `label`) for the memory, best first."""
        order = torch.randperm(len(clips), generator=context.generator("exemplars", label))
        return clips[order[:share]]

    # ---- the teacher

    def become_teacher(self, task: Task) -> None:
        """Called on the frozen copy when `task` begins that it will teach."""

    def recall(self, batch: Batch) -> Mapping[str, Tensor]:
        """Asked of the frozen copy once a task: its outputs (B, ...) for clips of `task`, found again in
        `batch.teacher`."""
        return {"logits": self.heads(batch).logits}

    def recall_of_memory(self, batch: Batch) -> Mapping[str, Tensor]:
        """The same for memory clips only, found again in `batch.teacher_of_memory`."""
        return {}

    # ---- learning and telling

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Named terms; their sum is minimised. Called under gradient."""
        return {"cross_entropy": F.cross_entropy(self.heads(batch).logits, batch.labels)}

    def scores(self, batch: Batch) -> Tensor:
        """(B, C) one score for every class seen; the highest is the prediction."""
        outputs: HeadOutputs = self.heads(batch)
        return outputs.logits
