"""Writes docs/commands.md, the reference of all commands, from their own help: `python docs/commands.py`."""

import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "commands.md"
WIDTH = 100
"""Characters a line, whatever terminal this is run in."""
HEAD = r"""# Commands

What each command says with `--help`. Written by `python docs/commands.py`, which `make docs` runs.

`avcil` has them all under one name: `avcil extract run` is `avcil-extract run`, `avcil incr` is `avcil-incr`, and
`avcil manifests` and `avcil demo` are `python -m avcil.manifests` and `python -m avcil.demo`. `python -m avcil` is the
same as `avcil`.

Completion of commands, options and file names: put the line for your shell into its start-up file.

| shell | file | line |
|---|---|---|
| bash | `~/.bashrc` | `eval "$(_AVCIL_COMPLETE=bash_source avcil)"` |
| zsh | `~/.zshrc` | `eval "$(_AVCIL_COMPLETE=zsh_source avcil)"` |
| fish | `~/.config/fish/completions/avcil.fish` | `_AVCIL_COMPLETE=fish_source avcil \| source` |

For `avcil-extract` and `avcil-incr` the variables are `_AVCIL_EXTRACT_COMPLETE` and `_AVCIL_INCR_COMPLETE`.
"""


def programs() -> dict[str, click.Command]:
    """Every program of the package by what a user types: the console scripts, and packages that can be run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    places = dict(project["scripts"])
    for path in sorted(ROOT.glob("*/__main__.py")):
        places[f"python -m avcil.{path.parent.name}"] = f"avcil.{path.parent.name}.__main__:main"
    found = {}
    for typed, place in places.items():
        module, _, name = place.partition(":")
        found[typed] = getattr(importlib.import_module(module), name)
    return found


def contexts() -> Iterator[click.Context]:
    """A context for every command, subcommands after their group; `command_path` is what a user types."""
    for typed, program in programs().items():
        yield from _inside(_context(typed, program, None))


def _context(name: str, command: click.Command, parent: click.Context | None) -> click.Context:
    return command.make_context(name, [], parent, resilient_parsing=True, terminal_width=WIDTH)


def _inside(context: click.Context) -> Iterator[click.Context]:
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, f"{context.command_path} lists '{name}' and does not have it"
            yield from _inside(_context(name, command, context))


def repeated(context: click.Context) -> bool:
    """Whether it is, or lies in, a command of `avcil` that is a program of its own and described as that."""
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return context.parent is not None and context.command in programs().values()


def page() -> str:
    """The whole of docs/commands.md. What `avcil extract` and the like take is said once, under `avcil-extract`."""
    parts = [HEAD]
    for context in contexts():
        if repeated(context):
            continue
        level = "##" if context.parent is None else "###"
        parts.append(f"{level} {context.command_path}\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
