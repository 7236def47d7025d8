"""The workers of a run: started where there is room, replaced when they die, listened to."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...cache import ShardOutline
from ...errors import InputError
from ...wording import number_of
from ..pipeline import NoMemoryError
from .nodes import Place, Share, here, places, words_of
from .schedule import AHEAD, Task
from .worker import Greeting, Made, Note, Orders, ShardWorker, Tried

LOOK_SECONDS = 5.0
"""Between two looks at which machines are up."""
STARTS = 3
"""Workers that may fail to start on a machine, one after the other, before it is left out."""
END_SECONDS = 10.0
"""For a killed worker's process to be gone."""


@dataclass(eq=False)
class Worker:
    """A worker, from its start to its end."""

    number: int
    place: Place
    actor: Any
    greeting: Any
    """Ray's reference to what it will say when it is ready."""
    said: Greeting | None = None
    streams: dict[Any, Task] = field(default_factory=dict)
    """What comes of each of its tasks."""


@dataclass(frozen=True)
class Ready:
    """A worker has loaded its encoders."""

    worker: Worker


@dataclass(frozen=True)
class Said:
    """A worker says something of a task."""

    worker: Worker
    task: Task
    message: Note | Made | Tried


@dataclass(frozen=True)
class Died:
    """A worker is no more."""

    worker: Worker
    words: str


class Crew:
    """A context manager: on leaving it, however, no worker is left.

    Args:
        among: the machines, by node.
        shares: how many workers each holds, and what they get, by node.
        orders: for the workers; threads and decoding processes are set for each machine.
        decoding: decoding processes of each worker; None for what suits its cores.
    """

    def __init__(
        self, among: Mapping[str, Place], shares: Mapping[str, Share], orders: Orders, decoding: int | None
    ) -> None:
        self._places, self._shares, self._orders, self._decoding = dict(among), dict(shares), orders, decoding
        self._failures = dict.fromkeys(shares, 0)
        self._numbers = 0
        self._looked = float("-inf")
        self._up: set[str] = set()
        self.workers: dict[int, Worker] = {}
        """Those that are starting or at work, by number."""
        self.last_words = ""
        """How the last one that died did."""

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *raised: object) -> None:
        for worker in self.workers.values():
            with suppress(ray.exceptions.RayError):
                ray.kill(worker.actor)
        for worker in self.workers.values():
            _wait_for_end(worker)
        self.workers.clear()

    def orders_for(self, share: Share) -> Orders:
        """For a worker with so many cores."""
        decoding = self._decoding or (share.cpus if share.gpus else max(1, share.cpus // 4))
        return replace(self._orders, threads=share.cpus, pace=replace(self._orders.pace, workers=decoding))

    def staff(self) -> None:
        """Start the workers that are missing.

        Raises:
            InputError: there is no machine left on which one starts.
        """
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._up, self._looked = {place.node for place in places()}, time.monotonic()
        able = [node for node, failures in self._failures.items() if failures < STARTS and node in self._up]
        if not able and not self.workers:
            raise InputError(f"no worker is left, and none starts: {self.last_words}")
        for node in able:
            share = self._shares[node]
            there = sum(worker.place.node == node for worker in self.workers.values())
            for _ in range(share.workers - there):
                self._start(self._places[node], share)

    def _start(self, place: Place, share: Share) -> None:
        self._numbers += 1
        how: Any = ray.remote(ShardWorker).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_concurrency=AHEAD + 1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        )
        actor = how.remote(self.orders_for(share))
        self.workers[self._numbers] = Worker(self._numbers, place, actor, actor.greet.remote())

    def make(self, worker: Worker, task: Task, outline: ShardOutline | None) -> None:
        """Have a worker make a shard, or try clips of one."""
        if outline is not None:
            stream = worker.actor.make.options(num_returns="streaming").remote(outline, task.plan.jobs)
        else:
            jobs = [job for job in task.plan.jobs if job.id in task.trying]
            stream = worker.actor.attempt.options(num_returns="streaming").remote(jobs)
        worker.streams[stream] = task

    def events(self, seconds: float) -> Iterator[Ready | Said | Died]:
        """What has happened, after that many seconds at most.

        Raises:
            InputError: a worker cannot write.
        """
        heard: dict[Any, Worker] = {}
        for worker in self.workers.values():
            heard |= dict.fromkeys(worker.streams, worker)
            if worker.said is None:
                heard[worker.greeting] = worker
        if not heard:
            time.sleep(seconds)
            return
        ready, _ = ray.wait(list(heard), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(heard), num_returns=len(heard), timeout=0)
        for source in ready:
            worker = heard[source]
            if worker.number in self.workers:
                yield from self._heard(worker, source)

    def _heard(self, worker: Worker, source: Any) -> Iterator[Ready | Said | Died]:
        try:
            if source is worker.greeting:
                worker.said = ray.get(source)
                self._failures[worker.place.node] = 0
                yield Ready(worker)
            else:
                yield Said(worker, worker.streams[source], ray.get(next(source)))
        except StopIteration:
            del worker.streams[source]
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError) and not isinstance(error.cause, NoMemoryError):
                raise InputError(f"{error.cause} (said by {worker.place.name})") from None
            yield self._dead(worker, error)
        except ray.exceptions.RayError as error:
            yield self._dead(worker, error)

    def _dead(self, worker: Worker, error: BaseException) -> Died:
        self.last_words = f"{words_of(error)} (on {worker.place.name})"
        if worker.said is None:
            self._failures[worker.place.node] += 1
        self.dismiss(worker)
        self._looked = float("-inf")
        return Died(worker, self.last_words)

    def dismiss(self, worker: Worker, *, for_good: bool = False) -> None:
        """End a worker; `for_good`: none is started on its machine any more."""
        with suppress(ray.exceptions.RayError):
            ray.kill(worker.actor)
        _wait_for_end(worker)
        del self.workers[worker.number]
        if for_good:
            self._failures[worker.place.node] = STARTS

    def __str__(self) -> str:
        count = sum(share.workers for share in self._shares.values())
        return f"{number_of(count, 'worker')} on {number_of(len(self._shares), 'machine')}"


def _wait_for_end(worker: Worker) -> None:
    """Until a killed worker's process is gone, if it is on this machine: it must not write any more."""
    if worker.said is None or worker.said.host != here() or worker.said.pid == os.getpid():
        return
    with suppress(psutil.Error):
        psutil.Process(worker.said.pid).wait(END_SECONDS)
