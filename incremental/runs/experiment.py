"""One run, or several that differ in seed and class order, on features that are loaded once: learn, and write the
results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import RunConfig
from ..data.reader import ClipReader
from ..learning.method import BaseMethod
from ..learning.randomness import seeded_initialisation
from ..learning.state import Progress
from ..learning.trainer import Trainer
from ..model.heads import Widths
from .configure import as_plain
from .directory import Keeper, RunDirectory
from .history import HistoryFile
from .listeners import Course, Listener, StartedRun
from .outcome import metrics_of
from .problem import Data, enough_memory
from .provenance import provenance
from .published import published_figures
from .repeats import Repeats


def build_method(kind: type[BaseMethod], config: RunConfig, settings: Any, widths: Widths) -> BaseMethod:
    """The method with its first weights drawn from the run's seed."""
    with seeded_initialisation(config.seed, "heads"):
        return kind(settings, widths, config.modality)


def place_for(config: RunConfig, settings: Any, out: Path) -> RunDirectory:
    """The folder of one run, which may be finished; InputError where it is taken by another."""
    return RunDirectory(out, as_plain(config, settings))


def run_once(
    kind: type[BaseMethod],
    config: RunConfig,
    settings: Any,
    data: Data,
    out: Path,
    listeners: Sequence[Listener] = (),
    stop_asked: Callable[[], bool] = lambda: False,
    plugins: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """One run in folder `out`, resumed where an earlier session left it. Returns metrics.json's content.

    A finished run is left as it is. InputError where the folder holds one of another cause.
    `plugins` as `provenance` takes them. Raises Stopped between two steps, its state saved, where `stop_asked` says so.
    """
    made_from = provenance(config, data, kind, plugins)
    directory = place_for(config, settings, out)
    directory.check(made_from)
    if directory.finished:
        return directory.metrics()
    with directory.alone(), enough_memory(data.device):
        directory = place_for(config, settings, out)  # another process may have run here before the lock was ours
        directory.check(made_from)
        if directory.finished:
            return directory.metrics()
        directory.begin(made_from)
        directory.left_out = kind.only_for_learning
        progress = directory.progress(len(data.table.tasks))
        widths = Widths(audio=data.cache.audio_shape[-1], visual=data.cache.visual_shape[-1])
        run = StartedRun(config, settings, kind.way, out, data.table)
        course = Course(run, [Keeper(directory, config.checkpoint_seconds), HistoryFile(out), *listeners])
        course.begins(Progress() if progress is None else progress)
        reader = ClipReader(data.residence, data.table.labels)
        method = build_method(kind, config, settings, widths)
        trainer = Trainer(config, data.table, method, reader, [course], stop_asked)
        # Before training: whatever is wrong with the data set's file by then must not keep a run from its end.
        published = published_figures(kind, directory.config, data.table.tasks)
        progress = trainer.run(progress)
        metrics = metrics_of(config, data, progress, kind, published)
        directory.finish(progress, data.table, metrics)
        course.ended(metrics)
    return metrics


def run_repeats(
    kind: type[BaseMethod],
    config: RunConfig,
    settings: Any,
    data: Data,
    out: Path,
    repeats: Repeats,
    listeners: Sequence[Listener] = (),
    stop_asked: Callable[[], bool] = lambda: False,
    plugins: Mapping[str, str] | None = None,
) -> list[Mapping[str, Any]]:
    """Each seed of each class order in a folder of its own below `out`, sharing the loaded features.

    Finished ones are left as they are. InputError, before any is run, where one there is of another cause, or where a
    class order makes a task that cannot be learnt or tested.
    """
    configs = repeats.configs(config, out)
    ordered = {order: data.in_order(order, kind) for order in {one.class_order_seed for one in configs.values()}}
    for folder, one in configs.items():
        place_for(one, settings, folder).check(provenance(one, ordered[one.class_order_seed], kind, plugins))
    return [
        run_once(kind, one, settings, ordered[one.class_order_seed], folder, listeners, stop_asked, plugins)
        for folder, one in configs.items()
    ]
