"""Files that are either whole or not there: written aside, synced, renamed, and the folder synced too."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .errors import InputError

PART_SUFFIX = ".part"  # a name that ends so is never data, only what a killed writer left behind


def sync_directory(directory: Path) -> None:
    """Make renames inside `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_durably(source: Path, target: Path) -> None:
    """Give `source`, whose bytes are already synced, the name `target`, in one step that lasts."""
    source.replace(target)
    sync_directory(target.parent)


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as JSON; a reader sees the old file or the new one, never half of one."""
    aside = path.with_name(path.name + PART_SUFFIX)
    with aside.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, ensure_ascii=False, indent=1, allow_nan=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    rename_durably(aside, path)


def read_json(path: Path) -> Any:
    """The content of the JSON file `path`; `InputError` when it cannot be read as one."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error})") from None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; the file is streamed."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
