"""The clips that a run is about, and where their files are."""

from pathlib import Path

from ..errors import InputError
from ..manifests import (
    NAMED_BY_ID,
    FileNames,
    Located,
    Manifest,
    locate_videos,
    published,
    published_names,
    read_manifest,
)
from .config import ExtractionConfig

CLASSES_SHOWN = 5


def manifest_of(dataset: str | None, manifest: Path | None, classes: Path | None) -> tuple[Manifest, FileNames]:
    """The manifest that the options name, with the naming habits of its files.

    Raises:
        InputError: neither or both of `dataset` and `manifest`, or whatever is wrong with them.
    """
    if (dataset is None) == (manifest is None):
        both = "" if dataset is None else ", not both"
        names = ", ".join(published_names())
        raise InputError(f"say which clips: --dataset NAME ({names}) or --manifest FILE{both}")
    if dataset is not None:
        if classes is not None:
            raise InputError("--classes goes with --manifest; a published data set has its own class order")
        benchmark = published(dataset)
        return benchmark.manifest, benchmark.file_names
    assert manifest is not None
    return read_manifest(manifest, classes), NAMED_BY_ID


def locate(config: ExtractionConfig) -> tuple[Manifest, Located]:
    """Find the clips' files.

    Raises:
        InputError: as `manifest_of`; no such folder; or not one clip has a file.
    """
    manifest, habits = manifest_of(config.dataset, config.manifest, config.classes)
    located = locate_videos(manifest, config.videos, habits)
    if not located.found:
        example = manifest.clips[0]
        wanted = example.path or f"{example.id}.mp4"
        raise InputError(
            f"not one of the {len(manifest.clips)} clips of {manifest.name} has a file under {config.videos} "
            f"(looked for names such as {wanted}): give the folder with the videos of this data set"
        )
    return manifest, located


def limited(located: Located, limit: int | None) -> dict[str, Path]:
    """The found files; of the first `limit` clips only."""
    return dict(list(located.found.items())[:limit])


def in_words(manifest: Manifest, located: Located) -> str:
    """One line: how many clips have a file, and the classes that lack most."""
    line = f"{manifest.name}: {len(located.found)} of {len(manifest.clips)} clips found"
    if not located.missing:
        return line
    by_class = list(located.missing_by_class.items())
    shown = ", ".join(f"{label} {count}" for label, count in by_class[:CLASSES_SHOWN])
    more = f", {len(by_class) - CLASSES_SHOWN} more classes" if len(by_class) > CLASSES_SHOWN else ""
    return f"{line}, {len(located.missing)} missing ({shown}{more})"
