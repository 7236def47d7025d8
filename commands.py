"""Groups of commands whose files are read when a command is called: help and mistakes cost no heavy import."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from .errors import OneLineGroup


class Place(NamedTuple):
    """Where a command is, and what the list of commands says of it."""

    target: str
    """"module:name", the module relative to the group's package."""
    help: str
    """One line."""


class LazyGroup(OneLineGroup):
    """Lists its commands without reading their files."""

    def __init__(self, *args: Any, places: Mapping[str, Place], package: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places, self.package = places, package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order in which they are used."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from its own file."""
        if cmd_name not in self.places:
            return None
        module, _, name = self.places[cmd_name].target.partition(":")
        command: click.Command = getattr(importlib.import_module(f".{module}", self.package), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in self.places.items()])
