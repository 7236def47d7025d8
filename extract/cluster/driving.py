"""The driver: hands out shards, commits what comes back, and is the only one that adds to the cache."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...cache import CacheWriter
from ...wording import duration
from ..decoding.faults import KILLS_WORKERS
from ..pipeline import Tally
from .crew import Crew, Died, Ready, Said, Worker
from .schedule import ACCUSED, Again, Culprit, GivenUp, Schedule, Task
from .worker import Made, Note, Tried

LISTEN_SECONDS = 1.0
"""Between two looks at stragglers, at most."""


@dataclass
class Driver:
    """One run over the shards that are to be made."""

    writer: CacheWriter
    crew: Crew
    schedule: Schedule
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    """(L, S, D) and (D,) of a clip."""
    say: Callable[[str], object]
    on_done: Callable[[int, int], None]
    """Called with how many more clips are encoded and quarantined; fewer, where a worker died over them."""
    on_read: Callable[[Mapping[str, Path]], None]
    """Called before a shard is committed, with the file that each clip was read from."""
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._counted: Counter[tuple[Task, str]] = Counter()
        self._encoders: dict[int, float] = {}

    def drive(self) -> Tally:
        """Until every shard is made or given up.

        Raises:
            InputError: no worker starts, or the disk takes no more.
        """
        started = time.perf_counter()
        try:
            with self.crew:
                while self.schedule.unfinished:
                    self.crew.staff()
                    for worker in self.crew.workers.values():
                        self._hand_out(worker)
                    for event in self.crew.events(LISTEN_SECONDS):
                        self._take(event)
                    self._name_stragglers()
        finally:
            self.writer.clear_away()
        tally = self.tally
        tally.seconds = time.perf_counter() - started
        tally.encoder_seconds = sum(self._encoders.values()) / max(1, len(self._encoders))
        tally.given_up = dict(self.schedule.given_up)
        return tally

    def _hand_out(self, worker: Worker) -> None:
        while worker.said is not None and (task := self.schedule.next_for(worker.number)) is not None:
            plan = task.plan
            ids = [job.id for job in plan.jobs]
            self.crew.make(worker, task, None if task.trying else self.writer.outline(plan.name, ids, *self.shapes))

    def _take(self, event: Ready | Said | Died) -> None:
        if isinstance(event, Ready):
            self._welcome(event.worker)
        elif isinstance(event, Died):
            self._mourn(event)
        elif isinstance(event.message, Note):
            self._note(event.task, event.message)
        elif isinstance(event.message, Made):
            self._commit(event.worker, event.task, event.message)
        elif isinstance(event.message, Tried):
            self.schedule.finish(event.task, time.monotonic())

    def _welcome(self, worker: Worker) -> None:
        assert worker.said is not None
        if worker.said.difference:
            self.say(f"{worker.place.name} is left out, its features would differ ({worker.said.difference})")
            self.crew.last_words = f"the encoders differ from the cache's ({worker.said.difference})"
            return self.crew.dismiss(worker, for_good=True)
        return self.schedule.join(worker.number, worker.place.name)

    def _note(self, task: Task, note: Note) -> None:
        self.schedule.note(task, time.monotonic(), note.clips)
        if not task.trying:
            self._count(task, note.encoded, note.quarantined)

    def _count(self, task: Task, encoded: int, quarantined: int) -> None:
        if encoded or quarantined:
            self._counted[task, "encoded"] += encoded
            self._counted[task, "quarantined"] += quarantined
            self.on_done(encoded, quarantined)

    def _forget(self, task: Task) -> tuple[int, int]:
        return self._counted.pop((task, "encoded"), 0), self._counted.pop((task, "quarantined"), 0)

    def _commit(self, worker: Worker, task: Task, made: Made) -> None:
        self.on_read(made.files)
        self.writer.quarantine_all(made.quarantined)
        if made.sealed is not None:
            self.writer.commit(made.sealed)
            self.tally.encoded += len(made.sealed.record.ids)
        self._count(task, made.encoded, made.quarantined_since)
        self._forget(task)
        self.tally.quarantined |= {clip: reason for clip, (reason, _) in made.quarantined.items()}
        self.tally.second_choice += made.second_choice
        if made.batch_size is not None:
            self.tally.batch_size = min(made.batch_size, self.tally.batch_size or made.batch_size)
        self._encoders[worker.number] = made.encoder_seconds
        self.schedule.finish(task, time.monotonic())

    def _mourn(self, died: Died) -> None:
        self.tally.died += 1
        tasks = self.schedule.tasks_of(died.worker.number)
        for task in tasks:
            self.writer.clear_away(task.plan.name)
            encoded, quarantined = self._forget(task)
            self.on_done(-encoded, -quarantined)
        verdicts = self.schedule.leave(died.worker.number, died.words)
        if not verdicts:
            self.say(f"a worker died: {died.words}")
        for verdict in verdicts:
            name = verdict.plan.name
            if isinstance(verdict, Again):
                self.say(f"a worker died over {name}, which is tried again ({verdict.deaths}): {died.words}")
            elif isinstance(verdict, GivenUp):
                self.say(f"{name} is given up: {verdict.words}")
            elif isinstance(verdict, Culprit):
                words = f"each of the last {ACCUSED} worker processes that encoded it, alone, died: {verdict.words}"
                self.writer.quarantine(verdict.clip, KILLS_WORKERS, words)
                self.tally.quarantined[verdict.clip] = KILLS_WORKERS
                self.on_done(0, 1)

    def _name_stragglers(self) -> None:
        for task, taken, due in self.schedule.stragglers(time.monotonic()):
            where = self.crew.workers[task.worker].place.name
            self.say(f"{task.plan.name} on {where} has taken {duration(taken)}; others take {duration(due)}")
