"""The published lists that ship with the package: NAME.toml, NAME.csv and NAME.classes.csv in published/.

Adding a data set is adding these three files; no program text names one.
"""

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown
from .clips import Clip, Manifest, Split
from .locating import FileNames, NamingHabit
from .reading import read_manifest
from .sources import clips_seen_in_training

DIRECTORY = Path(__file__).parent / "published"


@dataclass(frozen=True)
class Benchmark:
    """A published list of clips with what belongs to it."""

    name: str
    """By which `--dataset` calls it."""
    title: str
    """As the paper calls it."""
    source: str
    """Where list and videos come from."""
    licence: str
    """What is known of the terms of use."""
    manifest: Manifest
    file_names: FileNames
    """How copies of the data set name their files."""
    source_video: str
    """Regular expression for a clip's whole id; its group `source` is the video the clip was cut from."""
    protocol: Mapping[str, Any]
    """The published settings, as the TOML's table `protocol` has them: classes_per_task, memory_size,
    lambda_instance, lambda_class, lambda_spatial, similarity_temperature, batch_size, memory_batch_size,
    evaluation_batch_size, epochs.METHOD.MODALITY, other_settings.NAME.classes_per_task."""

    published: Mapping[str, Mapping[str, list[float]]]
    """Published figures, as METHOD.MODALITY = [Mean Accuracy, Average Forgetting] in percent; the second may be
    missing."""

    def seen_in_training(self, split: Split = "test") -> tuple[Clip, ...]:
        """Clips of `split` cut from a video that also gave training clips: they are not all new."""
        return clips_seen_in_training(self.manifest, split, self.source_video)

    def unseen(self, split: Split = "test") -> tuple[Clip, ...]:
        """The other clips of `split`, free of that leak."""
        seen = {clip.id for clip in self.seen_in_training(split)}
        return tuple(clip for clip in self.manifest.of_split(split) if clip.id not in seen)


def published_names() -> tuple[str, ...]:
    """Names of the published lists."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.toml")))


def published(name: str) -> Benchmark:
    """The published list of that name; `InputError` with the nearest name when there is none."""
    if name not in published_names():
        raise unknown("dataset", name, published_names())
    return _read_benchmark(DIRECTORY / f"{name}.toml")


@functools.cache
def _read_benchmark(path: Path) -> Benchmark:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    for key in ("title", "source", "licence", "source_video", "files", "protocol"):
        if key not in content:
            raise InputError(f"{path} has no entry '{key}'")
    if "source" not in re.compile(content["source_video"]).groupindex:
        raise InputError(f"{path}: source_video has to have a group named 'source'")
    return Benchmark(
        name=path.stem,
        title=content["title"],
        source=content["source"],
        licence=content["licence"],
        manifest=read_manifest(path.with_suffix(".csv"), path.with_suffix(".classes.csv"), path.stem),
        file_names=tuple(NamingHabit(**habit) for habit in content["files"]),
        source_video=content["source_video"],
        protocol=content["protocol"],
        published=content.get("published", {}),
    )
