"""The file that a run is resumed from: a `Progress` as PyTorch saves it, and a checksum that is looked at first.

A flipped bit in a weight or a moment would make a run go on to another result without a word. Files of version 0.1 have
no checksum and are read as they are.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

import torch

from ...errors import InputError
from ...files import written_aside
from ..learning.state import Progress

MAGIC = b"\navcil state, sha256 before this line\n"
ADVICE = "delete it to begin the run again"


def write_state(path: Path, progress: Progress, weights: Mapping[str, str]) -> None:
    """Replace `path`; `weights` are the SHA-256 of the weights files that belong to it, by name.

    Raises InputError where it cannot be written; the former state is then as it was.
    """
    with written_aside(path, "wb") as stream:
        hashing = _Hashing(stream)
        try:
            torch.save({"progress": vars(progress), "weights": dict(weights)}, hashing)  # type: ignore[arg-type]
        except RuntimeError:
            if hashing.refused is not None:  # PyTorch's writer says nothing of why it could not write
                raise hashing.refused from None
            raise
        stream.write(hashing.digest() + MAGIC)


def read_state(path: Path, tasks: int) -> tuple[Progress, dict[str, str]]:
    """The state of a run of `tasks` tasks, and the SHA-256 of the weights files that belong to it.

    Raises InputError where the file is damaged or is no such state.
    """
    content = path.read_bytes()
    checked = content.endswith(MAGIC)
    if checked:
        payload, digest = content[: -len(MAGIC) - 32], content[-len(MAGIC) - 32 : -len(MAGIC)]
        if hashlib.sha256(payload).digest() != digest:
            raise InputError(f"{path} is damaged, its checksum is another one: {ADVICE}")
        content = payload
    try:
        saved = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except Exception as error:  # whatever bytes that are no state may lead to
        raise InputError(f"{path} is damaged: {ADVICE}") from error
    values, weights = (saved.get("progress"), saved.get("weights")) if checked else (saved, {})
    names = {field.name for field in fields(Progress)}
    missing = (
        {"awaiting", "operations"} if checked else {"step", "sums", "awaiting", "operations"}
    )  # which earlier versions did not have
    if not isinstance(values, dict) or not names - missing <= values.keys() <= names:
        raise InputError(f"{path} is no state of this version: {ADVICE}")
    progress = Progress(**values)
    kinds = {name: dict | None if value is None else type(value) for name, value in vars(Progress()).items()}
    strange = next((name for name, kind in kinds.items() if not isinstance(getattr(progress, name), kind)), None)
    if strange is not None:
        raise InputError(f"{path} is damaged, its '{strange}' is of another kind: {ADVICE}")
    done = progress.task - 1
    counts = {len(progress.memories), len(progress.predictions), len(progress.chosen_epochs)}
    if not 0 <= done <= tasks or progress.epoch < 0 or progress.step < 0 or counts != {done}:
        raise InputError(f"{path} is damaged, it speaks of task {progress.task} of {tasks}: {ADVICE}")
    return progress, dict(weights)


class _Hashing:
    """A stream that is written to, and hashed on the way."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.refused: OSError | None = None
        """What the system said where it could not write."""

    def write(self, data: Any) -> int:
        self._hash.update(data)
        try:
            return self._stream.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        self._stream.flush()

    def digest(self) -> bytes:
        return self._hash.digest()
