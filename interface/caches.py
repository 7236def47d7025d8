"""A cache in a notebook: how many clips, one clip's features, a data set for PyTorch.

L time slices, S tokens, D channels.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from ..cache import FeatureCache
from ..errors import InputError
from ..manifests import SPLITS, Split, published, read_manifest
from ..wording import number_of

Sample = tuple[Tensor, Tensor, int]
"""Visual features (L, S, D), audio features (D,), and the number of the class."""


class ClipDataset(Dataset[Sample]):
    """Clips of one split of a list, as far as the cache holds them. Batches are read at once by a DataLoader."""

    def __init__(
        self,
        cache: FeatureCache,
        ids: Sequence[str],
        labels: Sequence[int],
        classes: Sequence[str],
        missing: Sequence[str] = (),
    ) -> None:
        self.cache = cache
        self.ids = tuple(ids)
        """The clips, in the order of the list."""
        self.labels = tuple(labels)
        """The number of each clip's class."""
        self.classes = tuple(classes)
        """Names of the classes, by number."""
        self.missing = tuple(missing)
        """Clips of the list that the cache does not hold; they are left out."""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> Sample:
        (sample,) = self.__getitems__([range(len(self))[number]])
        return sample

    def __getitems__(self, numbers: list[int]) -> list[Sample]:
        """Several clips, read in one go."""
        features = self.cache.read([self.ids[number] for number in numbers])
        labels = [self.labels[number] for number in numbers]
        return list(zip(features.visual, features.audio, labels, strict=True))

    def __repr__(self) -> str:
        lacking = f", {len(self.missing)} more are not in the cache" if self.missing else ""
        held = f"{number_of(len(self), 'clip')} of {number_of(len(self.classes), 'class', 'classes')}"
        return f"<{held} from {self.cache.directory}{lacking}>"


class Cache(FeatureCache):
    """A cache opened for reading: `len`, `in`, iteration over ids, `cache[id]`, and data sets by split."""

    def dataset(
        self,
        split: Split,
        *,
        manifest: Path | str | None = None,
        classes: Path | str | None = None,
        dataset: str | None = None,
    ) -> ClipDataset:
        """A data set for PyTorch.

        Args:
            split: "train", "val" or "test".
            manifest: CSV with video_id,label,split.
            classes: CSV with class_index,label, the class order for `manifest`.
            dataset: a published list by name, or one of your own by its TOML file, in place of both.

        Raises:
            InputError: neither or both lists; something is wrong with it; no clip of the split is in the cache.
        """
        if (manifest is None) == (dataset is None) or (dataset is not None and classes is not None):
            raise InputError("say which clips: either manifest=FILE, with classes=FILE if wanted, or dataset=NAME")
        if split not in SPLITS:
            raise InputError(f"there is no split '{split}': {', '.join(SPLITS)}")
        listed = (
            read_manifest(Path(manifest), None if classes is None else Path(classes), trained=False)
            if manifest is not None
            else published(str(dataset)).manifest
        )
        clips = listed.of_split(split)
        there = [clip for clip in clips if clip.id in self]
        if not there:
            raise InputError(f"{self.directory} holds none of the {len(clips)} {split} clips of {listed.name}")
        numbers = {name: number for number, name in enumerate(listed.class_order)}
        return ClipDataset(
            self,
            [clip.id for clip in there],
            [numbers[clip.label] for clip in there],
            listed.class_order,
            self.missing(clip.id for clip in clips),
        )


def open_cache(path: Path | str) -> Cache:
    """The cache in folder `path`, for reading. InputError where there is none, or it is damaged."""
    return Cache(Path(path))
