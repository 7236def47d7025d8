"""`python -m avcil.manifests`: the published lists; a check of your own; building one from annotations."""

from collections.abc import Callable
from pathlib import Path

import click

from ..errors import OneLineGroup, say
from ..wording import number_of
from .benchmark import published, published_names
from .builders import Built, build_ave, build_kinetics, build_vggsound
from .clips import Manifest, counted, counted_by_class, gaps
from .dividing import DEFAULT_SHARES, Shares
from .folders import list_folder
from .reading import read_class_order, read_manifest, write_manifest

PATH = click.Path(path_type=Path)


@click.group(cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Lists of clips."""


@main.command("list")
def list_published() -> None:
    """The lists that ship with the package, for --dataset."""
    for name in published_names():
        benchmark = published(name)
        manifest = benchmark.manifest
        classes = number_of(len(manifest.class_order), "class", "classes")
        say(f"{name}: {benchmark.title}, {classes}, clips: {counted(manifest.clips)}")


@main.command()
@click.argument("clips", type=click.Path(path_type=Path))
@click.option("--classes", type=click.Path(path_type=Path), help="The class order: class_index,label.")
def check(clips: Path, classes: Path | None) -> None:
    """Check a manifest of your own: CLIPS is a CSV file with the columns video_id,label,split[,path]."""
    manifest = read_manifest(clips, classes)
    say(
        f"{manifest.name}: {number_of(len(manifest.class_order), 'class', 'classes')}, clips: {counted(manifest.clips)}"
    )
    for line in (*manifest.notes, *gaps(manifest)):
        say(f"note: {line}")


@main.group(cls=OneLineGroup)
def build() -> None:
    """Make a list: from a folder of your own videos, or from a data set's official annotations."""


def _destination(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every builder has."""
    for option in (
        click.option("--classes-out", type=PATH, help="Write the class order here."),
        click.option("--classes", type=PATH, help="Keep these classes, in this order."),
        click.option("--out", required=True, type=PATH, help="The table of clips to write."),
    ):
        command = option(command)
    return command


@build.command("folder")
@click.argument("videos", type=PATH)
@click.option("--out", required=True, type=PATH, help="The table of clips to write.")
@click.option("--split", metavar="TRAIN/VAL/TEST", help=f"Divide by class; default {DEFAULT_SHARES}.")
@click.option("--split-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the division.")
def build_folder(videos: Path, out: Path, split: str | None, split_seed: int) -> None:
    """From a folder of VIDEOS that lie as LABEL/FILE, or as train|val|test/LABEL/FILE.

    Clips that were cut from one video, where their names tell (ID_START, NAME_START_END), come into one split. The
    same folder gives the same list.
    """
    listed = list_folder(videos, None if split is None else Shares.of(split), split_seed)
    write_manifest(listed.manifest, out)
    for line in counted_by_class(listed.manifest):
        say(line)
    _written(listed.manifest, out, listed.lines)


@build.command("ave")
@click.argument("folder", type=PATH)
@_destination
def build_from_ave(folder: Path, out: Path, classes: Path | None, classes_out: Path | None) -> None:
    """From AVE's FOLDER of annotation files."""
    _write(build_ave(folder, _order(classes)), out, classes_out)


@build.command("kinetics")
@click.argument("files", nargs=-1, required=True, type=PATH)
@_destination
def build_from_kinetics(files: tuple[Path, ...], out: Path, classes: Path | None, classes_out: Path | None) -> None:
    """From Kinetics' CSV FILES."""
    _write(build_kinetics(files, _order(classes)), out, classes_out)


@build.command("vggsound")
@click.argument("file", type=PATH)
@_destination
def build_from_vggsound(file: Path, out: Path, classes: Path | None, classes_out: Path | None) -> None:
    """From vggsound.csv, the FILE."""
    _write(build_vggsound(file, _order(classes)), out, classes_out)


def _order(classes: Path | None) -> tuple[str, ...] | None:
    return None if classes is None else read_class_order(classes)


def _write(built: Built, out: Path, classes_out: Path | None) -> None:
    write_manifest(built.manifest, out, classes_out)
    _written(built.manifest, out, built.remarks)


def _written(manifest: Manifest, out: Path, remarks: tuple[str, ...]) -> None:
    for line in (*remarks, *gaps(manifest)):
        say(f"note: {line}")
    say(
        f"{out}: {number_of(len(manifest.clips), 'clip')} of {number_of(len(manifest.class_order), 'class', 'classes')}"
    )


if __name__ == "__main__":
    main(prog_name="python -m avcil.manifests")
