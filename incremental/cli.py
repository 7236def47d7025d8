"""`avcil-incr`: run a method, list methods, show results. Heavy imports wait until a command needs them."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, OneLineGroup, say, shown
from ..files import write_json, written_aside
from ..manifests import SPLITS, Split, by_class
from ..options import FILE, FOLDER, options_of
from ..wording import RANDOM_WEIGHTS
from .config import GradientSettings, RunConfig, names_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from .results.collect import FinishedRun
    from .runs.call import ConfiguredRun

RUN_OPTIONS = (
    *("method", "dataset", "manifest", "classes", "cache", "modality", "classes_per_task", "class_order_seed", "tasks"),
    *("epochs", "batch_size", "memory_size", "memory_batch_size", "seed", "device", "precision", "model_choice"),
)
"""Fields of the configuration that have an option of `run` by the same name."""


@click.group(cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avcil")
def main() -> None:
    """Stage 2: audio-visual class-incremental learning from cached features."""
    # OpenMP's threads spin while they wait: beside another job on the same cores a run took ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@main.command()
@options_of(RunConfig, RUN_OPTIONS, required=False)
@click.option("--out", type=FOLDER, help="Folder for the results; an unfinished run there is resumed.")
@click.option("--seeds", type=click.IntRange(min=1), help="Run this many seeds, from --seed on, in OUT/seed-N.")
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Any other setting; repeatable.")
@click.option("--config", "config_file", type=FILE, help="Repeat the run of this config.json; other options win.")
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with methods of your own.")
@click.option("--print-config", is_flag=True, help="Print the configuration as JSON and run nothing.")
def run(
    out: Path | None,
    seeds: int | None,
    assignments: tuple[str, ...],
    config_file: Path | None,
    plugins: tuple[Path, ...],
    print_config: bool,
    **options: Any,
) -> None:
    """Learn the tasks one after another and write the results to OUT."""
    _refuse_early(out, seeds, plugins, options)

    from .runs.call import configure
    from .runs.configure import parse_assignments

    given = {name: options[name] for name in RUN_OPTIONS if options[name] is not None}
    assigned = parse_assignments(assignments)
    for name in assigned:
        if options.get(name) is not None:
            raise InputError(f"{name} is given twice: as --{name.replace('_', '-')} and by --set")
    given |= assigned
    if print_config:
        given.setdefault("cache", "")
    configured = configure(given.pop("method", None), config_file=config_file, plugins=plugins, **given)
    if print_config:
        click.echo(json.dumps(configured.plain(), indent=2))
        return
    if out is None:
        raise InputError("say where the results go: --out DIR")
    for finished in configured.check_place(out, seeds):
        say(f"{finished}: this run is finished, and left as it is")
    _run(configured, out, seeds)


def _refuse_early(out: Path | None, seeds: int | None, plugins: Sequence[Path], options: Mapping[str, Any]) -> None:
    """InputError for what can be seen to be wrong without PyTorch, whose import takes a second and more."""
    from .plugins import read_plugin
    from .results.cause import other_settings
    from .results.files import CONFIG, check_free, config_of

    for plugin in plugins:
        read_plugin(plugin)
    if out is None or seeds is not None:
        return
    if not (out / CONFIG).is_file():
        check_free(out)
        return
    there = config_of(out)
    here = {"run": {name: value for name, value in options.items() if value is not None}}
    difference = other_settings(here | {"provenance": there["provenance"]}, there, resumed=True)
    if difference is not None:
        raise InputError(f"{out} holds a run with {difference}; choose another --out")


def _run(configured: "ConfiguredRun", out: Path, seeds: int | None) -> None:
    """Run one or several seeds with progress on the screen, then show the table."""
    from .learning.state import Stopped
    from .runs.call import run as run_configured
    from .runs.screen import Screen
    from .runs.stopping import StopRequest

    data, kind, config = configured.load(), configured.kind, configured.config
    table = data.table
    say(
        f"{kind.name}: {len(table.ids)} clips, {len(table.class_order)} classes in {len(table.tasks)} tasks; "
        + (f"{config.epochs} epochs a task; " if kind.way == "gradient" else "one pass a task; ")
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
        with stop, Screen(several=seeds is not None) as screen:
            run_configured(configured, out, seeds=seeds, listeners=[screen], data=data, stop_asked=stop)
    except Stopped:
        say(f"stopped, and saved in {out}: the same command resumes from there", err=True)
        sys.exit(128 + (stop.signal or 0))
    _show_table([out])
    say(f"results: {out}")


@main.command()
@click.argument("name", required=False)
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with methods of your own.")
def methods(name: str | None, plugins: tuple[Path, ...]) -> None:
    """List the methods; with a NAME, explain its settings and those of every run."""
    from rich import box
    from rich.table import Table

    from .config import described
    from .methods import all_methods, find_method

    if name is None:
        table = Table("Method", "Old clips", "Modalities", "Paper", box=box.SIMPLE_HEAD)
        for known, kind in all_methods(plugins).items():
            table.add_row(*map(_plain, (known, kind.replay, ", ".join(kind.modalities), kind.paper)))
    else:
        kind = find_method(name, plugins)
        say(f"{kind.name}: {' '.join((kind.__doc__ or '').split())}")
        say(kind.paper)
        table = Table("Setting", "Default", "Meaning", box=box.SIMPLE_HEAD)
        for setting, (default, meaning) in described(kind.Settings).items():
            table.add_row(*map(_plain, (setting, default, meaning)))
    _console().print(table)
    if name is not None:
        solved = names_of(GradientSettings) if kind.way == "statistics" else ()
        shared = Table("Setting of every run", "Default", "Meaning", box=box.SIMPLE_HEAD)
        for setting, (default, meaning) in described(RunConfig).items():
            if setting not in ("method", "plugins", *solved):
                shared.add_row(*map(_plain, (setting, default, meaning)))
        _console().print(shared)


@main.command()
@click.argument("run_directory", metavar="RUN", type=FOLDER)
def show(run_directory: Path) -> None:
    """Show every figure of one run and its accuracy matrix."""
    from .results.collect import load_runs, rows_of
    from .results.tables import notes, run_tables

    console = _console()
    runs = load_runs([run_directory])
    for run in runs:
        for table in run_tables(run):
            console.print(table)
        say(f"files: {run.path}")
    for line in notes(rows_of(runs)):
        say(line)


@main.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
@click.option("--csv", "csv_file", type=FILE, help="Also write every figure to this CSV file.")
def table(runs: tuple[Path, ...], markdown: bool, csv_file: Path | None) -> None:
    """Compare runs: one line for runs that differ only in their seed."""
    _show_table(runs, markdown=markdown, csv_file=csv_file)


@main.command()
@click.argument("run_directory", metavar="RUN", type=FOLDER)
@click.option("--manifest", type=FILE, required=True, help="Table of the clips: CSV with video_id,label,split.")
@click.option("--cache", type=FOLDER, required=True, help="Folder of the cache with their features.")
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True, help="Which clips of the table.")
@click.option("--json", "json_file", type=FILE, help="Also write all figures to this JSON file.")
@click.option("--csv", "csv_file", type=FILE, help="Also write every answer to this CSV file, as predictions.csv is.")
@click.option("--device", default="auto", show_default=True, help="Where the run computes: auto, cpu, cuda:0.")
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with the run's method, if it moved.")
def evaluate(
    run_directory: Path,
    manifest: Path,
    cache: Path,
    split: Split,
    json_file: Path | None,
    csv_file: Path | None,
    device: str,
    plugins: tuple[Path, ...],
) -> None:
    """Test a finished run on other clips of the same classes, after each of its tasks.

    Labels are told by name. The features have to be made as those that the run learnt from.
    """
    _check_folder_of("--json", json_file)
    _check_folder_of("--csv", csv_file)
    from .results.metrics import FIGURES
    from .results.tables import figures_table
    from .runs.evaluation import evaluate as ask
    from .runs.trained import load_trained

    found = ask(load_trained(run_directory, device=device, plugins=plugins), manifest, cache, split)
    document = found.document()
    figures = {FIGURES[name].title: value for name, value in document.items() if name in FIGURES}
    _console().print(
        figures_table(f"{found.run.kind.name} on {len(found.clips)} {split} clips of {manifest}, %", figures)
    )
    if found.missing:
        say(f"not in the cache and left out: {len(found.missing)} clips: {by_class(found.missing)}")
    if found.lacking():
        tasks = ", ".join(map(str, found.lacking()))
        say(f"no clip of the classes of task {tasks}: only the accuracy after the last task can be told")
    if found.run.random_weights:
        say(f"Note: {RANDOM_WEIGHTS}.")
    if json_file is not None:
        write_json(json_file, document)
    if csv_file is not None:
        found.write_answers(csv_file)


@main.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--plugin", type=FILE, required=True, help='Python file with metrics = {"name": function, ...}.')
@click.option("--csv", "csv_file", type=FILE, help="Also write the figures to this CSV file, a line a run.")
def rescore(runs: tuple[Path, ...], plugin: Path, csv_file: Path | None) -> None:
    """Work out figures of your own from the predictions that finished runs have saved; nothing is learnt anew.

    A function takes the answers after every task (avcil.incremental.Predictions each) and gives a number or None.
    """
    _check_folder_of("--csv", csv_file)
    import csv

    from .results.collect import load_runs
    from .results.own import own_figures, rescored
    from .results.tables import figures_table

    figures = own_figures(plugin)
    values = {run.path: rescored(run, figures, plugin) for run in load_runs(runs)}
    for path, of_run in values.items():
        _console().print(figures_table(str(path), of_run))
    if csv_file is not None:
        with written_aside(csv_file) as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(["path", *figures])
            table.writerows([path, *of_run.values()] for path, of_run in values.items())


def _check_folder_of(option: str, file: Path | None) -> None:
    """InputError where the folder is not there that a file is to be written to."""
    if file is not None and not file.parent.is_dir():
        raise InputError(f"{option} {file}: there is no folder {file.parent}")


def _plain(text: object) -> "Text":
    """A cell of a table that stands as it is: rich would take its [brackets] for markup."""
    from rich.text import Text

    return Text(shown(text))


def _console(*, wide: bool = False) -> "Console":
    """Where tables go: as wide as the terminal, or 500 characters, since a file has no edge to wrap at."""
    from rich.console import Console

    console = Console()
    if wide or not console.is_terminal:
        console.width = 500
    return console


def with_published_figures(runs: "Sequence[FinishedRun]") -> "list[FinishedRun]":
    """Runs of version 0.1, which did not record whether their settings are the published ones, with that worked out."""
    from dataclasses import replace

    found = list(runs)
    for place, run in enumerate(runs):
        config = run.content["run"]
        if "published" not in run.metrics and config.get("dataset"):
            from .methods import all_methods
            from .runs.published import published_figures

            kind = all_methods().get(config["method"])
            tasks = run.content["provenance"].get("tasks", [])
            try:
                figures = None if kind is None else published_figures(kind, config, tasks)
            except InputError as error:  # its data set may be gone, or the settings be none of today's
                say(f"{run.path}: not compared with published figures: {error}", err=True)
                figures = None
            found[place] = replace(run, metrics={**run.metrics, "published": figures})
    return found


def _show_table(paths: Sequence[Path], *, markdown: bool = False, csv_file: Path | None = None) -> None:
    from .results.collect import load_runs, rows_of
    from .results.tables import as_frame, notes, results_table

    _check_folder_of("--csv", csv_file)
    rows = rows_of(with_published_figures(load_runs(paths)))
    _console(wide=markdown).print(results_table(rows, markdown=markdown))
    for line in notes(rows):
        say(line)
    if csv_file is not None:
        with written_aside(csv_file) as stream:
            as_frame(rows).to_csv(stream, index=False)
