"""The clips that a run is about, and where their files are."""

from pathlib import Path

from ..errors import InputError
from ..manifests import (
    Benchmark,
    Located,
    Manifest,
    Shares,
    by_class,
    counted,
    gaps,
    list_folder,
    locate_videos,
    published,
    published_names,
    read_manifest,
)
from .config import ClipList, ExtractionConfig


def benchmark_of(clips: ClipList) -> Benchmark:
    """The data set that was chosen; a table of clips becomes one of which nothing else is known.

    Raises:
        InputError: neither or both of `dataset` and `manifest`, or whatever is wrong with them.
    """
    if clips.dataset is not None and clips.manifest is None:
        if clips.classes is not None:
            raise InputError("--classes goes with --manifest; a data set has its own class order")
        return published(clips.dataset)
    if clips.manifest is None or clips.dataset is not None:
        both = "" if clips.dataset is None else ", not both"
        names = ", ".join(published_names())
        raise InputError(f"say which clips: --dataset NAME ({names}), --dataset FILE.toml or --manifest FILE{both}")
    manifest = read_manifest(clips.manifest, clips.classes)
    return Benchmark(manifest.name, manifest.name, manifest)


def from_folder(config: ExtractionConfig) -> bool:
    """Whether the list is to be made from the folder of videos, since none was given."""
    return config.dataset is None and config.manifest is None


def list_of(config: ExtractionConfig) -> tuple[Benchmark, tuple[str, ...]]:
    """The data set or list that was chosen, or the one that the folder of videos makes; and lines about it.

    Raises:
        InputError: as `benchmark_of` and `list_folder`; choices that go with the other of the two.
    """
    if not from_folder(config):
        if config.split is not None:
            raise InputError("--split divides a folder of videos without a list: the list has its splits already")
        benchmark = benchmark_of(config)
        return benchmark, benchmark.manifest.notes
    if config.classes is not None:
        raise InputError("--classes goes with --manifest; of a folder, `avcil-incr run --classes` takes an order")
    listed = list_folder(config.videos, None if config.split is None else Shares.of(config.split), config.split_seed)
    manifest = listed.manifest
    found = f"{config.videos}: {len(manifest.class_order)} classes in folders, clips: {counted(manifest.clips)}"
    return Benchmark(manifest.name, manifest.name, manifest), (found, *listed.lines, *gaps(manifest))


def locate(benchmark: Benchmark, videos: Path) -> Located:
    """Find the clips' files below the folder `videos`.

    Raises:
        InputError: no such folder, or not one clip has a file.
    """
    manifest = benchmark.manifest
    located = locate_videos(manifest, videos, benchmark.file_names)
    if not located.found:
        example = manifest.clips[0]
        wanted = example.path or f"{example.id}.mp4"
        raise InputError(
            f"not one of the {len(manifest.clips)} clips of {manifest.name} has a file under {videos} "
            f"(looked for names such as {wanted}): give the folder with the videos of this data set"
        )
    return located


def in_words(manifest: Manifest, located: Located) -> str:
    """One line: how many clips have a file, and the classes that lack most."""
    line = f"{manifest.name}: {len(located.found)} of {len(manifest.clips)} clips found"
    if not located.missing:
        return line
    return f"{line}, {len(located.missing)} missing ({by_class(located.missing)})"
