"""Write features as plain numpy files, for programs that know nothing of this cache.

visual.npy (N, L, S, D)   audio.npy (N, D)   clips.csv (row, video_id)   features.json (what made them)
"""

import contextlib
import csv
import fcntl
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import InputError
from ..files import LEFTOVER, as_json, aside, cannot_write, rename_durably
from ..wording import size
from .description import EXPORTED

if TYPE_CHECKING:
    from .reader import FeatureCache

CLIPS_AT_ONCE = 32
NUMPY_TYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float16: np.dtype("<f2"),
    torch.float32: np.dtype("<f4"),
}


def export(cache: "FeatureCache", out: Path, ids: Sequence[str], *, dtype: torch.dtype | None = None) -> None:
    """Write the clips `ids` to the new directory `out`, streaming: memory in use does not grow with them.

    Args:
        cache: where they come from.
        out: must not exist; it appears under this name only when it is complete.
        ids: clip ids, in the order of the rows.
        dtype: float16 or float32; None for float16 from a float16 cache and float32 from any other.

    Raises:
        InputError: `out` exists, there is no room, the cache lacks a clip, or one is damaged.
        ValueError: another dtype.
    """
    dtype = dtype or (torch.float16 if cache.storage == "float16" else torch.float32)
    if dtype not in NUMPY_TYPES:
        raise ValueError(f"numpy files hold float16 or float32, not {dtype}")
    if os.path.lexists(out):
        raise InputError(f"{out} exists: give a directory that does not")
    if not ids:
        raise InputError("there are no clips to export")
    kept = NUMPY_TYPES[dtype]
    shapes = {"visual": (len(ids), *cache.visual_shape), "audio": (len(ids), *cache.audio_shape)}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        needed = sum(math.prod(shape) * kept.itemsize for shape in shapes.values())
        if needed > (free := shutil.disk_usage(out.parent).free):
            raise InputError(f"no room to export to {out}: {size(needed)} needed, {size(free)} free")
        with _folder_aside(out) as part:
            _write(cache, part, ids, dtype, shapes)
            rename_durably(part, out)
    except OSError as error:
        raise cannot_write(out, error) from error


@contextlib.contextmanager
def _folder_aside(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, gone unless it gets that name; those that killed exports left go first.

    A folder whose export is at work is locked, which keeps it. Where a file system has no locks, all are kept.
    """
    for path in out.parent.iterdir():
        match = LEFTOVER.fullmatch(path.name)
        if match is not None and match["name"] == out.name and path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError), _folder_locked(path):
                shutil.rmtree(path)
    part = aside(out)
    part.mkdir()
    try:
        with contextlib.ExitStack() as inside:
            with contextlib.suppress(OSError):
                inside.enter_context(_folder_locked(part))
            yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextlib.contextmanager
def _folder_locked(path: Path) -> Iterator[None]:
    """Hold the lock of a folder; OSError where another process does, or there are no locks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _write(
    cache: "FeatureCache",
    directory: Path,
    ids: Sequence[str],
    dtype: torch.dtype,
    shapes: dict[str, tuple[int, ...]],
) -> None:
    """Write all files, a few clips at a time; not by way of memory maps, which a full disk ends by a signal."""
    with contextlib.ExitStack() as opened:
        files: dict[str, IO[Any]] = {}
        for name, shape in shapes.items():
            files[name] = opened.enter_context((directory / f"{name}.npy").open("xb"))
            header = {"descr": NUMPY_TYPES[dtype].str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(files[name], header)
        buffers = {name: torch.empty(CLIPS_AT_ONCE, *shape[1:], dtype=dtype) for name, shape in shapes.items()}
        for start in range(0, len(ids), CLIPS_AT_ONCE):
            part = ids[start : start + CLIPS_AT_ONCE]
            cache.read_into(part, buffers["visual"], buffers["audio"])
            for name, file in files.items():
                file.write(buffers[name][: len(part)].numpy().data)
        files["clips"] = opened.enter_context((directory / "clips.csv").open("x", newline="", encoding="utf-8"))
        table = csv.writer(files["clips"])
        table.writerow(("row", "video_id"))
        table.writerows(enumerate(ids))
        files["description"] = opened.enter_context((directory / EXPORTED).open("x", encoding="utf-8"))
        made_by = {"fingerprint": cache.fingerprint.digest, "facts": cache.fingerprint.facts}
        files["description"].write(as_json({"format": "avcil-export", **made_by}))
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
