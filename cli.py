"""`avcil`: every command of the package under one name. A command's own file is read when the command is called."""

import click

from .commands import LazyGroup, Place

COMMANDS = {
    "manifests": Place(
        "manifests.__main__:main", "Lists of clips: those that ship, a check of your own, building one."
    ),
    "extract": Place("extract.cli:main", "Stage 1: from video files to a verified cache of frozen features."),
    "incr": Place("incremental.cli:main", "Stage 2: class-incremental learning from cached features."),
    "predict": Place("predict.cli:main", "Say what video files show, by a finished run."),
    "attention": Place("predict.attention_cli:main", "Draw where finished runs look in a clip: a figure."),
    "demo": Place("demo.__main__:main", "A small data set of real video files, taken through both stages."),
}


@click.group(
    cls=LazyGroup,
    places=COMMANDS,
    package=__package__,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="avcil")
def main() -> None:
    """Audio-visual class-incremental learning: from video files to features to a trained recogniser.

    `avcil extract` is `avcil-extract`, `avcil incr` is `avcil-incr`.
    """
