"""`avcil-incr`: run a method, list methods, show results. A command's file is read when the command is called."""

import os

import click

from ...commands import LazyGroup, Place

COMMANDS = {
    "run": Place("run:run", "Learn the tasks one after another and write the results to OUT."),
    "methods": Place("methods:methods", "List the methods; with a NAME, explain its settings and those of every run."),
    "show": Place("tables:show", "Show every figure of one run and its accuracy matrix."),
    "table": Place("tables:table", "Show runs: one line for runs that differ only in their seed and class order."),
    "compare": Place("compare:compare", "Compare methods pair by pair, over runs of the same seeds and class orders."),
    "plot": Place("figures:plot", "Draw a figure of finished runs, for a paper: PDF, SVG or PNG."),
    "report": Place("figures:report", "Write a page of finished runs, in one file that opens without a network."),
    "reproduce": Place(
        "reproduce:reproduce",
        "Run what a table or figure of the paper needs, and show ours beside the published figures.",
    ),
    "sweep": Place(
        "sweep:sweep",
        "Run every combination of methods and settings, each different run once, and write one table of all.",
    ),
    "evaluate": Place(
        "evaluate:evaluate", "Test a finished run on other clips of the same classes, after each of its tasks."
    ),
    "rescore": Place(
        "evaluate:rescore", "Work out figures of your own from the predictions that finished runs have saved."
    ),
}


@click.group(
    cls=LazyGroup,
    places=COMMANDS,
    package=__name__,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="avcil")
def main() -> None:
    """Stage 2: audio-visual class-incremental learning from cached features."""
    # OpenMP's threads spin while they wait: beside another job on the same cores a run took ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
