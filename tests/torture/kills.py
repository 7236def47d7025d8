"""SIGKILL and signals at random moments of extraction and training; resumed, and compared with a whole run."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .outcome import Outcome, tally
from .programs import Ended
from .workspace import Workspace, other_files, other_results

METHODS = ("av-cil", "fine-tuning", "icarl-nme", "afc-lsc", "lwf")
IN_A_ROW = 5
"""Kills of one run before it is let to its end."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STARTS = 3
"""Attempts at hitting a command before it ends of itself, for each kill that is wanted."""


@dataclass(frozen=True)
class Kills:
    """How often."""

    extraction: int
    training: int
    signals: int
    """Of each kind in each stage."""


@dataclass(frozen=True)
class Stage:
    """What is disturbed, and how its results are compared."""

    words: Callable[[Path], Sequence[str]]
    """The command that writes to a folder."""
    differs: Callable[[Path], list[str]]
    """In what the folder differs from one that nobody disturbed."""
    seconds: float
    """About as long as it takes."""


def kills(workspace: Workspace, amount: Kills) -> Iterator[Outcome]:
    """The part."""
    extraction, training = extraction_of(workspace), training_of(workspace, METHODS[0])
    yield killed(workspace, "SIGKILL in extraction", lambda number: extraction, amount.extraction)
    stages = {0: training}

    def stage(number: int) -> Stage:
        if number % len(METHODS) not in stages:
            stages[number % len(METHODS)] = training_of(workspace, METHODS[number % len(METHODS)])
        return stages[number % len(METHODS)]

    yield killed(workspace, "SIGKILL in training", stage, amount.training)
    for number in SIGNALS:
        yield signalled(workspace, f"{number.name} in extraction", extraction, number, amount.signals, saved=None)
        yield signalled(workspace, f"{number.name} in training", training, number, amount.signals, saved="state.pt")


def extraction_of(workspace: Workspace) -> Stage:
    """Extraction of the workspace's videos."""
    videos, cache = workspace.videos, workspace.cache
    return Stage(videos.words, lambda out: other_files(cache, out), workspace.seconds["extraction"])


def training_of(workspace: Workspace, method: str) -> Stage:
    """A run of a method, its state saved after every epoch."""
    reference = workspace.undisturbed(method)
    return Stage(
        lambda out: workspace.training(method, out),
        lambda out: other_results(reference, out),
        workspace.seconds[method],
    )


def killed(workspace: Workspace, what: str, stage: Callable[[int], Stage], times: int) -> Outcome:
    """Kill again and again, and resume to the end."""
    rows = [min(IN_A_ROW, times - done) for done in range(0, times, IN_A_ROW)]
    stages = [stage(number) for number in range(len(rows))]

    def chain(number: int) -> tuple[int, list[str]]:
        draw = workspace.draw(what, number)
        return killed_in_a_row(workspace, stages[number], draw, rows[number])

    return tally(what, workspace.side_by_side(chain, range(len(rows))), "resumed to the same bits; no process left")


def killed_in_a_row(workspace: Workspace, stage: Stage, draw: Random, times: int) -> tuple[int, list[str]]:
    """How many kills there were, and what was lost."""
    out, done, lost = workspace.fresh("killed") / "out", 0, []
    for _ in range(STARTS * times):
        program = workspace.start(stage.words(out))
        if program.ended_within(draw.uniform(0, stage.seconds)):
            lost += _losses(program.wait(), stage, out)
        else:
            done += 1
            lost += program.kill().left
        if done == times:
            break
        if not stage.differs(out):  # nothing was left to do when it was killed
            out = workspace.fresh("killed") / "out"
    if stage.differs(out):
        lost += _losses(workspace.run(stage.words(out)), stage, out)
    return done, lost


def _losses(ended: Ended, stage: Stage, out: Path) -> list[str]:
    """What is wrong with a command that ended of itself."""
    wrong = [f"resuming ended with {ended.status}: {ended.said}"] if ended.status else []
    return [*wrong, *ended.left, *(f"another {name} in {out}" for name in stage.differs(out))]


def signalled(
    workspace: Workspace, what: str, stage: Stage, number: signal.Signals, times: int, *, saved: str | None
) -> Outcome:
    """Ask a command to stop, once each time, and resume it to its end."""

    def one(turn: int) -> tuple[int, list[str]]:
        draw = workspace.draw(what, turn)
        for _ in range(STARTS):
            out = workspace.fresh("signalled") / "out"
            program = workspace.start(stage.words(out))
            if program.ended_within(draw.uniform(0.05, 0.9) * stage.seconds):
                program.wait()
                continue
            program.send(number)
            stopped = program.wait()
            if stopped.status == 0:
                continue  # it had all but ended
            lost = list(stopped.left)
            if stopped.status != 128 + number or "Traceback" in stopped.err:
                lost.append(f"status {stopped.status}: {stopped.said}")
            if saved and (out / "config.json").exists() and not (out / saved).exists():
                lost.append(f"stopped without a {saved}: {stopped.said}")
            lost += [f"{path.name} left" for path in out.rglob("*.part")]
            return 1, lost + _losses(workspace.run(stage.words(out)), stage, out)
        return 0, []

    note = f"status {128 + number}, resumed to the same bits"
    return tally(what, workspace.side_by_side(one, range(times)), note)
