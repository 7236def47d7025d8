"""How the whole package speaks of bad input: one line that says what is wrong, where, and what to do."""

import difflib
import sys
from collections.abc import Iterable
from typing import Any

import click


class InputError(ValueError):
    """Something the user gave cannot be used. The message is one complete line."""


def unknown(kind: str, given: str, valid: Iterable[str]) -> InputError:
    """The error for a name that does not exist, with the nearest valid one (returned, not raised)."""
    names = sorted(valid)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    advice = f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(names)}"
    return InputError(f"unknown {kind} '{given}': {advice}")


class _OneLineErrors(click.Command):
    """Every error for the user is one line on stderr, with exit status 2."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """As click's own, but misspelt options and `InputError` alike are one line."""
        try:
            result: Any = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except (click.ClickException, InputError) as error:
            if not standalone_mode:
                raise
            if isinstance(error, click.exceptions.NoArgsIsHelpError):
                error.show()
                sys.exit(2)
            message = error.format_message() if isinstance(error, click.ClickException) else str(error)
            click.echo(f"error: {' '.join(message.split())}", err=True)
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
