"""What --patience and --validate-every cost in accuracy and gain in time, on the demo's clips over ten seeds.

    make demo && python benchmarks/patience.py --demo build/demo --out build/patience

Prints Markdown tables; docs/performance.md shows them. Finished runs are not repeated. The four runs of a seed follow
one another, and times are compared within a seed only. The demo's encoders have random weights.
"""

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from avcil.benchmarks.demo_tables import run_words
from avcil.errors import OneLineCommand
from avcil.incremental.cli import main as avcil_incr
from avcil.incremental.results.collect import FinishedRun, load_runs
from avcil.incremental.results.spreads import Spread, rounded, spread

METHODS = ("av-cil", "fine-tuning")
PLAIN = "plain"
CASES: dict[str, tuple[str, ...]] = {
    PLAIN: (),
    "validated every 5": ("--validate-every", "5"),
    "patience 10": ("--patience", "10"),
    "both": ("--patience", "10", "--validate-every", "5"),
}
HEADINGS = (
    *("Runs", "Mean Accuracy", "difference", "Average Forgetting", "difference"),
    *("Epochs a task", "Seconds", "share of plain"),
)


def place(out: Path, method: str, case: str, seed: int) -> Path:
    """The folder of one run."""
    return out / method / case / f"seed-{seed}"


def epochs_of(run: FinishedRun) -> float:
    """Mean number of epochs that a task took."""
    took = run.metrics.get("epochs_by_task") or [run.content["run"]["epochs"]]
    return float(sum(took) / len(took))


def paired(runs: Sequence[FinishedRun], plain: Sequence[FinishedRun], figure: str) -> Spread | None:
    """How far a figure is above the one of the plain run of the same seed, over seeds."""
    if [run.seed for run in runs] != [run.seed for run in plain]:
        raise ValueError("runs of other seeds cannot be paired")
    both = zip(runs, plain, strict=True)
    return spread([one.metrics[figure] - other.metrics[figure] for one, other in both])


def shares(runs: Sequence[FinishedRun], plain: Sequence[FinishedRun]) -> Spread | None:
    """Seconds as a share of the plain run of the same seed, over seeds."""
    return spread([one.metrics["seconds"] / other.metrics["seconds"] for one, other in zip(runs, plain, strict=True)])


def with_interval(value: Spread | None) -> str:
    """The mean, and half its 95% interval."""
    if value is None:
        return "-"
    return rounded(value.mean) + ("" if value.interval is None else f" ± {rounded(value.interval)}")


def row(case: str, runs: Sequence[FinishedRun], plain: Sequence[FinishedRun]) -> str:
    """A line of a table: means ± sample standard deviation; differences and shares ± half the 95% interval."""
    cells = [case]
    for figure in ("mean_accuracy", "average_forgetting"):
        found = spread([run.metrics[figure] for run in runs])
        cells.append("-" if found is None else found.words(interval=False))
        cells.append("" if case == PLAIN else with_interval(paired(runs, plain, figure)))
    for value in (spread(list(map(epochs_of, runs))), spread([run.metrics["seconds"] for run in runs])):
        cells.append("-" if value is None else rounded(value.mean, 1))
    cells.append("" if case == PLAIN else with_interval(shares(runs, plain)))
    return f"| {' | '.join(cells)} |"


def tables(runs: Mapping[str, Mapping[str, Sequence[FinishedRun]]]) -> Iterator[str]:
    """The lines of all tables, of runs by method and case."""
    for method, cases in runs.items():
        yield f"\n### {method}\n"
        yield f"| {' | '.join(HEADINGS)} |"
        yield f"|{'---|' + '---:|' * (len(HEADINGS) - 1)}"
        for case, found in cases.items():
            yield row(case, found, cases[PLAIN])


@click.command(cls=OneLineCommand)
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("build/demo"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/patience"))
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--learning-rate", default=0.003, show_default=True)
def main(demo: Path, out: Path, seeds: int, epochs: int, learning_rate: float) -> None:
    """Run what is not there yet, then print the tables."""
    words = [*run_words(demo, demo / "cache", 1, epochs, learning_rate), "--model-choice", "best"]
    for method, seed, (case, given) in itertools.product(METHODS, range(seeds), CASES.items()):
        folder = place(out, method, case, seed)
        if not (folder / "metrics.json").is_file():
            of_run = ("--method", method, "--seed", str(seed), "--out", str(folder.parent))
            avcil_incr([*words, *of_run, *given], standalone_mode=False)
    runs = {
        method: {case: load_runs([place(out, method, case, seed) for seed in range(seeds)]) for case in CASES}
        for method in METHODS
    }
    for line in tables(runs):
        click.echo(line)


if __name__ == "__main__":
    sys.exit(main())
