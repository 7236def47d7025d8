"""What the commands print with, and what they check before they work."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def check_folder_of(option: str, file: Path | None) -> None:
    """InputError where the folder is not there that a file is to be written to."""
    if file is not None and not file.parent.is_dir():
        raise InputError(f"{option} {file}: there is no folder {file.parent}")


def plain(text: object) -> "Text":
    """A cell of a table that stands as it is: rich would take its [brackets] for markup."""
    from rich.text import Text

    return Text(shown(text))


def console(*, wide: bool = False) -> "Console":
    """Where tables go: as wide as the terminal, or 500 characters, since a file has no edge to wrap at."""
    from rich.console import Console

    console = Console()
    if wide or not console.is_terminal:
        console.width = 500
    return console
