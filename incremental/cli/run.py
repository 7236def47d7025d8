"""`avcil-incr run`: learn the tasks, with progress on the screen. PyTorch is imported after the first checks."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, say
from ...options import FILE, FOLDER, options_of
from ...plugins import read_plugin
from ...wording import RANDOM_WEIGHTS, number_of
from ..config import RunConfig
from ..runs.repeats import Repeats, repeats_of
from ..runs.trackers import check_names, trackers
from .tables import show_table

if TYPE_CHECKING:
    from ..runs.call import ConfiguredRun
    from ..runs.listeners import Listener

RUN_OPTIONS = (
    *("method", "dataset", "manifest", "classes", "cache", "modality", "classes_per_task", "class_order_seed", "tasks"),
    *("epochs", "batch_size", "memory_size", "memory_batch_size", "seed", "device", "precision", "model_choice"),
    *("patience", "validate_every"),
)
"""Fields of the configuration that have an option of `run` by the same name."""


@click.command()
@options_of(RunConfig, RUN_OPTIONS, required=False)
@click.option("--out", type=FOLDER, help="Folder for the results; an unfinished run there is resumed.")
@click.option("--seeds", type=click.IntRange(min=1), help="Run this many seeds, from --seed on, in OUT/seed-N.")
@click.option(
    "--class-orders",
    type=click.IntRange(min=1),
    help="Run this many class orders: the given one, and drawn ones in OUT/order-K/seed-N.",
)
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Any other setting; repeatable.")
@click.option("--config", "config_file", type=FILE, help="Repeat the run of this config.json; other options win.")
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with methods of your own.")
@click.option(
    "--log",
    multiple=True,
    metavar="TRACKER",
    help="Hand the course of the run on: jsonl (log.jsonl in its folder), tensorboard, wandb, mlflow; repeatable.",
)
@click.option("--print-config", is_flag=True, help="Print the configuration as JSON and run nothing.")
def run(
    out: Path | None,
    seeds: int | None,
    class_orders: int | None,
    assignments: tuple[str, ...],
    config_file: Path | None,
    plugins: tuple[Path, ...],
    log: tuple[str, ...],
    print_config: bool,
    **options: Any,
) -> None:
    """Learn the tasks one after another and write the results to OUT."""
    check_names(log)
    repeats = repeats_of(seeds, class_orders)
    _refuse_early(out, repeats, plugins, options, repeated=config_file is not None or bool(assignments))
    if sys.stderr.isatty() and not print_config:  # a log needs no word that nothing has happened yet
        say("starting: PyTorch, the clips and their features are read", err=True)

    from ..runs.call import configure
    from ..runs.configure import parse_assignments

    given = {name: options[name] for name in RUN_OPTIONS if options[name] is not None}
    assigned = parse_assignments(assignments)
    for name in assigned:
        if options.get(name) is not None:
            raise InputError(f"{name} is given twice: as --{name.replace('_', '-')} and by --set")
    given |= assigned
    if print_config:
        given.setdefault("cache", "")
    listeners = [] if print_config else trackers(log)
    configured = configure(given.pop("method", None), config_file=config_file, plugins=plugins, **given)
    if print_config:
        click.echo(json.dumps(configured.plain(), indent=2))
        return
    if out is None:
        raise InputError("say where the results go: --out DIR")
    for finished in configured.check_place(out, repeats):
        say(f"{finished}: this run is finished, and left as it is")
    _run(configured, out, repeats, listeners)


def _refuse_early(
    out: Path | None, repeats: Repeats | None, plugins: Sequence[Path], options: Mapping[str, Any], *, repeated: bool
) -> None:
    """InputError for what can be seen to be wrong without PyTorch, whose import takes a second and more.

    `repeated`: settings come from elsewhere too, among them perhaps the first seed.
    """
    from ..results.files import CONFIG, holds_single_run

    for plugin in plugins:
        read_plugin(plugin)
    if out is None:
        return
    if repeats is None:
        _refuse_taken(out, options)
        return
    repeats.check(options.get("class_order_seed"), options.get("tasks"))
    if (out / CONFIG).is_file():
        raise holds_single_run(out)
    places = {} if repeated else repeats.places(out, options.get("seed") or 0)
    for folder, (_, seed) in places.items():
        _refuse_taken(folder, {**options, "seed": seed})


def _refuse_taken(out: Path, options: Mapping[str, Any]) -> None:
    """InputError where a run's folder holds a run with other settings, something else, or one that is going on."""
    from ..results.cause import other_settings
    from ..results.files import CONFIG, METRICS, check_free, check_idle, config_of

    if not (out / CONFIG).is_file():
        check_free(out)
        return
    there = config_of(out)
    here = {"run": {name: value for name, value in options.items() if value is not None}}
    difference = other_settings(here | {"provenance": there["provenance"]}, there, resumed=True)
    if difference is not None:
        raise InputError(
            f"{out} holds a run with {difference}; choose another --out"
            + ("" if (out / METRICS).is_file() else ", or delete the unfinished run")
        )
    if not (out / METRICS).is_file():
        check_idle(out)


def epochs_words(config: RunConfig) -> str:
    """How long a task is learnt by gradient, and what shortens that."""
    words = f"{number_of(config.epochs, 'epoch')} a task"
    if config.patience is not None:
        words = f"at most {words} (patience {config.patience})"
    return words if config.validate_every == 1 else f"{words}, validated every {config.validate_every}"


def _run(configured: "ConfiguredRun", out: Path, repeats: Repeats | None, listeners: "Sequence[Listener]") -> None:
    """Run once or several times with progress on the screen and told to `listeners`, then show the table."""
    from ..learning.state import Stopped
    from ..runs.call import run as run_configured
    from ..runs.screen import Screen
    from ..runs.stopping import StopRequest

    data, kind, config = configured.load(), configured.kind, configured.config
    table = data.table
    say(
        f"{kind.name}: {number_of(len(table.ids), 'clip')}, "
        f"{number_of(len(table.class_order), 'class', 'classes')} in {number_of(len(table.tasks), 'task')}; "
        + (f"{epochs_words(config)}; " if kind.way == "gradient" else "one pass a task; ")
        + f"{data.device}, {str(data.dtype).removeprefix('torch.')}"
    )
    for line in configured.notes(data):
        say(line)
    if data.residence.plan is not None:
        say(f"features: {data.residence.plan}")
    for line in data.losses():
        say(line)
    if data.cache.random_weights:
        say(RANDOM_WEIGHTS)
    stop = StopRequest()
    try:
        with stop, Screen(several=repeats is not None) as screen:
            how = {} if repeats is None else {"seeds": repeats.seeds, "class_orders": repeats.class_orders}
            run_configured(configured, out, **how, listeners=[screen, *listeners], data=data, stop_asked=stop)
    except Stopped:
        say(f"stopped, and saved in {out}: the same command resumes from there", err=True)
        sys.exit(128 + (stop.signal or 0))
    show_table([out])
    say(f"results: {out}")
