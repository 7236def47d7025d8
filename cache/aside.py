"""The folder to which a writer moves what it found damaged or foreign: nothing of that is deleted."""

import os
import stat
from pathlib import Path

from ..errors import InputError
from ..files import cannot_write, sync_directory

SET_ASIDE = "set-aside"


def set_aside(directory: Path, path: Path) -> str:
    """Move what lies at `path` in the cache `directory`, whatever it is; returns its new place, for a line.

    Raises:
        InputError: it cannot be moved.
    """
    folder = directory / SET_ASIDE
    try:
        folder.mkdir(exist_ok=True)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise InputError(f"{folder} is a link, and nothing is moved through one: remove it")
        target, number = folder / path.name, 1
        while os.path.lexists(target):
            number += 1
            target = folder / f"{path.name}.{number}"
        path.rename(target)
        sync_directory(folder)
        sync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    return str(target.relative_to(directory))
