"""The runs of a plan one after the other, under one display; one that fails does not keep the others from going on."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from ...cache import FeatureCache
from ...errors import InputError, one_line, say, shown
from ...wording import duration, number_of
from ..learning import state
from ..results.cause import other_facts
from ..results.files import config_of
from ..runs.call import run as run_configured
from ..runs.listeners import Listener, StartedRun
from ..runs.problem import Data, clip_table
from ..runs.provenance import learnt_from
from .estimates import Estimates
from .plan import PlannedRun


@dataclass
class Outcome:
    """What became of the runs of a plan."""

    there: int = 0
    """Runs that had been finished before."""
    done: int = 0
    """Runs that were finished now."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Why a run failed, by its folder."""


class Display(Listener):
    """Runs done and time left: a bar on a terminal, a line a run in a log; a context manager."""

    def __init__(self, runs: Sequence[PlannedRun], estimates: Estimates) -> None:
        self.waiting = list(runs)
        self.estimates = estimates
        self.total = len(runs)
        self.begun = 0
        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=8), disable=not sys.stderr.isatty()
        )
        self.task = self.bar.add_task("", total=1.0)

    def __enter__(self) -> "Display":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def begins(self, run: PlannedRun) -> None:
        """The next run; what is left is told."""
        self.begun += 1
        self.say(f"run {self.begun} of {self.total}: {run.name}; {time_left(self.waiting, self.estimates)}")
        self.waiting.pop(0)
        self.bar.update(self.task, description=f"run {self.begun}/{self.total}")

    def epoch_ended(self, run: StartedRun, progress: state.Progress) -> None:
        """The bar moves."""
        of_run = run.done(progress) / run.total(progress)
        left = f"; after this run {time_left(self.waiting, self.estimates)}" if self.waiting else ""
        self.bar.update(
            self.task,
            completed=(self.begun - 1 + of_run) / self.total,
            description=f"run {self.begun}/{self.total}, task {progress.task}/{len(run.table.tasks)}, "
            f"epoch {progress.epoch}/{run.epochs}{left}",
        )

    def say(self, line: str) -> None:
        """A line above the bar."""
        if self.bar.disable:
            say(line)
        else:
            self.bar.console.print(Text(shown(line)))


def time_left(runs: Sequence[PlannedRun], estimates: Estimates) -> str:
    """In words, as far as it is known."""
    found = [estimates.seconds(run) for run in runs]
    known = [seconds for seconds in found if seconds is not None]
    if not known and runs:
        return "time left unknown"
    more = len(found) - len(known)
    return f"about {duration(sum(known))} left" + (f", and {number_of(more, 'run')} of unknown time" if more else "")


def execute(
    runs: Sequence[PlannedRun], estimates: Estimates, stop_asked: Callable[[], bool] = lambda: False
) -> Outcome:
    """Run those that are not finished. Finished ones are looked at: they have to be of the same clips and features.

    Raises:
        InputError: the cache cannot be read.
        Stopped: as `stop_asked` wanted; the same call goes on from there.
    """
    outcome = Outcome()
    caches: dict[str, FeatureCache] = {}
    for run in runs:
        place = run.configured.config.cache
        if place not in caches:
            caches[place] = FeatureCache(Path(place))
        if run.finished:
            difference = _other(run, caches[place])
            if difference is None:
                outcome.there += 1
            else:
                outcome.failed[run.folder] = f"{run.folder} holds a run with {difference}; choose another --out"
    waiting = [run for run in runs if not run.finished]
    data: Data | None = None
    with Display(waiting, estimates) as display:
        for run in waiting:
            if stop_asked():
                raise state.Stopped
            display.begins(run)
            try:
                data = _shared(run, data)
                metrics = run_configured(
                    run.configured, run.folder, listeners=[display], data=data, stop_asked=stop_asked
                )
            except state.Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - told at the end; the others go on
                told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
                outcome.failed[run.folder] = one_line(told)
                display.say(f"failed: {one_line(told)}")
            else:
                outcome.done += 1
                estimates.add(run, float(metrics[0]["seconds"]))
    return outcome


def _shared(run: PlannedRun, data: Data | None) -> Data:
    """The features of the run before where they serve for this one too, else loaded anew."""
    if data is not None:
        try:
            data.check(run.configured.config, run.configured.problem, run.configured.kind)
        except InputError:
            data = None  # let go before others are loaded
    return data or run.configured.load()


def _other(run: PlannedRun, cache: FeatureCache) -> str | None:
    """What a finished run learnt from that is not what would be learnt from now, in words."""
    held = set(cache.ids)
    problem = run.configured.problem
    table = clip_table(run.configured.config, problem, [clip for clip in problem.manifest.clips if clip.id in held])
    return other_facts({"provenance": learnt_from(table, cache)}, config_of(run.folder), resumed=True)
