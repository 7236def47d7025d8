"""How the whole package speaks: lines that a terminal may be given, whatever users called their labels and files.

Of bad input it speaks in one line that says what is wrong, where, and what to do.
"""

import difflib
import re
import sys
from collections.abc import Iterable
from typing import Any

import click

# What a terminal acts on or nobody sees: control characters (C0, DEL, C1), marks that turn the direction of writing,
# characters without width or ink, line separators, halves of characters (bytes of file names that are no UTF-8), tags.
# Joiners are spelling between letters of other alphabets, and make up emoji; beside ASCII they only deceive.
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\u2028\u2029\ud800-\udfff\U000e0000-\U000e0fff]"
    "|(?<![^\x00-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\u200c\u200d])"
)


def shown(text: object) -> str:
    """`text` as a terminal may be given it: each character of `HIDDEN` as \\u001b, or \\U000e0041 where it has more."""
    return HIDDEN.sub(lambda found: _escaped(found[0]), str(text))


def one_line(text: object) -> str:
    """`text` on one line, as `shown`."""
    return shown(re.sub(r"\s*\n\s*", " ", str(text).strip()))


def hidden_in(text: str) -> str | None:
    """The first character of `HIDDEN` in `text`, written as `shown` does; None where all of it can be seen."""
    found = HIDDEN.search(text)
    return _escaped(found[0]) if found else None


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def say(line: object, *, err: bool = False) -> None:
    """Print one line for people, to standard error if `err`, as `shown`."""
    click.echo(shown(line), err=err)


EXTRAS = dict.fromkeys(("transformers", "huggingface_hub", "av", "librosa", "soxr", "PIL", "decord"), "extract") | {
    "matplotlib": "report",
    "jinja2": "report",
    "ray": "cluster",
    **{name: name for name in ("tensorboard", "wandb", "mlflow")},
}
"""The extra of avcil that brings a module which a bare installation lacks: `pip install 'avcil[extract]'`."""


class InputError(ValueError):
    """Something the user gave cannot be used. The message is one complete line, as `shown`."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def unknown(kind: str, given: str, valid: Iterable[str]) -> InputError:
    """The error for a name that does not exist, with the nearest valid one (returned, not raised)."""
    names = sorted(valid)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    advice = f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(names)}"
    return InputError(f"unknown {kind} '{given}': {advice}")


class _OneLineErrors(click.Command):
    """Every error for the user is one line on stderr, with exit status 2."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """As click's own, but misspelt options, `InputError` and what the system says of a file are one line each."""
        try:
            result: Any = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except (click.ClickException, InputError, OSError) as error:
            if not standalone_mode or (isinstance(error, OSError) and error.filename is None):
                raise
            if isinstance(error, click.exceptions.NoArgsIsHelpError):
                error.show()
                sys.exit(2)
            message = error.format_message() if isinstance(error, click.ClickException) else str(error)
            if isinstance(error, OSError):
                message = f"{error.filename}: {error.strerror}"
            say(f"error: {one_line(message)}", err=True)
            sys.exit(2)
        except ModuleNotFoundError as error:
            extra_of_avcil = EXTRAS.get((error.name or "").partition(".")[0])
            if not standalone_mode or extra_of_avcil is None:
                raise
            need = f"this needs {error.name}, which is not installed: pip install 'avcil[{extra_of_avcil}]'"
            say(f"error: {need}", err=True)
            sys.exit(2)
        except (click.Abort, KeyboardInterrupt):
            if not standalone_mode:
                raise
            click.echo("stopped", err=True)
            sys.exit(130)
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result


class OneLineCommand(_OneLineErrors):
    """A command whose every error for the user is one line on stderr, with exit status 2."""


class OneLineGroup(_OneLineErrors, click.Group):
    """A group of commands whose every error for the user is one line on stderr, with exit status 2."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own; for a name that is none, InputError with the nearest."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help text, each with its whole first sentence."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, kind.get_short_help_str(limit=200)) for name, kind in found if kind])
