"""Which worker makes which shard, and what is done about workers that die. Knows no Ray, and no clock of its own.

A worker has two shards: one at work, and one whose clips it decodes meanwhile. A worker's death costs the shard at work
an attempt; the other one goes back as it was. A shard is tried again by another worker, on another node where there
is one. Where two deaths in a row fell on the same clips, these are tried one by one, so that a clip which kills every
worker that encodes it is found and left out.

Memory in use: what is under way and what has had trouble, whatever the number of shards.
"""

import statistics
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..selection import ShardPlan

TRIES = 5
"""Workers that may die over a shard before it is given up."""
ACCUSED = 3
"""Workers that have to die over a single clip, encoded alone, before it counts as what killed them."""
AHEAD = 2
"""Shards a worker has: one at work, one being decoded."""
SUSPECTS = 3
"""Batches that may be under way when a worker dies: one encoded, two on their way to the disk."""
SLOW, SLOW_SECONDS = 4.0, 60.0
"""A shard straggles that takes so many times as long as the median one, and so many seconds more."""
REMEMBERED = 1000
"""Finished shards from whose times the median is worked out."""


@dataclass(eq=False)
class Task:
    """A shard that a worker has."""

    plan: ShardPlan
    worker: int
    trying: tuple[str, ...] = ()
    """Clips to be tried one by one, for the shard has had trouble with one of them; otherwise the shard is made."""
    begun: float | None = None
    """When its first clips were encoded, by the caller's clock; None while it is only being decoded."""
    under_way: deque[tuple[str, ...]] = field(default_factory=lambda: deque(maxlen=SUSPECTS))
    """Clips of the last batches that were given to the encoders."""
    named: bool = False
    """Whether it has been named as a straggler."""


@dataclass(frozen=True)
class Again:
    """A shard is tried again."""

    plan: ShardPlan
    deaths: int


@dataclass(frozen=True)
class Culprit:
    """A clip kills every worker that encodes it."""

    plan: ShardPlan
    clip: str
    words: str


@dataclass(frozen=True)
class GivenUp:
    """A shard is not tried again in this run."""

    plan: ShardPlan
    words: str


Verdict = Again | Culprit | GivenUp


@dataclass
class _Trouble:
    """What is known of a shard over which workers died."""

    deaths: int = 0
    nodes: set[str] = field(default_factory=set)
    """Where they died."""
    suspects: frozenset[str] = frozenset()
    """Clips that were under way at each of the deaths."""
    trying: tuple[str, ...] = ()
    """Those of them that are to be tried one by one."""
    accused: Counter[str] = field(default_factory=Counter)
    acquitted: bool = False
    """Whether all suspects were tried, and none killed."""


class Schedule:
    """The shards that are still to be made.

    Args:
        plans: of the shards, taken one by one as there are workers for them.
        count: how many plans there are.
        tries: workers that may die over a shard.
    """

    def __init__(self, plans: Iterable[ShardPlan], count: int, *, tries: int = TRIES) -> None:
        self._fresh, self._tries = iter(plans), tries
        self._again: deque[ShardPlan] = deque()
        self._waiting = count
        self._tasks: dict[int, list[Task]] = {}
        self._nodes: dict[int, str] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._seconds_a_clip: deque[float] = deque(maxlen=REMEMBERED)
        self.given_up: dict[str, str] = {}
        """Shards that were given up, and how the last worker died."""

    @property
    def unfinished(self) -> bool:
        """Whether a shard is waiting or at a worker."""
        return self._waiting > 0 or any(self._tasks.values())

    @property
    def waiting(self) -> int:
        """Shards that no worker has."""
        return self._waiting

    def tasks_of(self, worker: int) -> Sequence[Task]:
        """What a worker has, the earliest first."""
        return tuple(self._tasks.get(worker, ()))

    def join(self, worker: int, node: str) -> None:
        """A worker is ready."""
        self._tasks[worker], self._nodes[worker] = [], node

    def next_for(self, worker: int) -> Task | None:
        """What a worker is to do besides what it has; None where that is enough or nothing is left.

        The last shards go to workers that have none.
        """
        tasks = self._tasks[worker]
        if len(tasks) >= AHEAD or (tasks and self._waiting < len(self._tasks)):
            return None
        plan = self._taken(self._nodes[worker])
        if plan is None:
            return None
        self._waiting -= 1
        trouble = self._troubles.get(plan.name)
        task = Task(plan, worker, trying=trouble.trying if trouble is not None else ())
        tasks.append(task)
        return task

    def _taken(self, node: str) -> ShardPlan | None:
        """A shard for a worker of `node`: first those that are tried again, if they did not fail there."""
        nodes = set(self._nodes.values())
        for place, plan in enumerate(self._again):
            trouble = self._troubles.get(plan.name)
            if trouble is None or node not in trouble.nodes or nodes <= trouble.nodes:
                del self._again[place]
                return plan
        return next(self._fresh, None)

    def note(self, task: Task, now: float, clips: tuple[str, ...] = ()) -> None:
        """A worker has begun with a shard, or gives these clips of it to the encoders."""
        if task.begun is None:
            task.begun = now
        if clips:
            task.under_way.append(clips)

    def finish(self, task: Task, now: float) -> None:
        """A worker has made a shard, or tried the suspects of one."""
        self._tasks[task.worker].remove(task)
        if task.trying:
            trouble = self._troubles[task.plan.name]
            trouble.trying, trouble.suspects = (), frozenset()
            trouble.acquitted = not trouble.accused
            trouble.accused.clear()
            self._put_back(task.plan)
            return
        self._troubles.pop(task.plan.name, None)
        if task.begun is not None:
            self._seconds_a_clip.append((now - task.begun) / len(task.plan.jobs))

    def leave(self, worker: int, words: str) -> list[Verdict]:
        """A worker has died; what becomes of its shards.

        Args:
            worker: which.
            words: how it died.
        """
        tasks, node = self._tasks.pop(worker, []), self._nodes.pop(worker, "")
        charged = [task for task in tasks if task.begun is not None] or tasks[:1]
        verdicts: list[Verdict] = []
        for task in reversed(tasks):
            if task in charged:
                verdicts += self._charge(task, node, words)
            else:
                self._put_back(task.plan)
        return verdicts

    def _put_back(self, plan: ShardPlan) -> None:
        if plan.jobs:
            self._again.appendleft(plan)
            self._waiting += 1
        else:
            self._troubles.pop(plan.name, None)

    def _charge(self, task: Task, node: str, words: str) -> Iterator[Verdict]:
        plan = task.plan
        trouble = self._troubles.setdefault(plan.name, _Trouble())
        trouble.nodes.add(node)
        clips = frozenset(clip for batch in task.under_way for clip in batch)
        if task.trying and clips:
            [clip] = task.under_way[-1]
            trouble.accused[clip] += 1
            # First the accused one again; those before it have been tried and are innocent.
            trouble.trying = task.trying[task.trying.index(clip) :]
            if trouble.accused[clip] == ACCUSED:
                trouble.trying, trouble.deaths = trouble.trying[1:], 0
                plan = replace(plan, jobs=tuple(job for job in plan.jobs if job.id != clip))
                yield Culprit(plan, clip, words)
                if not trouble.trying:
                    trouble.suspects = frozenset()
                    trouble.accused.clear()
            self._put_back(plan)
            return
        trouble.deaths += 1
        if trouble.deaths >= self._tries:
            self.given_up[plan.name] = words
            del self._troubles[plan.name]
            yield GivenUp(plan, words)
            return
        if not task.trying:
            both = trouble.suspects & clips
            if both and not trouble.acquitted:
                trouble.trying = tuple(job.id for job in plan.jobs if job.id in both)
            trouble.suspects = both or clips
        yield Again(plan, trouble.deaths)
        self._put_back(plan)

    def stragglers(self, now: float) -> Iterator[tuple[Task, float, float]]:
        """Shards that take far longer than others, each named once: the task, its seconds, and what is usual."""
        if not self._seconds_a_clip:
            return
        usual = statistics.median(self._seconds_a_clip)
        for task in (task for tasks in self._tasks.values() for task in tasks):
            if task.begun is None or task.named or task.trying:
                continue
            due, taken = usual * len(task.plan.jobs), now - task.begun
            if taken > SLOW * due and taken > due + SLOW_SECONDS:
                task.named = True
                yield task, taken, due
