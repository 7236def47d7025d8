"""Disks that are full, fail, take their time or have no locks, clocks that jump, and two writers in one place."""

import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import interposed
from .outcome import Outcome, tally
from .programs import Circumstances, Ended
from .workspace import Workspace, other_files, other_results, tree_of

NO_COMPILER = "no C compiler here that makes a library for LD_PRELOAD"


@dataclass(frozen=True)
class Disks:
    """How often."""

    full: int
    """Moments at which the disk fills, in each stage."""
    limits: int
    """Limits of the size of files, in each stage."""
    failing: int
    """Moments at which reading a cache fails."""
    together: int
    """Pairs of writers, in each stage."""


@dataclass(frozen=True)
class Stage:
    """A command that writes to a folder, and how that is compared with an undisturbed one."""

    name: str
    words: Callable[[Path], Sequence[str]]
    reference: Path
    differs: Callable[[Path, Path], list[str]]


def disks(workspace: Workspace, amount: Disks) -> Iterator[Outcome]:
    """The part."""
    stages = (
        Stage("extraction", workspace.videos.words, workspace.cache, other_files),
        Stage(
            "training", lambda out: workspace.training("av-cil", out), workspace.undisturbed("av-cil"), other_results
        ),
    )
    for stage in stages:
        yield limited(workspace, stage, amount.limits)
        yield together(workspace, stage, amount.together)
    if not workspace.interposed:
        yield Outcome(
            "disk full at a write, failing and short reads and writes, no locks, jumping clocks", 0, note=NO_COMPILER
        )
        return
    for stage in stages:
        yield full(workspace, stage, amount.full)
        yield same(workspace, stage)
        yield without_locks(workspace, stage)
    yield reading_without_locks(workspace)
    yield failing(workspace, amount.failing)


def refused(ended: Ended) -> list[str]:
    """What is wrong with the end of a command that could not write."""
    right = ended.one_line and not ended.late
    return [*ended.left, *([] if right else [f"status {ended.status}: {ended.said}"])]


def resumed(workspace: Workspace, stage: Stage, out: Path) -> list[str]:
    """What is wrong once the obstacle is gone and the same command was run again."""
    parts = [f"{path.name} left" for path in out.rglob("*.part")] if out.exists() else []
    if out.exists() and not stage.differs(stage.reference, out):
        return parts  # only the last words were refused
    ended = workspace.run(stage.words(out))
    done = ended.status == 0 or "holds a finished run" in ended.err  # all was written but for the last sync
    wrong = [] if done else [f"afterwards status {ended.status}: {ended.said}"]
    return [*parts, *wrong, *(f"afterwards another {name}" for name in stage.differs(stage.reference, out))]


def limited(workspace: Workspace, stage: Stage, times: int) -> Outcome:
    """RLIMIT_FSIZE just below each size that a file has at the end, and below random ones."""
    sizes = {path.stat().st_size for path in stage.reference.rglob("*") if path.is_file()} - {0}
    draw = workspace.draw("limits", stage.name)
    chosen = sorted(draw.sample(sorted(sizes), min(times, len(sizes))))
    chosen += [int(max(sizes) ** draw.random()) + 1 for _ in range(times - len(chosen))]

    def one(size: int) -> tuple[int, list[str]]:
        out = workspace.fresh("limited") / "out"
        limit = Circumstances(limits={resource.RLIMIT_FSIZE: size - 1})
        ended = workspace.run(stage.words(out), limit)
        wrong = refused(ended) if ended.status else []
        return 1, [f"{words} (files of {size - 1} bytes)" for words in wrong + resumed(workspace, stage, out)]

    return tally(
        f"no file may grow beyond some size, in {stage.name}", workspace.side_by_side(one, chosen), RIGHT_AFTER
    )


RIGHT_AFTER = "one line; the same command then gives the same bits"


def full(workspace: Workspace, stage: Stage, times: int) -> Outcome:
    """The disk is full from the n-th write, sync, new file or rename on, for random n."""
    out, count = workspace.fresh("counted") / "out", workspace.fresh("count") / "count"
    workspace.run(stage.words(out), interposed.below(out, COUNT=count))
    writes = int(count.read_text().split()[0])
    draw = workspace.draw("full", stage.name)
    moments = sorted(draw.sample(range(writes), min(times, writes)))

    def one(moment: int) -> tuple[int, list[str]]:
        out = workspace.fresh("full") / "out"
        ended = workspace.run(stage.words(out), interposed.below(out, ROOM=moment))
        wrong = refused(ended) if ended.status else []
        return 1, [f"{words} (write {moment} of {writes})" for words in wrong + resumed(workspace, stage, out)]

    return tally(f"disk full at a write, in {stage.name}", workspace.side_by_side(one, moments), RIGHT_AFTER)


def same(workspace: Workspace, stage: Stage) -> Outcome:
    """Nuisances that change nothing."""
    out = workspace.fresh("same") / "out"
    ended = workspace.run(stage.words(out), interposed.below(workspace.root, SHORT=1, CLOCK=1))
    wrong = [f"status {ended.status}: {ended.said}"] if ended.status else []
    wrong += [f"another {name}" for name in stage.differs(stage.reference, out)]
    what = f"writes and reads that take half, and a clock that jumps by years, in {stage.name}"
    return tally(what, [(1, [*wrong, *ended.left])], "the same bits")


def together(workspace: Workspace, stage: Stage, times: int) -> Outcome:
    """Two processes write to the same place at once."""

    def pair(_: int) -> tuple[int, list[str]]:
        out = workspace.fresh("together") / "out"
        programs = [workspace.start(stage.words(out)) for _ in range(2)]
        ends = [program.wait() for program in programs]
        wrong = [words for ended in ends if ended.status for words in refused(ended)]
        if not any(ended.status == 0 for ended in ends):
            wrong.append("neither wrote")
        return 1, wrong + [f"another {name}" for name in stage.differs(stage.reference, out)]

    note = "the second is refused or finds all done; the same bits"
    return tally(f"two at once in one folder, in {stage.name}", map(pair, range(times)), note)


def without_locks(workspace: Workspace, stage: Stage) -> Outcome:
    """On a file system without locks nothing is written, by one or by two at once."""
    out = workspace.fresh("lockless") / "out"
    programs = [workspace.start(stage.words(out), interposed.below(out, NO_LOCKS=1)) for _ in range(2)]
    wrong = [words for program in programs for words in refused(program.wait())]
    wrong += [f"{name} was written" for name in (tree_of(out) if out.exists() else ()) if name != ".lock"]
    return tally(f"two at once on a file system without locks, in {stage.name}", [(2, wrong)], "both refused")


def reading_without_locks(workspace: Workspace) -> Outcome:
    """Reading a cache needs no lock."""
    cache, lockless = workspace.cache, interposed.below(workspace.cache, NO_LOCKS=1)
    results = []
    for words in (
        ["avcil-extract", "verify", "--cache", str(cache)],
        ["avcil-extract", "status", "--cache", str(cache)],
        ["avcil-extract", "export", "--cache", str(cache), "--out", str(workspace.fresh("export") / "out")],
        workspace.videos.training(cache, workspace.fresh("lockless") / "out"),
    ):
        ended = workspace.run(words, lockless)
        results.append((1, [f"{' '.join(words[:2])}: status {ended.status}: {ended.said}"] if ended.status else []))
    return tally("reading a cache on a file system without locks", results, "verify, status, export and training")


def failing(workspace: Workspace, times: int) -> Outcome:
    """From the n-th read on, reading the cache gives an error, in training and in verify."""
    cache, count = workspace.cache, workspace.fresh("count") / "count"
    verify = ["avcil-extract", "verify", "--cache", str(cache)]
    workspace.run(verify, interposed.below(cache, COUNT=count))
    checked = int(count.read_text().split()[1])
    out = workspace.fresh("counted") / "out"
    workspace.run(workspace.videos.training(cache, out), interposed.below(cache, COUNT=count))
    trained = int(count.read_text().split()[1])

    def one(number: int) -> tuple[int, list[str]]:
        draw = workspace.draw("failing", number)
        if number % 2:
            moment = draw.randrange(checked)
            ended = workspace.run(verify, interposed.below(cache, READS=moment))
            said = (ended.status == 1 and ".h5" in ended.out) or "shard" in ended.out
            right = (said or ended.one_line) and "Traceback" not in ended.err
            return 1, [] if right else [f"verify: status {ended.status}: {ended.said} (read {moment})"]
        moment, out = draw.randrange(trained), workspace.fresh("failing") / "out"
        ended = workspace.run(workspace.videos.training(cache, out), interposed.below(cache, READS=moment))
        wrong = [f"training: {words} (read {moment})" for words in refused(ended)]
        workspace.run(workspace.videos.training(cache, out))
        return 1, wrong + [f"afterwards another {name}" for name in other_results(workspace.trained, out)]

    workspace.trained  # noqa: B018 - made before two threads ask for it
    return tally("reading the cache fails", workspace.side_by_side(one, range(times)), "one line")
