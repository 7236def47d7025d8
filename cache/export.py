"""Write features as plain numpy files, for programs that know nothing of this cache.

visual.npy (N, L, S, D)   audio.npy (N, D)   clips.csv (row, video_id)   cache.json (what made them)
"""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import InputError
from ..files import PART_SUFFIX, sync_directory
from .contents import DESCRIPTION

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
        InputError: `out` exists, there is no room, or the cache lacks a clip.
        ValueError: another dtype.
    """
    dtype = dtype or (torch.float16 if cache.storage == "float16" else torch.float32)
    if dtype not in NUMPY_TYPES:
        raise ValueError(f"numpy files hold float16 or float32, not {dtype}")
    if out.exists():
        raise InputError(f"{out} exists: give a directory that does not")
    if not ids:
        raise InputError("there are no clips to export")
    kept = NUMPY_TYPES[dtype]
    shapes = {"visual": (len(ids), *cache.visual_shape), "audio": (len(ids), *cache.audio_shape)}
    out.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(int(np.prod(shape)) * kept.itemsize for shape in shapes.values())
    if needed > (free := shutil.disk_usage(out.parent).free):
        raise InputError(f"no room to export to {out}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")
    aside = out.with_name(out.name + PART_SUFFIX)
    if aside.exists():
        shutil.rmtree(aside)  # of an export that was killed
    aside.mkdir()
    try:
        _write(cache, aside, ids, kept, shapes)
    except BaseException:
        shutil.rmtree(aside)
        raise
    aside.replace(out)
    sync_directory(out.parent)


def _write(
    cache: "FeatureCache",
    directory: Path,
    ids: Sequence[str],
    dtype: np.dtype[Any],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    arrays = {
        name: np.lib.format.open_memmap(directory / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        for name, shape in shapes.items()
    }
    for start in range(0, len(ids), CLIPS_AT_ONCE):
        part = ids[start : start + CLIPS_AT_ONCE]
        rows = slice(start, start + len(part))
        cache.read_into(part, torch.from_numpy(arrays["visual"][rows]), torch.from_numpy(arrays["audio"][rows]))
    for array in arrays.values():
        array.flush()
    with (directory / "clips.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("row", "video_id"))
        table.writerows(enumerate(ids))
    shutil.copyfile(cache.directory / DESCRIPTION, directory / DESCRIPTION)
