"""`python -m avcil.demo --out DIR`: a small data set of real video files, taken through both stages."""

from pathlib import Path

import click

from ..errors import OneLineCommand
from .clips import plan
from .run import Demo


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for everything.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each kind.")
@click.option("--epochs", type=click.IntRange(min=1), default=50, show_default=True, help="Epochs a task.")
def main(out: Path, seeds: int, epochs: int) -> None:
    """Write clips, extract features, learn the tasks, print a table and draw it. Started again, it does what is
    missing."""
    Demo(out, plan(), seeds=seeds, epochs=epochs).run()


if __name__ == "__main__":
    main()
