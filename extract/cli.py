"""`avcil-extract`: make, check and look at feature caches. Heavy imports wait until a command needs them."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ..errors import OneLineGroup
from .config import AUDIO_ENCODER, NAMES, VIDEO_ENCODER

if TYPE_CHECKING:
    from rich.console import Console

Folder = click.Path(path_type=Path, file_okay=False)
File = click.Path(path_type=Path, dir_okay=False)
TERMINATED = 128 + signal.SIGTERM


def words(name: str) -> str:
    """The valid words of a choice, for its help text."""
    return "|".join(NAMES[name])


CLIP_OPTIONS = (
    click.option("--dataset", metavar="NAME", help="A published list: ave, kinetics-sounds, vggsound100."),
    click.option("--manifest", type=File, help="Your own list instead: CSV with video_id,label,split[,path]."),
    click.option("--classes", type=File, help="The class order for --manifest: CSV with class_index,label."),
)
CHOICES = (
    *CLIP_OPTIONS,
    click.option("--videos", type=Folder, required=True, help="Folder with the video files, at any depth."),
    click.option("--cache", type=Folder, help="Folder of the feature cache; an unfinished one is gone on with."),
    click.option(
        "--video-encoder", default=VIDEO_ENCODER, show_default=True, metavar="HUB_ID_OR_DIR", help="A VideoMAE."
    ),
    click.option(
        "--audio-encoder",
        default=AUDIO_ENCODER,
        show_default=True,
        metavar="HUB_ID_OR_FILE",
        help="An AudioMAE (Hub id, folder, or the authors' .pth) or an AST.",
    ),
    click.option(
        "--random-weights",
        type=int,
        is_flag=False,
        flag_value=0,
        metavar="[SEED]",
        help="The same architectures with random weights: to try things out where no weights can be had.",
    ),
    click.option(
        "--recipe",
        default="audiomae",
        show_default=True,
        metavar=words("recipe"),
        help="How clips are prepared: as the encoders were trained, or as for the published features.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto (a GPU where there is one), cpu, cuda:0."),
    click.option(
        "--precision",
        metavar=words("precision"),
        help="Of the encoders; default: as the cache was begun, else bfloat16 where the device is fast at it.",
    ),
    click.option(
        "--store",
        default="float16",
        show_default=True,
        metavar=words("store"),
        help="How features are stored: 2.4 MB a clip at 16 bits, 4.8 as float32, 1.2 as int8.",
    ),
    click.option("--workers", type=int, help="Decoding processes; default: by the number of processors."),
    click.option("--batch-size", type=int, help="Clips encoded at once; default: 32 on a GPU, 2 on a CPU."),
    click.option(
        "--shard-size",
        type=int,
        default=256,
        show_default=True,
        help="Places of the list that a shard covers; keep it the same when going on with a cache.",
    ),
    click.option(
        "--clip-timeout", type=float, default=60.0, show_default=True, help="Seconds a decoder may take for a clip."
    ),
    click.option(
        "--missing-audio",
        default="quarantine",
        show_default=True,
        metavar=words("missing_audio"),
        help="Clips without sound: leave them out, or encode silence.",
    ),
    click.option("--limit", type=int, metavar="N", help="Only the first N clips that have a file."),
    click.option("--retry-quarantined", is_flag=True, help="Try clips again that an earlier run quarantined."),
)


def with_options(options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    """A decorator that adds options in the order in which they are listed."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avcil")
def main() -> None:
    """Stage 1: from video files to a verified cache of frozen features.

    Every error that you can mend is one line, with exit status 2.
    """


@main.command()
@with_options(CHOICES)
def run(**choices: Any) -> None:
    """Encode the clips that the cache lacks.

    Started again, it does what is missing and nothing else. Clips that cannot be decoded are quarantined with the
    reason and the decoder's words in CACHE/quarantine.json; clips without a file are listed in CACHE/missing.csv.
    """
    from .config import checked
    from .run import run as extract

    config = checked(choices)
    signal.signal(signal.SIGTERM, _terminate)
    console = _console()
    try:
        summary = extract(config, console)
    except (KeyboardInterrupt, SystemExit):
        console.print("stopped; what is finished is safe, and the same command goes on from there")
        raise
    for line in summary.lines():
        click.echo(line)


@main.command()
@with_options(CHOICES)
def plan(**choices: Any) -> None:
    """Say what `run` would do with the same choices, measured on a few clips; --cache may be left out.

    Writes nothing.
    """
    from .config import checked
    from .plan import plan as look_ahead

    for line in look_ahead(checked(choices), _console()):
        click.echo(line)


@main.command()
@click.option("--cache", type=Folder, required=True, help="Folder of the feature cache.")
@with_options(CLIP_OPTIONS)
def status(cache: Path, dataset: str | None, manifest: Path | None, classes: Path | None) -> None:
    """Say what a cache holds and what made it; with a list of clips, how much of it is there."""
    from .inspect import status_lines

    for line in status_lines(cache, dataset, manifest, classes):
        click.echo(line)


@main.command()
@click.option("--cache", type=Folder, required=True, help="Folder of the feature cache.")
def verify(cache: Path) -> None:
    """Check a cache: the hash of each shard, then the checksum and finiteness of each clip. Status 1 if any is bad."""
    from .inspect import verified

    good, lines = verified(cache, _console())
    for line in lines:
        click.echo(line)
    sys.exit(0 if good else 1)


@main.command()
@click.option("--cache", type=Folder, required=True, help="Folder of the feature cache.")
@click.option("--out", type=Folder, required=True, help="New folder for visual.npy, audio.npy and clips.csv.")
@click.option("--dtype", default=None, metavar="float16|float32", help="Default: as stored, or float32.")
@with_options(CLIP_OPTIONS)
def export(
    cache: Path, out: Path, dtype: str | None, dataset: str | None, manifest: Path | None, classes: Path | None
) -> None:
    """Write features as plain numpy files; of the clips of a list only, in its order, if one is given."""
    from .inspect import exported

    for line in exported(cache, out, dtype, dataset, manifest, classes):
        click.echo(line)


@main.command("import-released")
@with_options(CLIP_OPTIONS)
@click.option("--features", type=Folder, required=True, help="Folder with the authors' feature files.")
@click.option("--cache", type=Folder, required=True, help="Folder of the feature cache to make.")
@click.option("--store", default="float32", show_default=True, metavar=words("store"), help="How to store them.")
@click.option("--shard-size", type=click.IntRange(min=1), default=256, show_default=True, help="Clips a shard.")
def import_released(
    dataset: str | None,
    manifest: Path | None,
    classes: Path | None,
    features: Path,
    cache: Path,
    store: str,
    shard_size: int,
) -> None:
    """Bring the feature files that the authors of AV-CIL published into a cache.

    Nothing in them is ever run: pickles are read for plain numpy arrays only.
    """
    from .clips import manifest_of
    from .released.importing import import_released as bring_in

    clips, _ = manifest_of(dataset, manifest, classes)
    report = bring_in(clips, features, cache, storage=store, shard_size=shard_size, console=_console())
    for line in report.lines():
        click.echo(line)


def _console() -> "Console":
    """Progress goes to stderr, results to stdout."""
    from rich.console import Console

    return Console(stderr=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    """On SIGTERM, unwind as on Ctrl-C: children are killed, the shard at work is left, the lock let go."""
    sys.exit(TERMINATED)
