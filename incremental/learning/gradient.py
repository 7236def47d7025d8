"""Learning a task by gradient steps: epochs over its clips, a loss, a frozen teacher, balanced epochs at the end.

Shapes: B clips, n clips of the table, C classes.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from ..config import Modality
from ..data.batch import Batch
from ..data.reader import beside, shuffled_batches
from ..data.tasks import Task
from ..model.heads import HeadOutputs, Heads, Widths
from .adam import Optimiser, adam
from .context import TaskContext
from .graphs import CapturedStep, Step
from .method import BaseMethod, Context
from .randomness import seeded_initialisation
from .state import Progress, Stopped
from .teacher import Teacher

COLUMNS = ("task", "epoch", "validation_accuracy")
"""Columns of history.csv beside the loss terms."""


class Method(BaseMethod):
    """Base of methods that are learnt by gradient: plain cross-entropy over all classes so far, argmax of logits.

    In every epoch `loss` is called for each batch, then `after_epoch`; with the chosen epoch's weights back in place
    come `balanced_epochs`. The frozen copy of the method made at a task's end is the next task's teacher.
    """

    way = "gradient"
    scores_are_logits = True
    has_teacher: ClassVar[bool] = False
    """Whether `recall` is asked from the second task on."""

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        self.heads = self.build_heads()

    def build_heads(self) -> Heads:
        """The network, before it knows any class."""
        return Heads(self.widths, self.modality)

    def learning(self, context: TaskContext) -> "GradientLearning":
        """Epochs of gradient steps."""
        return GradientLearning(self, context)

    @property
    def balanced_epochs(self) -> int:
        """Epochs that train the classifier on the exemplars of all classes alone, once these are chosen."""
        return 0

    def grow(self, task: Task) -> None:
        """Room in the classifier for the task's classes."""
        super().grow(task)
        self.heads.classifier.widen(task.seen_classes)

    def after_epoch(self, context: Context) -> None:
        """Update whatever `scores` needs besides the weights (as buffers)."""

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


class GradientLearning:
    """One task of a `Method` (`method.Learning`)."""

    def __init__(self, method: Method, context: TaskContext) -> None:
        """Ask the teacher, which is the method as the last task left it."""
        self.method = method
        self.context = context
        self.config = context.config
        self.device = context.reader.residence.device
        self.teacher: Teacher | None = None
        if method.has_teacher and context.task.number > 1:
            self.teacher = self._ask_teacher()
        self.optimiser: Optimiser | None = None
        self._step_number = 0
        self._sums: dict[str, Tensor] = {}

    @property
    def _captures(self) -> bool:
        """Whether steps are replayed as CUDA graphs."""
        return self.config.cuda_graphs and self.device.type == "cuda"

    def epochs(self, progress: Progress) -> Iterator[tuple[int, dict[str, float]]]:
        """One pass over the training clips after the other, each with the mean of its loss terms."""
        self.optimiser = self.build_optimiser()
        if progress.optimiser is not None:
            self.optimiser.load_state_dict(progress.optimiser)
        self._step_number, self._sums = progress.step, dict(progress.sums or {})
        step: Step = partial(self._step, optimiser=self.optimiser)
        if self._captures:
            step = CapturedStep(step, self.device)
        for epoch in range(progress.epoch + 1, self.config.epochs + 1):
            terms = self._epoch(epoch, self.context.pool, self.context.beside, step, self.context.stop_asked)
            self.method.after_epoch(self.context)
            yield epoch, terms

    def build_optimiser(self) -> Optimiser:
        """Adam, of the parameters that are learnt."""
        return adam(
            [parameter for parameter in self.method.parameters() if parameter.requires_grad],
            learning_rate=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            capturable=self._captures,
        )

    def write_state(self, progress: Progress) -> None:
        """The method's state, Adam's moments, and where in an epoch it was stopped."""
        assert self.optimiser is not None
        progress.method = self.method.state_dict()
        progress.optimiser = self.optimiser.state_dict()
        progress.step, progress.sums = self._step_number, dict(self._sums) or None

    def conclude(self) -> dict[str, float]:
        """Epochs over the exemplars of all classes alone, for a method that asks for them; classifier only.

        All of the classifier, old classes' frozen weights too: what is brought into balance is old against new.
        The first task has no old classes and is left as it is.
        """
        exemplars = self.context.memory.clips
        if not self.method.balanced_epochs or not len(exemplars) or self.context.task.number == 1:
            return {}
        weights = list(self.method.heads.classifier.parameters())
        frozen = [weight for weight in weights if not weight.requires_grad]
        for weight in frozen:
            weight.requires_grad_(True)
        optimiser = adam(weights, learning_rate=self.config.learning_rate, weight_decay=self.config.weight_decay)
        step: Step = partial(self._step, optimiser=optimiser)
        for epoch in range(1, self.method.balanced_epochs + 1):
            if epoch > 1 and self.context.stop_asked():
                raise Stopped
            self._epoch(self.config.epochs + epoch, exemplars, exemplars[:0], step, self.context.stop_asked)
        for weight in frozen:
            weight.requires_grad_(False)
        self.method.after_epoch(self.context)
        return {}

    def _ask_teacher(self) -> Teacher:
        """The model as the last task left it, frozen, asked of all clips it will be asked about."""
        context, reader, task = self.context, self.context.reader, self.context.task
        frozen = copy.deepcopy(self.method).requires_grad_(False)
        with seeded_initialisation(self.config.seed, "teacher", task.number):
            frozen.become_teacher(task)
        once = self.config.teacher == "once"
        return Teacher(
            frozen.to(self.device).requires_grad_(False),
            context,
            clips=torch.cat([context.pool, context.beside]),
            memory_clips=context.beside,
            batch_size=reader.at_once(self.config.evaluation_batch_size),
            total=len(context.labels),
            budget=reader.residence.room_left() if once else 0,
        )

    def _epoch(
        self,
        epoch: int,
        pool: Tensor,
        beside_memory: Tensor,
        step: Step,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> dict[str, float]:
        """One pass over `pool` (n,), memory clips beside, or the rest of one that was stopped; each term's mean."""
        config, context = self.config, self.context
        new = shuffled_batches(pool, config.batch_size, context.generator("shuffle", epoch))
        old: list[Tensor] = []
        if len(beside_memory):
            drawn = context.generator("shuffle memory", epoch)
            old = shuffled_batches(beside_memory, config.memory_batch_size, drawn)
        done, sums = self._step_number, self._sums
        finite = torch.zeros((), dtype=torch.int64, device=self.device)  # steps, counted where nothing has to wait
        for batch in context.reader.batches(beside(new, old)[done:], [len(clips) for clips in new[done:]]):
            for name, term in step(batch).items():
                sums[name] = sums[name] + term if name in sums else term
            finite = finite + torch.stack(list(sums.values())).sum().isfinite()
            self._step_number += 1
            if self._step_number < len(new) and stop_asked():
                raise Stopped
        means = {name: float(total) / len(new) for name, total in sums.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                place = f"task {context.task.number}, epoch {epoch}, step {done + int(finite) + 1} of {len(new)}"
                raise InputError(
                    f"{place}: {name} has become {mean}: lower the learning rate "
                    f"(--set learning_rate=..., now {config.learning_rate}) or the weight of that term"
                )
        self._step_number, self._sums = 0, {}
        return means

    def _step(self, batch: Batch, optimiser: Optimiser) -> Mapping[str, Tensor]:
        """One optimisation step. Returns the detached loss terms; nothing waits for the device."""
        if self.teacher is not None:
            batch = self.teacher.answer(batch)
        terms = self.method.loss(batch)
        _check(self.method.name, terms)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        return {name: term.detach() for name, term in terms.items()}


def _check(method: str, terms: object) -> None:
    """InputError where a loss's terms are not named scalars."""
    where = f"method '{method}': loss must return"
    if not isinstance(terms, Mapping):
        raise InputError(f"{where} named terms, not {type(terms).__name__}")
    if not terms:
        raise InputError(f"{where} at least one term")
    for name, term in terms.items():
        if name in COLUMNS:
            raise InputError(f"{where} terms of other names than '{name}', which is a column of history.csv by itself")
        if not isinstance(term, Tensor):
            raise InputError(f"{where} tensors: '{name}' is of type {type(term).__name__}")
        if term.ndim:
            raise InputError(f"{where} scalars: '{name}' has the shape {tuple(term.shape)}")
