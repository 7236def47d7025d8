"""Files of features that another program wrote, each a table from clip ids to arrays. Nothing in them is ever run.

v.npy            an array whose first axis is the clips, with the ids in a table beside it
v.npz            an array a clip, called as the clip
v.safetensors    likewise
v.pt, v.pth      a dict from ids to tensors, read with weights_only
v.h5, v.hdf5     a data set a clip; in groups, the id is the path of names
folder           ID.npy or ID.pt a clip
"""

import contextlib
import hashlib
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors
import torch
from torch import Tensor

from ...errors import InputError
from ...files import sha256_of
from ...manifests.clips import as_id
from ...manifests.tables import read_rows

ID_COLUMNS = ("video_id", "id", "clip", "clip_id", "filename")
PICKLED = "holds Python objects, which are never unpickled: save it as an array of numbers"
DAMAGED = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, pickle.UnpicklingError),
)


@dataclass(frozen=True)
class FeatureSource:
    """Arrays by clip id."""

    path: Path
    read: Callable[[str], Tensor]
    """The array of a clip, on the CPU; InputError where it cannot be read."""
    ids: tuple[str, ...]
    """In the order of the file."""
    sha256: str
    """Of the file; of a folder, over the names and hashes of its files; with the ids, where they stand beside it."""

    def by_id(self) -> "FeatureSource":
        """The same with ids in place of paths, as lists of clips have them; InputError where two become one."""
        names: dict[str, str] = {}
        for name in self.ids:
            twin = names.setdefault(as_id(name), name)
            if twin != name:
                raise InputError(f"{self.path}: '{twin}' and '{name}' both become the id '{as_id(name)}': rename one")
        return replace(self, ids=tuple(names), read=lambda clip: self.read(names[clip]))


def open_features(path: Path, ids: Path | None) -> FeatureSource:
    """The features at `path`, of whichever kind it is.

    Args:
        path: a file or a folder, see above.
        ids: for .npy, the table with the ids of its rows, in their order; None: clips.csv beside it.

    Raises:
        InputError: no such file, of no known kind, damaged, or one that would run code; ids that do not fit.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    kinds: Mapping[str, Callable[[Path], tuple[Sequence[str], Callable[[str], Any]]]] = {
        ".npz": _npz,
        ".safetensors": _safetensors,
        ".pt": _pickle,
        ".pth": _pickle,
        ".h5": _hdf5,
        ".hdf5": _hdf5,
    }
    with _told(path):
        if path.suffix == ".npy":
            return _rows_of(path, path.parent / "clips.csv" if ids is None else ids).by_id()
        if path.suffix not in kinds:
            raise InputError(f"{path} is of no kind that can be read: a folder, .npy or one of {', '.join(kinds)}")
        names, read = kinds[path.suffix](path)
    if not names:
        raise InputError(f"{path} holds no arrays")
    return FeatureSource(path, _guarded(path, read), tuple(names), sha256_of(path)).by_id()


def read_ids(path: Path) -> tuple[str, ...]:
    """Clip ids, one a row: of the only column, or of the one called video_id, id, clip or clip_id.

    Raises:
        InputError: no such file, no such column, or an id twice.
    """
    rows = [cells for _, cells in read_rows(path)]
    if not rows:
        raise InputError(f"{path} names no clips")
    head = [cell.lower() for cell in rows[0]]
    named = next((column for column in ID_COLUMNS if column in head), None)
    if named is None and len(head) > 1:
        raise InputError(f"{path}: row 1 has to name the column of the ids, one of {', '.join(ID_COLUMNS)}")
    column = 0 if named is None else head.index(named)
    short = [cells for cells in rows if len(cells) <= column]
    if short:
        raise InputError(f"{path}: a row has too few cells: {short[0]}")
    ids = tuple(cells[column] for cells in (rows if named is None else rows[1:]))
    if not ids:
        raise InputError(f"{path} names no clips")
    seen: set[str] = set()
    for clip in ids:
        if clip in seen:
            raise InputError(f"{path} names clip '{clip}' twice")
        seen.add(clip)
    return ids


def _rows_of(path: Path, table: Path) -> FeatureSource:
    if not table.is_file():
        raise InputError(f"{path}: which clips are its rows? Give --ids FILE.csv, one id a row (there is no {table})")
    ids = read_ids(table)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim < 2 or len(array) != len(ids):
        raise InputError(f"{path} has shape {array.shape}, and {table} names {len(ids)} clips: a row each is needed")
    row = {clip: index for index, clip in enumerate(ids)}
    digest = hashlib.sha256(f"{sha256_of(path)} {sha256_of(table)}".encode()).hexdigest()
    return FeatureSource(path, _guarded(path, lambda clip: array[row[clip]]), ids, digest)


def _folder(path: Path) -> FeatureSource:
    files = {suffix: sorted(path.glob(f"*{suffix}")) for suffix in (".npy", ".pt")}
    kept = [suffix for suffix, found in files.items() if found]
    if (path / "visual.npy").is_file() and (path / "audio.npy").is_file():
        raise InputError(f"{path} was exported: give --visual {path / 'visual.npy'} --audio {path / 'audio.npy'}")
    if len(kept) != 1:
        what = "neither ID.npy nor ID.pt" if not kept else "ID.npy and ID.pt, and only one of these may be there"
        raise InputError(f"{path} holds {what}")
    found = {file.stem: file for file in files[kept[0]]}
    total = hashlib.sha256()
    for name, file in found.items():
        total.update(f"{name} {sha256_of(file)}\n".encode())

    def read(clip: str) -> Any:
        if kept == [".npy"]:
            return np.load(found[clip], allow_pickle=False)
        return torch.load(found[clip], map_location="cpu", weights_only=True)

    return FeatureSource(path, _guarded(path, read), tuple(found), total.hexdigest())


def _npz(path: Path) -> tuple[Sequence[str], Callable[[str], Any]]:
    archive = np.load(path, allow_pickle=False)
    return archive.files, archive.__getitem__


def _safetensors(path: Path) -> tuple[Sequence[str], Callable[[str], Any]]:
    opened = safetensors.safe_open(path, framework="pt")
    return list(opened.keys()), opened.get_tensor


def _pickle(path: Path) -> tuple[Sequence[str], Callable[[str], Any]]:
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    if isinstance(content, Tensor):
        raise InputError(f"{path} holds a single tensor: save it as .npy, whose rows --ids names")
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise InputError(f"{path} holds no dict from clip ids to tensors")
    return list(content), content.__getitem__


def _hdf5(path: Path) -> tuple[Sequence[str], Callable[[str], Any]]:
    opened = h5py.File(path, "r", locking=False)
    names: list[str] = []
    opened.visititems(lambda name, what: names.append(name) if isinstance(what, h5py.Dataset) else None)

    def read(clip: str) -> Any:
        found = opened[clip]
        if found.external or found.is_virtual:
            raise InputError(f"{path}: the data of clip '{clip}' lie in another file, which is not read")
        return found[()]

    return names, read


def _guarded(path: Path, read: Callable[[str], Any]) -> Callable[[str], Tensor]:
    """`read` whose result is a tensor of floating-point numbers, and whose errors are one line."""

    def guarded(clip: str) -> Tensor:
        with _told(path, clip):
            value = read(clip)
            if isinstance(value, np.ndarray | np.generic):
                value = np.asarray(value)
                if value.dtype == object:
                    raise InputError(f"{path}: clip '{clip}' {PICKLED}")
                if value.dtype.kind == "f":
                    value = torch.from_numpy(value.astype(value.dtype.newbyteorder("="), copy=True))
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = getattr(value, "dtype", type(value).__name__)
            raise InputError(
                f"{path}: clip '{clip}' is {kind}, not an array of floating-point numbers: save it as float32"
            )
        return value.detach()

    return guarded


@contextlib.contextmanager
def _told(path: Path, clip: str | None = None) -> Iterator[None]:
    where = f"{path}" if clip is None else f"{path}: clip '{clip}'"
    try:
        yield
    except InputError:
        raise
    except (*DAMAGED, safetensors.SafetensorError) as error:
        words = " ".join(str(error).split())
        if "allow_pickle" in words or "Python objects" in words or isinstance(error, pickle.UnpicklingError):
            raise InputError(f"{where} {PICKLED}") from error
        raise InputError(f"{where} cannot be read ({words[:200]}): is it damaged?") from error
