"""The incremental loop: task after task, for any method, however it learns.

All it knows of a method is `method.BaseMethod`, and of how a task is learnt `method.Learning`. What a run is resumed
from is a `Progress`, told to listeners at the ends of epochs and tasks; random choices need no saving (`randomness`).

Shapes: n clips, C classes.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ..config import RunConfig
from ..data.batch import Batch
from ..data.memory import ExemplarMemory
from ..data.reader import ClipReader
from ..data.tasks import ClipTable, Task
from ..model.operations import counted
from .context import TaskContext
from .events import TrainingListener
from .method import BaseMethod, Learning
from .randomness import seeded_initialisation
from .state import Progress, State, Stopped, copy_of

ANEW = "delete state.pt in its folder to begin the run again"


class Trainer:
    """Learns all tasks of `table` with `method`."""

    def __init__(
        self,
        config: RunConfig,
        table: ClipTable,
        method: BaseMethod,
        reader: ClipReader,
        listeners: Sequence[TrainingListener] = (),
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stop_asked` is asked between steps; where it says so, `run` raises Stopped once listeners have been told."""
        self.config = config
        self.table = table
        self.reader = reader
        self.device = reader.residence.device
        self.method = method.to(self.device)
        self.listeners = tuple(listeners)
        self.stop_asked = stop_asked
        self.memory = ExemplarMemory(config.memory_size)
        self._since, self._counted = time.perf_counter(), counted()

    def run(self, progress: Progress | None = None) -> Progress:
        """Learn what is left to learn and return where that ends: all tasks done."""
        progress = Progress() if progress is None else progress
        self.memory.chosen = dict(progress.memory)
        if any(not 0 <= clip < len(self.table.ids) for clips in progress.memory.values() for clip in clips):
            raise InputError(f"the saved state has exemplars that are not among the run's clips: {ANEW}")
        for number in range(1, progress.task):
            self._grow(self.table.task(number))
        if progress.finished is not None:
            self._restore(progress.finished)
        while progress.task <= len(self.table.tasks):
            self._learn(self.table.task(progress.task), progress)
        return progress

    def _restore(self, state: State) -> None:
        """Take weights from a saved state; InputError where they are another method's, or of another shape."""
        try:
            self.method.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(f"the saved state does not fit the method {self.method.name}: {ANEW}") from error

    def _grow(self, task: Task) -> None:
        with seeded_initialisation(self.config.seed, "grow", task.number):
            self.method.grow(task)
        self.method.to(self.device)

    def _learn(self, task: Task, progress: Progress) -> None:
        """One task, from wherever in it `progress` stands, to the predictions after it."""
        self._since, self._counted = time.perf_counter(), counted()
        validation = self.table.of("val", range(task.seen_classes))
        test = self.table.of("test", range(task.seen_classes))
        context = self._context(task)
        self.reader.residence.hold(torch.cat([context.pool, context.beside, validation, test]))

        with self._told_of_stops(progress):
            learning = self.method.learning(context)
        self._grow(task)
        self.method.begin_task(context)  # of a resumed task too: it may set more than what is saved
        if progress.method is not None:
            self._restore(progress.method)
        if progress.awaiting is not None:
            with self._told_of_stops(progress):
                self._end_epoch(progress.awaiting, task, progress)
        for terms in () if self._waited_enough(progress) else self._epochs(learning, progress):
            progress.awaiting = terms
            learning.write_state(progress)
            with self._told_of_stops(progress):
                self._end_epoch(terms, task, progress)
            if self._waited_enough(progress):
                break

        if progress.best is not None:
            self.method.load_state_dict(progress.best)
        # Where the run is stopped from here on, the task is resumed from the end of its last epoch.
        learnt = copy_of(self.method.state_dict()) if progress.method is not None else None
        self._admit_exemplars(context, task)
        with self._told_of_stops(progress, learnt):
            figures = learning.conclude()
        if figures:
            progress.history.append({"task": task.number, "epoch": progress.epoch} | figures)
        self.method.end_task(context)
        scores = context.over(self._scores, test)
        progress.finished = copy_of(self.method.state_dict())
        progress.chosen_epochs.append(progress.best_epoch or progress.epoch)
        progress.memory = dict(self.memory.chosen)
        progress.memories.append(dict(self.memory.chosen))
        progress.predictions.append((test, scores))
        progress.task, progress.epoch = task.number + 1, 0
        progress.method = progress.optimiser = progress.sums = progress.best = None
        progress.best_accuracy, progress.best_epoch = -1.0, 0
        self._count_costs(progress)
        for listener in self.listeners:
            listener.task_ended(progress)

    def _count_costs(self, progress: Progress) -> None:
        now = time.perf_counter()
        progress.seconds += now - self._since
        progress.operations += counted() - self._counted
        self._since, self._counted = now, counted()

    def _end_epoch(self, terms: Mapping[str, float], task: Task, progress: Progress) -> None:
        """Validate after the epoch that follows `progress.epoch`, choose, and tell. Raises Stopped."""
        epoch = progress.epoch + 1
        line: dict[str, Any] = {"task": task.number, "epoch": epoch} | dict(terms)
        if self._validates(epoch):
            accuracy = self._accuracy(self.table.of("val", range(task.seen_classes)))
            line["validation_accuracy"] = accuracy
            if accuracy > progress.best_accuracy:  # the first of equals stays
                progress.best_accuracy, progress.best_epoch = accuracy, epoch
                progress.best = copy_of(self.method.state_dict())
        progress.history.append(line)
        progress.epoch, progress.awaiting = epoch, None
        self._count_costs(progress)
        for listener in self.listeners:
            listener.epoch_ended(progress)
        if self.stop_asked():  # an epoch of one step has no place between steps
            raise Stopped

    def _validates(self, epoch: int) -> bool:
        """Whether accuracy on validation clips is worked out after an epoch."""
        regularly = epoch % self.config.validate_every == 0 or epoch == self.config.epochs
        return regularly and self.config.model_choice == "best"

    def _waited_enough(self, progress: Progress) -> bool:
        """Whether the task ends with the epoch that is done, since the best one is `patience` epochs ago.

        Told from where the run stands alone, so that a resumed task ends where it would have ended.
        """
        patience, done = self.config.patience, progress.epoch
        return patience is not None and done - progress.best_epoch >= patience and self._validates(done)

    def _epochs(self, learning: Learning, progress: Progress) -> Iterator[dict[str, float]]:
        """The loss terms of each epoch; where it is stopped within one, that is told to listeners first."""
        with self._told_of_stops(progress):
            try:
                for _, terms in learning.epochs(progress):
                    yield terms
            except Stopped:
                learning.write_state(progress)
                raise

    @contextmanager
    def _told_of_stops(self, progress: Progress, state: State | None = None) -> Iterator[None]:
        """Where the run is stopped within it, listeners are told, the method standing as `state` if that is given."""
        try:
            yield
        except Stopped:
            if state is not None:
                progress.method = state
            self._count_costs(progress)
            for listener in self.listeners:
                listener.stopped(progress)
            raise

    def _context(self, task: Task) -> TaskContext:
        """The task's clips, old ones as the method's memory policy has them."""
        table, memory, replay = self.table, self.memory.clips, self.method.replay
        new = table.of("train", task.new_classes)
        pool = table.of("train", range(task.seen_classes)) if replay == "everything" else new
        if replay == "mixed":
            pool = torch.cat([new, memory])
        beside = memory if replay == "separate" else memory[:0]
        return TaskContext(
            task, self.memory, table.labels, new, pool, beside, self.reader, self.config, self.stop_asked
        )

    def _accuracy(self, clips: Tensor) -> float:
        """Percent of `clips` (n,) whose highest score is their label's. Raises Stopped between batches."""
        first = True

        def right(batch: Batch) -> Tensor:
            nonlocal first
            if not first and self.stop_asked():
                raise Stopped
            first = False
            return self._scores(batch).argmax(dim=1) == batch.labels

        return 100.0 * float(self.reader.over(right, clips, self.config.evaluation_batch_size).double().mean())

    def _scores(self, batch: Batch) -> Tensor:
        """The method's scores (B, C). InputError where there is not one for every clip and class seen."""
        scores = self.method.scores(batch)
        wanted = (len(batch.labels), self.method.task.seen_classes)
        if not isinstance(scores, Tensor) or tuple(scores.shape) != wanted:
            what = f"{tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
            raise InputError(
                f"method '{self.method.name}': scores must be a tensor (clips, classes seen) = {wanted}, not {what}"
            )
        return scores

    def _chosen(self, context: TaskContext, label: int, clips: Tensor, share: int) -> list[int]:
        """Exemplars of class `label`, as the method chooses them of its `clips` (n,). InputError for anything else."""
        chosen = self.method.choose_exemplars(context, label, clips, share)
        where = f"method '{self.method.name}': choose_exemplars"
        if not isinstance(chosen, Tensor) or chosen.dim() != 1 or chosen.is_floating_point():
            raise InputError(f"{where} must return a tensor (n,) of clip numbers, not {type(chosen).__name__}")
        numbers: list[int] = chosen.tolist()
        if len(numbers) > share or not set(numbers) <= set(clips.tolist()):
            raise InputError(f"{where} must return at most {share} of the clips that it was given, of class {label}")
        return numbers

    def _admit_exemplars(self, context: TaskContext, task: Task) -> None:
        """Choose exemplars of the new classes and cut the old classes' lists to their new share."""
        share = self.memory.share(task.seen_classes)
        chosen = {}
        for label in task.new_classes:
            of_class = context.new_clips[context.labels[context.new_clips] == label]
            if share:
                chosen[label] = self._chosen(context, label, of_class, share)
        self.memory.admit(chosen, task.seen_classes)
