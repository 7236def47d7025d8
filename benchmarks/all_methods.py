"""Every method of the package on the demo's features, over class orders: accuracy with both spreads, bytes, seconds.

    make demo && python benchmarks/all_methods.py --demo build/demo --out build/all-methods

Prints a Markdown table; docs/demo-tables.md shows it. The demo's encoders have random weights.
"""

import sys
from pathlib import Path

import click
from avcil.benchmarks.demo_tables import run_words
from avcil.incremental.cli import main as avcil_incr
from avcil.incremental.methods import all_methods

COLUMNS = (
    *("mean_accuracy", "average_forgetting", "last_accuracy"),
    *("exemplar_bytes", "statistics_bytes", "weight_bytes", "seconds"),
)


@click.command()
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("build/demo"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/all-methods"))
@click.option("--class-orders", default=5, show_default=True)
@click.option("--seeds", default=1, show_default=True)
@click.option("--epochs", default=50, show_default=True)
@click.option("--learning-rate", default=0.003, show_default=True)
@click.option("--method", "methods", multiple=True, help="Run this one alone; repeatable. Tables have all there are.")
def main(
    demo: Path,
    out: Path,
    class_orders: int,
    seeds: int,
    epochs: int,
    learning_rate: float,
    methods: tuple[str, ...],
) -> None:
    """Run what is not there yet, then print the table."""
    words = [*run_words(demo, demo / "cache", seeds, epochs, learning_rate), "--class-orders", str(class_orders)]
    for name in methods or all_methods():
        if len(list((out / name).rglob("metrics.json"))) < class_orders * seeds:
            avcil_incr([*words, "--method", name, "--out", str(out / name)], standalone_mode=False)
    avcil_incr(
        ["table", "--markdown", "--digits", "1", "--columns", ",".join(COLUMNS), str(out)], standalone_mode=False
    )


if __name__ == "__main__":
    sys.exit(main())
