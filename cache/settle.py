"""Settle what made a cache, before anything is written to it: cache.json, or what the shards say of it."""

import os
from pathlib import Path

from ..errors import InputError
from .aside import set_aside
from .contents import scan
from .description import (
    DESCRIPTION,
    Description,
    NewerFormat,
    StrangeDescription,
    described_by,
    read_description,
    recorded,
    write_description,
)
from .fingerprint import Fingerprint


def settle_description(directory: Path, mine: Description) -> tuple[Description, tuple[str, ...]]:
    """The description of a cache that exists, once it is that of `mine`; cache.json is mended where it has to be.

    Args:
        directory: the cache; its lock has to be held.
        mine: what the writer would say of a cache of its own.

    Returns:
        What cache.json says, and a line for each thing that was done.

    Raises:
        InputError: the cache was made in another way; or cache.json is damaged and no shard tells what it said.
    """
    try:
        there = read_description(directory)
        scan(directory)
    except NewerFormat:
        raise
    except InputError as error:
        if not isinstance(error, StrangeDescription) and _is_sound(directory):
            raise
        there = _from_shards(directory, mine, error)
    else:
        _refuse_another(directory, mine.fingerprint, there.fingerprint)
        return there, ()
    _refuse_another(directory, mine.fingerprint, there.fingerprint)
    lines = []
    if os.path.lexists(directory / DESCRIPTION):
        lines.append(f"{DESCRIPTION} was damaged: moved to {set_aside(directory, directory / DESCRIPTION)}")
    write_description(directory, there)
    return there, (*lines, f"{DESCRIPTION} was written again from what the shards say")


def _is_sound(directory: Path) -> bool:
    try:
        read_description(directory)
    except InputError:
        return False
    return True


def _from_shards(directory: Path, mine: Description, error: InputError) -> Description:
    """What the shards say of themselves; those of version 0.1 only whether they are of the writer's fingerprint."""
    digest, found = described_by(recorded(directory))
    if digest is None:
        raise InputError(f"{error}; but no shard is there to tell what made it: give another directory") from None
    if found is not None:
        return found
    if digest != mine.fingerprint.digest:
        raise InputError(
            f"{directory} has lost its {DESCRIPTION}, and its shards were made in another way "
            f"(fingerprint {digest[:12]}, these choices give {mine.fingerprint.digest[:12]}): "
            "give the choices that it was made with"
        )
    return mine


def _refuse_another(directory: Path, mine: Fingerprint, there: Fingerprint) -> None:
    if mine.digest != there.digest:
        raise InputError(
            f"{directory} was made in another way ({mine.difference(there)}): "
            "give another directory, or the choices it was made with"
        )
