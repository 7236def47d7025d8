"""The scheduler of `--ray` without a cluster, by a clock of its own: `python benchmarks/cluster_plan.py`.

Workers take as long for a shard as they are said to (`--seconds-a-clip`), some ten times as long, and some die over it;
a few clips kill every worker. What is run is the real schedule, together with what the driver remembers of the clips
that are done. Each size is run in a process of its own, so that its memory can be told.

What is not simulated: Ray, the disk, and the list of clips with its paths, which is read before and kept. Its memory
and the size of a shard's record are measured on a sample and given for all clips.
"""

import heapq
import json
import multiprocessing
import random
import resource
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from avcil.cache.layout import Place, ShardRecord
from avcil.extract.cluster.schedule import Culprit, GivenUp, Schedule, Task
from avcil.extract.decoding.workers import Job
from avcil.extract.selection import ShardPlan
from avcil.manifests import Clip
from rich.console import Console
from rich.table import Table

SHARD, BATCH = 256, 32
STARTING = 60.0
"""Seconds from a worker's death to its successor's first shard."""
DEADLY_EVERY = 1_000_003
"""One in so many clips kills every worker."""
MOST_MEMORY = 2e9
SAMPLE = 20_000
NOWHERE = Path("video.mp4")


def plans(clips: int) -> Iterator[ShardPlan]:
    """Made as they are asked for."""
    for group, start in enumerate(range(0, clips, SHARD)):
        ids = [f"clip-{number:010}" for number in range(start, min(start + SHARD, clips))]
        yield ShardPlan(f"shard-{group:05d}", tuple(Job(clip, NOWHERE) for clip in ids))


def simulated(clips: int, workers: int, seconds_a_clip: float, death: float, straggling: float) -> dict[str, float]:
    """One run; figures by name."""
    draw = random.Random(0)
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    schedule = Schedule(plans(clips), -(-clips // SHARD))
    have: dict[str, str] = {}
    moments: list[tuple[float, int, int]] = []  # time, a number that keeps the order, worker
    counts: Counter[str] = Counter()
    deadly = frozenset(f"clip-{number:010}" for number in range(DEADLY_EVERY // 2, clips, DEADLY_EVERY))
    now, order, number = 0.0, 0, 0

    def join(when: float) -> None:
        nonlocal number, order
        number, order = number + 1, order + 1
        schedule.join(number, f"node{number % 16}")
        heapq.heappush(moments, (when, order, number))

    def work(task: Task) -> tuple[bool, float]:
        """Whether the worker dies over its task, and after how long."""
        jobs = [job.id for job in task.plan.jobs]
        batches: list[tuple[str, ...]] = [(clip,) for clip in task.trying] or [
            tuple(jobs[start : start + BATCH]) for start in range(0, len(jobs), BATCH)
        ]
        slow = 10.0 if draw.random() < straggling else 1.0
        dies_at = draw.randrange(len(batches)) if draw.random() < death else -1
        for place, batch in enumerate(batches):
            schedule.note(task, now, batch)
            counts["notes"] += 1
            if place == dies_at or not deadly.isdisjoint(batch):
                return True, slow * seconds_a_clip * BATCH * place
        return False, slow * seconds_a_clip * len(jobs)

    for _ in range(workers):
        join(0.0)
    ending: dict[int, tuple[Task, bool]] = {}
    while schedule.unfinished:
        now, _, worker = heapq.heappop(moments)
        if worker in ending:
            task, dies = ending.pop(worker)
            if dies:
                counts["deaths"] += 1
                for verdict in schedule.leave(worker, "killed"):
                    counts[type(verdict).__name__] += 1
                    if isinstance(verdict, GivenUp):
                        counts["given up"] += len(verdict.plan.jobs)
                join(now + STARTING)
                continue
            schedule.finish(task, now)
            if not task.trying:
                for job in task.plan.jobs:
                    if job.id in have:
                        raise AssertionError(f"{job.id} was made twice")
                    have[job.id] = task.plan.name
        while schedule.next_for(worker) is not None:
            pass
        order += 1
        if tasks := schedule.tasks_of(worker):
            dies, seconds = work(tasks[0])
            ending[worker] = tasks[0], dies
            heapq.heappush(moments, (now + seconds, order, worker))
        else:
            heapq.heappush(moments, (now + 1.0, order, worker))
        if counts["looks"] < now / 60:
            counts["looks"] += 1
            counts["stragglers"] += sum(1 for _ in schedule.stragglers(now))
    if len(have) + counts[Culprit.__name__] + counts["given up"] != clips:
        raise AssertionError("a clip was lost")
    return {
        "clips": clips,
        "shards": -(-clips // SHARD),
        "hours": now / 3600,
        "seconds": time.perf_counter() - started,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "before": before,
        "made": len(have),
        "quarantined": counts[Culprit.__name__],
        "given up": counts["given up"],
        "deaths": counts["deaths"],
        "stragglers": counts["stragglers"],
        "notes": counts["notes"],
        "ideal": clips * seconds_a_clip / workers / 3600,
    }


def of_a_clip() -> tuple[float, float]:
    """Bytes that the list of clips and their paths take for each, and that a shard's record does."""
    tracemalloc.start()
    listed = [Clip(f"clip-{number:010}", "label", "train") for number in range(SAMPLE)]
    found = {clip.id: Path(f"/videos/label/{clip.id}.mp4") for clip in listed}
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    ids = tuple(list(found)[:SHARD])
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "visual": ("<f2", (8, 196, 768)),
        "audio": ("<f2", (768,)),
        "crc32": ("<u4", ()),
        "id": ("|S15", ()),
    }
    places, offset = {}, 4096
    for name, (kind, shape) in shapes.items():
        places[name] = Place(offset, kind, (SHARD, *shape))
        offset = places[name].end
    sums = tuple(2**32 - 1 - row for row in range(SHARD))
    record = ShardRecord("shard-00000", offset, "0" * 64, "0" * 64, "float16", places, ids, {}, sums, sums)
    return taken / SAMPLE, len(json.dumps(record.to_json(), indent=1))


@click.command()
@click.option("--clips", type=click.IntRange(min=1000), multiple=True, default=(1_000_000, 3_000_000, 10_000_000))
@click.option("--workers", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seconds-a-clip", type=float, default=0.2, show_default=True, help="Of one worker.")
@click.option("--death", type=float, default=0.005, show_default=True, help="Share of shards over which one dies.")
@click.option("--straggling", type=float, default=0.005, show_default=True, help="Share of shards ten times as slow.")
def main(clips: tuple[int, ...], workers: int, seconds_a_clip: float, death: float, straggling: float) -> None:
    """Run the scheduler over many clips; status 1 where it is not linear, or takes too much memory."""
    console = Console()
    runs: list[dict[str, Any]] = []
    for count in clips:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            runs.append(pool.apply(simulated, (count, workers, seconds_a_clip, death, straggling)))
    table = Table(
        "clips", "shards", "hours, simulated", "as good as it gets", "deaths", "stragglers", "quarantined", "given up",
        "driver: s", "us a clip", "memory", "of it before",
    )  # fmt: skip
    for run in runs:
        table.add_row(
            f"{run['clips']:,}", f"{run['shards']:,}", f"{run['hours']:.2f}", f"{run['ideal']:.2f}",
            f"{run['deaths']:,}", f"{run['stragglers']:,}", f"{run['quarantined']}", f"{run['given up']}",
            f"{run['seconds']:.0f}", f"{1e6 * run['seconds'] / run['clips']:.1f}", f"{run['bytes'] / 1e9:.2f} GB",
            f"{run['before'] / 1e9:.2f} GB",
        )  # fmt: skip
    console.print(table)
    listed, record = of_a_clip()
    most = max(clips)
    console.print(
        f"besides, for {most:,} clips: their list and paths, {listed:.0f} B each, {listed * most / 1e9:.1f} GB; "
        f"records, {record / 1e3:.0f} kB each, {record * most / SHARD / 1e9:.2f} GB in {-(-most // SHARD):,} files, "
        "and once more in the list of shards",
        highlight=False,
    )
    small, large = min(runs, key=lambda run: run["clips"]), max(runs, key=lambda run: run["clips"])
    growth = large["seconds"] / large["clips"] / (small["seconds"] / small["clips"])
    good = growth < 2 and large["bytes"] < MOST_MEMORY
    console.print(f"time a clip grew by {growth:.2f} from the fewest to the most: {'met' if good else 'NOT MET'}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
