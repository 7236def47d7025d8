"""`python -m avcil.manifests`: the published lists; a check of your own; building one from annotations."""

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from ..errors import InputError, OneLineGroup, say
from .benchmark import published, published_names
from .builders import Built, build_ave, build_kinetics, build_vggsound
from .clips import SPLITS, gaps
from .reading import read_class_order, read_manifest, write_manifest


def _one(build: Callable[[Path, tuple[str, ...] | None], Built]) -> Callable[..., Built]:
    """A builder that takes one path, given the paths of the command line."""

    def build_from(paths: tuple[Path, ...], classes: tuple[str, ...] | None) -> Built:
        if len(paths) != 1:
            raise InputError(f"give one path, not {len(paths)}")
        return build(paths[0], classes)

    return build_from


BUILDERS: Mapping[str, Callable[..., Built]] = {
    "ave": _one(build_ave),
    "kinetics": build_kinetics,
    "vggsound": _one(build_vggsound),
}


@click.group(cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Lists of clips."""


@main.command("list")
def list_published() -> None:
    """The lists that ship with the package, for --dataset."""
    for name in published_names():
        benchmark = published(name)
        counts = ", ".join(f"{len(benchmark.manifest.of_split(split))} {split}" for split in SPLITS)
        say(f"{name}: {benchmark.title}, {len(benchmark.manifest.class_order)} classes, clips: {counts}")


@main.command()
@click.argument("clips", type=click.Path(path_type=Path))
@click.option("--classes", type=click.Path(path_type=Path), help="The class order: class_index,label.")
def check(clips: Path, classes: Path | None) -> None:
    """Check a manifest of your own: CLIPS is a CSV file with the columns video_id,label,split[,path]."""
    manifest = read_manifest(clips, classes)
    counts = ", ".join(f"{len(manifest.of_split(split))} {split}" for split in SPLITS)
    say(f"{manifest.name}: {len(manifest.class_order)} classes, clips: {counts}")
    for line in (*manifest.notes, *gaps(manifest)):
        say(f"note: {line}")


@main.command()
@click.argument("dataset", type=click.Choice(sorted(BUILDERS)))
@click.argument("annotations", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The table of clips to write.")
@click.option("--classes", type=click.Path(path_type=Path), help="Keep these classes, in this order.")
@click.option("--classes-out", type=click.Path(path_type=Path), help="Write the class order here.")
def build(
    dataset: str, annotations: tuple[Path, ...], out: Path, classes: Path | None, classes_out: Path | None
) -> None:
    """Make a manifest from ANNOTATIONS: AVE's folder, Kinetics' CSV files, or vggsound.csv."""
    built = BUILDERS[dataset](annotations, None if classes is None else read_class_order(classes))
    write_manifest(built.manifest, out, classes_out)
    for line in (*built.remarks, *gaps(built.manifest)):
        say(f"note: {line}")
    say(f"{out}: {len(built.manifest.clips)} clips of {len(built.manifest.class_order)} classes")


if __name__ == "__main__":
    main(prog_name="python -m avcil.manifests")
