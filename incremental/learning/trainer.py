"""The incremental loop: task after task, epoch after epoch, for any method.

All it knows of a method is `method.Method`. What it needs to go on from is a `Progress`, handed to `keep` at
the ends of epochs and tasks; random choices need no saving (see `randomness`).
"""

import copy
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ..config import RunConfig
from ..data.batch import Batch
from ..data.memory import ExemplarMemory
from ..data.reader import ClipReader, beside, shuffled_batches
from ..data.tasks import ClipTable, Task
from .context import TaskContext
from .graphs import CapturedStep, Step
from .method import Method
from .randomness import seeded_initialisation
from .state import Progress, copy_of
from .teacher import Teacher

Report = Callable[[Progress], None]


class Trainer:
    """Learns all tasks of `table` with `method`."""

    def __init__(
        self,
        config: RunConfig,
        table: ClipTable,
        method: Method,
        reader: ClipReader,
        *,
        keep: Report = lambda progress: None,
        report: Report = lambda progress: None,
    ) -> None:
        """`keep` is called where a run may be stopped and gone on with, `report` after every epoch and task."""
        self.config = config
        self.table = table
        self.reader = reader
        self.device = reader.residence.device
        self.method = method.to(self.device)
        self.keep = keep
        self.report = report
        self.memory = ExemplarMemory(config.memory_size)

    def run(self, progress: Progress | None = None) -> Progress:
        """Learn what is left to learn and return where that ends: all tasks done."""
        progress = Progress() if progress is None else progress
        self.memory.chosen = dict(progress.memory)
        for number in range(1, progress.task):
            self._grow(self.method, self.table.task(number))
        if progress.finished is not None:
            self.method.load_state_dict(progress.finished)
        while progress.task <= len(self.table.tasks):
            self._learn(self.table.task(progress.task), progress)
        return progress

    @property
    def _captures(self) -> bool:
        """Whether steps are replayed as CUDA graphs."""
        return self.config.cuda_graphs and self.device.type == "cuda"

    def _grow(self, method: Method, task: Task) -> None:
        with seeded_initialisation(self.config.seed, "grow", task.number):
            method.grow(task)
        method.to(self.device)

    def _learn(self, task: Task, progress: Progress) -> None:
        """One task, from wherever in it `progress` stands, to the predictions after it."""
        since = time.perf_counter()
        config, table, residence = self.config, self.table, self.reader.residence
        new = table.of("train", task.new_classes)
        validation = table.of("val", range(task.seen_classes))
        test = table.of("test", range(task.seen_classes))
        memory = self.memory.clips
        replay = self.method.replay
        pool = table.of("train", range(task.seen_classes)) if replay == "everything" else new
        if replay == "mixed":
            pool = torch.cat([new, memory])
        beside_memory = memory if replay == "separate" else memory[:0]
        residence.hold(torch.cat([pool, beside_memory, validation, test]))
        context = TaskContext(task, self.memory, table.labels, new, self.reader, config)

        teacher = None
        if self.method.has_teacher and task.number > 1:
            teacher = self._teacher(task, torch.cat([pool, beside_memory]), beside_memory)
        self._grow(self.method, task)
        if progress.method is None:
            self.method.begin_task(context)
        else:
            self.method.load_state_dict(progress.method)
        optimiser = torch.optim.Adam(
            [parameter for parameter in self.method.parameters() if parameter.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
            capturable=self._captures,
        )
        if progress.optimiser is not None:
            optimiser.load_state_dict(progress.optimiser)

        step: Step = partial(self._step, teacher=teacher, optimiser=optimiser)
        if self._captures:
            step = CapturedStep(step, self.device)
        for epoch in range(progress.epoch + 1, config.epochs + 1):
            terms = self._epoch(epoch, context, pool, beside_memory, step)
            self.method.after_epoch(context)
            line: dict[str, Any] = {"task": task.number, "epoch": epoch} | terms
            if config.model_choice == "best":
                accuracy = self._accuracy(validation)
                line["validation_accuracy"] = accuracy
                if accuracy > progress.best_accuracy:  # the first of equals stays
                    progress.best_accuracy, progress.best_epoch = accuracy, epoch
                    progress.best = copy_of(self.method.state_dict())
            progress.history.append(line)
            progress.epoch = epoch
            progress.method = self.method.state_dict()
            progress.optimiser = optimiser.state_dict()
            progress.seconds += time.perf_counter() - since
            since = time.perf_counter()
            self.report(progress)
            if epoch < config.epochs:
                self.keep(progress)

        if progress.best is not None:
            self.method.load_state_dict(progress.best)
        self._admit_exemplars(context, task)
        self._balance(context, teacher)
        self.method.end_task(context)
        scores = context.over(self.method.scores, test)
        progress.finished = copy_of(self.method.state_dict())
        progress.chosen_epochs.append(progress.best_epoch or config.epochs)
        progress.memory = dict(self.memory.chosen)
        progress.memories.append(dict(self.memory.chosen))
        progress.predictions.append((test, scores))
        progress.task, progress.epoch = task.number + 1, 0
        progress.method = progress.optimiser = progress.best = None
        progress.best_accuracy, progress.best_epoch = -1.0, 0
        progress.seconds += time.perf_counter() - since
        self.report(progress)
        self.keep(progress)

    def _teacher(self, task: Task, clips: Tensor, memory_clips: Tensor) -> Teacher:
        """The model as the last task left it, frozen, asked of all clips it will be asked about."""
        frozen = copy.deepcopy(self.method).requires_grad_(False)
        with seeded_initialisation(self.config.seed, "teacher", task.number):
            frozen.become_teacher(task)
        once = self.config.teacher == "once"
        return Teacher(
            frozen.to(self.device).requires_grad_(False),
            self.reader,
            clips=clips,
            memory_clips=memory_clips,
            batch_size=self.reader.at_once(self.config.evaluation_batch_size),
            total=len(self.table.ids),
            budget=self.reader.residence.room_left() if once else 0,
        )

    def _epoch(
        self,
        epoch: int,
        context: TaskContext,
        pool: Tensor,
        beside_memory: Tensor,
        step: Step,
    ) -> dict[str, float]:
        """One pass over the training clips; the mean of each loss term."""
        config = self.config
        new = shuffled_batches(pool, config.batch_size, context.generator("shuffle", epoch))
        old: list[Tensor] = []
        if len(beside_memory):
            drawn = context.generator("shuffle memory", epoch)
            old = shuffled_batches(beside_memory, config.memory_batch_size, drawn)
        sums: dict[str, Tensor] = {}
        for clips in self.reader.batches(beside(new, old), [len(batch) for batch in new]):
            for name, term in step(clips).items():
                sums[name] = sums[name] + term if name in sums else term
        means = {name: float(total) / len(new) for name, total in sums.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise InputError(
                    f"task {context.task.number}, epoch {epoch}: {name} has become {mean}: lower the learning rate "
                    f"(--set learning_rate=..., now {config.learning_rate}) or the weight of that term"
                )
        return means

    def _step(self, batch: Batch, teacher: Teacher | None, optimiser: torch.optim.Optimizer) -> Mapping[str, Tensor]:
        """One optimisation step. Returns the detached loss terms; nothing waits for the device."""
        if teacher is not None:
            batch = teacher.answer(batch)
        terms = self.method.loss(batch)
        if not isinstance(terms, Mapping):
            raise InputError(f"method '{self.method.name}': loss must return named terms, not {type(terms).__name__}")
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        return {name: term.detach() for name, term in terms.items()}

    def _balance(self, context: TaskContext, teacher: Teacher | None) -> None:
        """Epochs over the exemplars of all classes alone, for a method that asks for them; classifier only.

        All of the classifier, old classes' frozen weights too: what is brought into balance is old against new.
        The first task has no old classes and is left as it is.
        """
        if not self.method.balanced_epochs or not len(self.memory.clips) or context.task.number == 1:
            return
        weights = list(self.method.heads.classifier.parameters())
        frozen = [weight for weight in weights if not weight.requires_grad]
        for weight in frozen:
            weight.requires_grad_(True)
        optimiser = torch.optim.Adam(weights, lr=self.config.learning_rate, weight_decay=self.config.weight_decay)
        step: Step = partial(self._step, teacher=teacher, optimiser=optimiser)
        for epoch in range(1, self.method.balanced_epochs + 1):
            nothing = self.memory.clips[:0]
            self._epoch(self.config.epochs + epoch, context, self.memory.clips, nothing, step)
        for weight in frozen:
            weight.requires_grad_(False)
        self.method.after_epoch(context)

    def _accuracy(self, clips: Tensor) -> float:
        """Percent of `clips` (n,) whose highest score is their label's."""
        right = self.reader.over(
            lambda batch: self.method.scores(batch).argmax(dim=1) == batch.labels,
            clips,
            self.config.evaluation_batch_size,
        )
        return 100.0 * float(right.double().mean())

    def _admit_exemplars(self, context: TaskContext, task: Task) -> None:
        """Choose exemplars of the new classes and cut the old classes' lists to their new share."""
        share = self.memory.share(task.seen_classes)
        chosen = {}
        for label in task.new_classes:
            of_class = context.new_clips[context.labels[context.new_clips] == label]
            if share:
                chosen[label] = self.method.choose_exemplars(context, label, of_class, share).tolist()
        self.memory.admit(chosen, task.seen_classes)
