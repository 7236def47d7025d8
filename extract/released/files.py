"""The files in which the authors of AV-CIL published their features, found and opened by what they hold.

As their scripts write them, below a data set's folder (data/AVE, data/kinetics-sounds, data/VGGSound_100):

    audio_pretrained_feature/audio_pretrained_feature_dict.npy     {id: (768,)}, a dictionary pickled by np.save
    visual_pretrained_feature/visual_pretrained_feature_dict.npy   AVE: {id: (1568, 768)}, likewise
    visual_pretrained_feature/visual_features.h5                   the others: one data set (1568, 768) a clip

The tokens of a clip are VideoMAE's last_hidden_state as it comes: 8 time slices of 196. Beside the features
lie small dictionaries of labels (`all_id_category_dict.npy` and the like), which are passed over.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import h5py
import numpy.typing as npt

from ...errors import InputError
from .pickled_arrays import StoredArray, read_index

Modality = Literal["audio", "visual"]
PUBLISHED_NAMES = {
    "audio_pretrained_feature_dict.npy",
    "visual_pretrained_feature_dict.npy",
    "visual_features.h5",
}
LABEL_NAMES = {"all_classId_vid_dict.npy", "all_id_category_dict.npy", "category_encode_dict.npy"}
HDF5_SUFFIXES = (".h5", ".hdf5")
DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)
"""What h5py makes of a damaged file, according to the place of the damage."""


class FeatureFile(Protocol):
    """Features by clip id, read one clip at a time."""

    path: Path

    @property
    def ids(self) -> frozenset[str]:
        """The clips it holds."""

    def shape(self, id: str) -> tuple[int, ...]:
        """Shape of a clip's features."""

    def read(self, id: str) -> npt.NDArray[Any]:
        """A clip's features. OSError where the file cannot be read at that place."""

    def close(self) -> None:
        """Close the file."""


class NpyFeatures:
    """A dictionary pickled by np.save, of which only the index is in memory."""

    def __init__(self, path: Path, index: dict[str, StoredArray]) -> None:
        self.path = path
        self._index = index
        self._file = path.open("rb")

    @property
    def ids(self) -> frozenset[str]:
        """The clips it holds."""
        return frozenset(self._index)

    def shape(self, id: str) -> tuple[int, ...]:
        """Shape of a clip's features."""
        return self._index[id].shape

    def read(self, id: str) -> npt.NDArray[Any]:
        """A clip's features."""
        return self._index[id].read(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Hdf5Features:
    """An HDF5 file with one data set a clip at its root. Links to other files are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r", locking=False)
            self._ids = frozenset(
                name for name in self._file if isinstance(self._file.get(name, getlink=True), h5py.HardLink)
            )
        except DAMAGE as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} is no readable HDF5 file ({reason}): download it again") from error

    @property
    def ids(self) -> frozenset[str]:
        """The clips it holds."""
        return self._ids

    def shape(self, id: str) -> tuple[int, ...]:
        """Shape of a clip's features; () for what is no readable data set of floating-point numbers in this file."""
        try:
            found = self._file[id]
            plain = isinstance(found, h5py.Dataset) and found.dtype.kind == "f"
            return tuple(found.shape) if plain and found.external is None and not found.is_virtual else ()
        except DAMAGE:
            return ()

    def read(self, id: str) -> npt.NDArray[Any]:
        """A clip's features."""
        try:
            values: npt.NDArray[Any] = self._file[id][()]
        except DAMAGE as error:
            raise OSError(str(error)) from error
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextlib.contextmanager
def feature_files(directory: Path) -> Iterator[dict[Modality, FeatureFile]]:
    """The audio and the visual features below `directory`, open within the `with` block.

    Files with the published names are taken if there are any, else every .npy and HDF5 file is looked into:
    one vector a clip is audio, more axes are visual. Raises InputError unless there is exactly one of each.
    """
    if not directory.is_dir():
        raise InputError(f"no such directory of features: {directory}")
    found: dict[Modality, FeatureFile] = {}
    with contextlib.ExitStack() as opened:
        for path in _candidates(directory):
            file = _open(path)
            if file is None:
                continue
            opened.callback(file.close)
            modality = _modality(file)
            if modality is None:
                continue
            if modality in found:
                first = found[modality].path
                raise InputError(f"two files of {modality} features, {first} and {path}: name one data set's directory")
            found[modality] = file
        lacking = [modality for modality in ("audio", "visual") if modality not in found]
        if lacking:
            raise InputError(
                f"no {' and no '.join(lacking)} features below {directory}: the authors' files are "
                f"{', '.join(sorted(PUBLISHED_NAMES))}"
            )
        yield found


def _candidates(directory: Path) -> list[Path]:
    files = [path for path in sorted(directory.rglob("*")) if path.suffix.lower() in (".npy", *HDF5_SUFFIXES)]
    named = [path for path in files if path.name in PUBLISHED_NAMES]
    return named or [path for path in files if path.name not in LABEL_NAMES]


def _open(path: Path) -> FeatureFile | None:
    """The file; None for one that holds no arrays by name."""
    if path.suffix.lower() in HDF5_SUFFIXES:
        return Hdf5Features(path)
    index = read_index(path)
    return None if index is None else NpyFeatures(path, index)


def _modality(file: FeatureFile) -> Modality | None:
    axes = len(usual_shape(file, sorted(file.ids)))
    return "audio" if axes == 1 else "visual" if axes in (2, 3) else None


def usual_shape(file: FeatureFile, ids: Sequence[str], most: int = 9) -> tuple[int, ...]:
    """The shape that most of the first few clips have; () where none of them has any."""
    counts = Counter(shape for id in ids[:most] if (shape := file.shape(id)))
    return counts.most_common(1)[0][0] if counts else ()
