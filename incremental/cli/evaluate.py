"""`avcil-incr evaluate` and `rescore`: finished runs on other clips, and figures of one's own."""

from pathlib import Path

import click

from ...errors import say
from ...files import write_json, written_aside
from ...manifests import SPLITS, Split, by_class
from ...options import FILE, FOLDER
from ...wording import RANDOM_WEIGHTS, number_of
from .console import check_folder_of, console


@click.command()
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
    check_folder_of("--json", json_file)
    check_folder_of("--csv", csv_file)
    from ..results.metrics import FIGURES
    from ..results.tables import figures_table
    from ..runs.evaluation import evaluate as ask
    from ..runs.trained import load_trained

    found = ask(load_trained(run_directory, device=device, plugins=plugins), manifest, cache, split)
    document = found.document()
    figures = {FIGURES[name].title: value for name, value in document.items() if name in FIGURES}
    tested = f"{found.run.kind.name} on {number_of(len(found.clips), f'{split} clip')} of {manifest}, %"
    table = figures_table(tested, figures)
    console().print(table)
    if found.missing:
        say(f"not in the cache and left out: {number_of(len(found.missing), 'clip')}: {by_class(found.missing)}")
    if found.trained_on:
        say(f"training clips of the run among these: {found.trained_on}; this is no test of it")
    elif found.trained_on is None:
        say("the run's own list cannot be read any more: whether it learnt from some of these clips is not known")
    if found.lacking():
        tasks = ", ".join(map(str, found.lacking()))
        say(f"no clip of the classes of task {tasks}: only the accuracy after the last task can be told")
    if found.run.random_weights:
        say(f"Note: {RANDOM_WEIGHTS}.")
    if json_file is not None:
        write_json(json_file, document)
    if csv_file is not None:
        found.write_answers(csv_file)


@click.command()
@click.argument("runs", metavar="RUN...", type=FOLDER, nargs=-1, required=True)
@click.option("--plugin", type=FILE, required=True, help='Python file with metrics = {"name": function, ...}.')
@click.option("--csv", "csv_file", type=FILE, help="Also write the figures to this CSV file, a line a run.")
def rescore(runs: tuple[Path, ...], plugin: Path, csv_file: Path | None) -> None:
    """Work out figures of your own from the predictions that finished runs have saved; nothing is learnt anew.

    A function takes the answers after every task (avcil.incremental.Predictions each) and gives a number or None.
    """
    check_folder_of("--csv", csv_file)
    import csv

    from ..results.collect import load_runs
    from ..results.own import own_figures, rescored
    from ..results.tables import figures_table

    figures = own_figures(plugin)
    values = {run.path: rescored(run, figures, plugin) for run in load_runs(runs)}
    for path, of_run in values.items():
        console().print(figures_table(str(path), of_run))
    if csv_file is not None:
        with written_aside(csv_file) as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(["path", *figures])
            table.writerows([path, *of_run.values()] for path, of_run in values.items())
