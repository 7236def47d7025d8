"""`avcil`: every command of the package under one name. A command's own file is read when the command is called."""

import importlib
from typing import NamedTuple

import click

from .errors import OneLineGroup


class Place(NamedTuple):
    """Where a command is, and what the list of commands says of it."""

    module: str
    help: str


COMMANDS = {
    "manifests": Place("manifests.__main__", "Lists of clips: those that ship, a check of your own, building one."),
    "extract": Place("extract.cli", "Stage 1: from video files to a verified cache of frozen features."),
    "incr": Place("incremental.cli", "Stage 2: class-incremental learning from cached features."),
    "predict": Place("predict.cli", "Say what video files show, by a finished run."),
    "demo": Place("demo.__main__", "A small data set of real video files, taken through both stages."),
}


class LazyGroup(OneLineGroup):
    """Lists its commands without reading their files."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from its own file."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[cmd_name].module}", __package__)
        command: click.Command = module.main
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avcil")
def main() -> None:
    """Audio-visual class-incremental learning: from video files to features to a trained recogniser.

    `avcil extract` is `avcil-extract`, `avcil incr` is `avcil-incr`.
    """
