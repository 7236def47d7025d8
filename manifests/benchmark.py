"""Data sets: a list of clips with what belongs to it, as NAME.toml, NAME.csv and NAME.classes.csv.

Those that ship with the package lie in published/. Adding one is adding these three files there; no program text names
one. A user's own lie anywhere and are called by the path of their TOML file.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown
from .clips import Clip, Manifest, Split
from .description import read_description
from .locating import NAMED_BY_ID, FileNames
from .reading import read_manifest
from .sources import clips_seen_in_training

DIRECTORY = Path(__file__).parent / "published"
SUFFIX = ".toml"


@dataclass(frozen=True)
class Benchmark:
    """A list of clips with what belongs to it. `description.Description` says more of each entry."""

    name: str
    """By which results call it: the TOML file's name without suffix."""
    title: str
    """As the paper calls it."""
    manifest: Manifest
    source: str = ""
    """Where list and videos come from."""
    licence: str = ""
    """What is known of the terms of use."""
    file_names: FileNames = NAMED_BY_ID
    """How copies of the data set name their files."""
    source_video: str = "(?P<source>.+)"
    """Regular expression for a clip's whole id; its group `source` is the video the clip was cut from."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """Settings of stage 2 that hold unless others are given, as the TOML's table `protocol` has them: plain values by
    name, epochs.METHOD.MODALITY, other_settings.NAME.classes_per_task."""
    published: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """Published figures, as METHOD.MODALITY = [Mean Accuracy, Average Forgetting] in percent; the second may be
    missing."""
    released_frame_rate: int | None = None
    """JPEG frames a second of the features that were published for it; None: nothing is known."""

    def seen_in_training(self, split: Split = "test") -> tuple[Clip, ...]:
        """Clips of `split` cut from a video that also gave training clips: they are not all new."""
        return clips_seen_in_training(self.manifest, split, self.source_video)


def published_names() -> tuple[str, ...]:
    """Names of the data sets that ship with the package."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob(f"*{SUFFIX}")))


def published(name: str) -> Benchmark:
    """The data set of that name, or of that TOML file.

    Args:
        name: one of `published_names`, or the path of a file that ends in ".toml", beside which the tables of its
            clips and classes lie: for mine.toml, mine.csv and mine.classes.csv.

    Raises:
        InputError: no such name, with the nearest one; or whatever is missing or wrong in one of the three files.
    """
    if name.endswith(SUFFIX):
        return _read(Path(name))
    if name not in published_names():
        raise InputError(
            f"{unknown('dataset', name, published_names())}; one of your own is called by its {SUFFIX} file"
        )
    return _read_published(DIRECTORY / f"{name}{SUFFIX}")


@functools.cache
def published_figures(name: str) -> Mapping[str, Mapping[str, list[float]]]:
    """`Benchmark.published` of a data set that ships with the package, without reading its list of clips."""
    _, content = read_description(DIRECTORY / f"{name}{SUFFIX}")
    figures: Mapping[str, Mapping[str, list[float]]] = content.get("published", {})
    return figures


def _read(path: Path) -> Benchmark:
    description, content = read_description(path)
    clips, classes = path.with_suffix(".csv"), path.with_suffix(".classes.csv")
    for table, holds in ((clips, "its clips"), (classes, "the order of its classes")):
        if not table.is_file():
            raise InputError(f"{path}: there is no {table.name} beside it, the table of {holds}")
    return Benchmark(
        name=path.stem,
        title=description.title,
        manifest=read_manifest(clips, classes, path.stem),
        source=description.source,
        licence=description.licence,
        file_names=description.habits(),
        source_video=description.source_video,
        protocol=content.get("protocol", {}),
        published=content.get("published", {}),
        released_frame_rate=description.released.frame_rate,
    )


_read_published = functools.cache(_read)
