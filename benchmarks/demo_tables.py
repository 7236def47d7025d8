"""Every row of Tables 1, 2, 3 and 8 of the paper on the demo's features, over three seeds.

    make demo && python benchmarks/demo_tables.py --demo build/demo --out build/tables

Prints Markdown tables; docs/demo-tables.md shows them. The demo's encoders have random weights.
"""

import sys
from pathlib import Path

import click
from avcil.incremental.cli import main as avcil_incr
from avcil.incremental.reproduce.paper import TABLES, PaperRow

COMMON = (
    *("--classes-per-task", "4", "--batch-size", "20", "--model-choice", "last"),
    *("--memory-size", "36", "--memory-batch-size", "12"),
)
SHOWN = (1, 2, 3, 8)


def run_words(demo: Path, cache: Path, seeds: int, epochs: int, learning_rate: float) -> list[str]:
    """`avcil-incr run` on the demo's clips, but for the method and where the results go."""
    data = demo / "data"
    words = ["run", *COMMON, "--manifest", data / "manifest.csv", "--classes", data / "classes.csv", "--cache", cache]
    words += ["--seeds", seeds, "--epochs", epochs, "--set", f"learning_rate={learning_rate}"]
    return [str(word) for word in words]


def folder_of(row: PaperRow) -> str:
    """The folder of a row's runs: rows of two tables that are the same run share it."""
    return " ".join(str(value) if name == "method" else f"{name}={value}" for name, value in row.given.items())


@click.command()
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("build/demo"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/tables"))
@click.option("--seeds", default=3, show_default=True)
@click.option("--epochs", default=50, show_default=True)
@click.option("--learning-rate", default=0.003, show_default=True)
def main(demo: Path, out: Path, seeds: int, epochs: int, learning_rate: float) -> None:
    """Run what is not there yet, then print the tables."""
    data = run_words(demo, demo / "cache", seeds, epochs, learning_rate)
    tables = {number: {folder_of(row): row for row in TABLES[number].rows} for number in SHOWN}
    for name, row in {name: row for rows in tables.values() for name, row in rows.items()}.items():
        if not all((out / name / f"seed-{seed}" / "metrics.json").is_file() for seed in range(seeds)):
            words = [word for setting, value in row.given.items() for word in ("--set", f"{setting}={value}")]
            avcil_incr([*data, "--out", str(out / name), *words], standalone_mode=False)
    for number, rows in tables.items():
        click.echo(f"\n## Table {number}: {TABLES[number].title}\n")
        avcil_incr(["table", "--markdown", *(str(out / name) for name in rows)], standalone_mode=False)


if __name__ == "__main__":
    sys.exit(main())
