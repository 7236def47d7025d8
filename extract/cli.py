"""`avcil-extract`: make, check and look at feature caches. Heavy imports wait until a command needs them."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ..errors import OneLineGroup, say
from ..options import FOLDER, checked, options_of
from .config import ClipList, DerivationConfig, ExtractionConfig, FeaturesConfig, ImportConfig

if TYPE_CHECKING:
    from rich.console import Console

TERMINATED = 128 + signal.SIGTERM
REPAIRABLE = (
    *(
        "dataset",
        "manifest",
        "classes",
        "videos",
        "video_encoder",
        "audio_encoder",
        "plugin",
        "random_weights",
        "recipe",
    ),
    *("device", "precision", "store", "workers", "batch_size", "clip_timeout", "missing_audio"),
)
"""Choices of `run` that `repair` takes where the cache does not note them, or notes what is no longer so."""


@click.group(cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avcil")
def main() -> None:
    """Stage 1: from video files to a verified cache of frozen features.

    Every error that you can mend is one line, with exit status 2.
    """


@main.command()
@options_of(ExtractionConfig)
def run(**choices: Any) -> None:
    """Encode the clips that the cache lacks.

    Started again, it does what is missing and nothing else. Clips that cannot be decoded are quarantined with the
    reason and the decoder's words in CACHE/quarantine.json; clips without a file are listed in CACHE/missing.csv.
    Status 1 if workers died over a shard again and again, so that it was given up.
    """
    from .run import run as extract

    config = checked(ExtractionConfig, choices)
    signal.signal(signal.SIGTERM, _terminate)
    console = _console()
    try:
        summary = extract(config, console)
    except (KeyboardInterrupt, SystemExit):
        console.print("stopped; what is finished is safe, and the same command resumes there")
        raise
    for line in summary.lines():
        say(line)
    sys.exit(1 if summary.tally.given_up else 0)


@main.command()
@options_of(ExtractionConfig)
def plan(**choices: Any) -> None:
    """Say what `run` would do with the same choices, measured on a few clips; --cache may be left out.

    Writes nothing.
    """
    from .plan import plan as look_ahead

    for line in look_ahead(checked(ExtractionConfig, choices), _console()):
        say(line)


@main.command()
@click.option("--cache", type=FOLDER, required=True, help="Folder of the feature cache.")
@options_of(ClipList)
def status(cache: Path, **choices: Any) -> None:
    """Say what a cache holds and what made it; with a list of clips, how much of it is there."""
    from .inspect import status_lines

    for line in status_lines(cache, _clips(choices)):
        say(line)


@main.command()
@click.option("--cache", type=FOLDER, required=True, help="Folder of the feature cache.")
def verify(cache: Path) -> None:
    """Check a cache: that no shard is lost, each one's hash, each clip's checksum. Status 1 if anything is wrong."""
    from .inspect import verified

    good, lines = verified(cache, _console())
    for line in lines:
        say(line)
    sys.exit(0 if good else 1)


@main.command()
@click.option("--cache", type=FOLDER, required=True, help="Folder of the feature cache.")
@options_of(ExtractionConfig, REPAIRABLE, required=False)
@click.option("--features", type=FOLDER, help="Folder with the authors' feature files, of a cache of import-released.")
@click.option("--give-up-lost", is_flag=True, help="Make nothing: put clips that are lost on the quarantine list.")
def repair(cache: Path, give_up_lost: bool, **choices: Any) -> None:
    """Make again what `verify` finds damaged or missing, bit for bit, and nothing else. Status 1 if some is still lost.

    What has to be known for it the cache notes: an option is needed only where something has moved since, or where the
    cache is of version 0.1, which noted nothing. Nothing is deleted: what was damaged is moved to CACHE/set-aside.
    """
    from .repair import repair as mend

    signal.signal(signal.SIGTERM, _terminate)
    good, lines = mend(cache, choices, _console(), give_up_lost=give_up_lost)
    for line in lines:
        say(line)
    sys.exit(0 if good else 1)


@main.command()
@click.option("--cache", type=FOLDER, required=True, help="Folder of the feature cache.")
@click.option("--out", type=FOLDER, required=True, help="New folder for visual.npy, audio.npy and clips.csv.")
@click.option("--dtype", default=None, metavar="float16|float32", help="Default: as stored, or float32.")
@options_of(ClipList)
def export(cache: Path, out: Path, dtype: str | None, **choices: Any) -> None:
    """Write features as plain numpy files; of the clips of a list only, in its order, if one is given."""
    from .inspect import exported

    for line in exported(cache, out, dtype, _clips(choices)):
        say(line)


@main.command()
@options_of(DerivationConfig)
def derive(**choices: Any) -> None:
    """Make a smaller cache by averaging neighbouring tokens, without videos and encoders.

    Started again, it does what is missing and nothing else.
    """
    from .derive import derive as make_smaller

    config = checked(DerivationConfig, choices)
    signal.signal(signal.SIGTERM, _terminate)
    for line in make_smaller(config, _console()):
        say(line)


@main.command("import-released")
@options_of(ImportConfig)
def import_released(**choices: Any) -> None:
    """Bring the feature files that the authors of AV-CIL published into a cache.

    Nothing in them is ever run: pickles are read for plain numpy arrays only.
    """
    from .clips import benchmark_of
    from .notes import noted
    from .released.importing import import_released as bring_in

    config = checked(ImportConfig, choices)
    benchmark = benchmark_of(config)
    report = bring_in(
        benchmark.manifest,
        config.features,
        config.cache,
        storage=config.store,
        shard_size=config.shard_size,
        jpeg_rate=benchmark.released_frame_rate,
        choices=noted(config),
        console=_console(),
    )
    for line in report.lines():
        say(line)


@main.command("import")
@options_of(FeaturesConfig)
def import_features(**choices: Any) -> None:
    """Bring features that another program made into a cache, and refuse what training could not use.

    Nothing in the files is ever run. What `export` writes is taken as well, and comes back as it was.
    """
    from .imported.importing import import_features as bring_in

    for line in bring_in(checked(FeaturesConfig, choices), _console()):
        say(line)


def _clips(choices: dict[str, Any]) -> ClipList | None:
    """The list of clips that was given, if one was."""
    clips = checked(ClipList, choices)
    return None if clips == ClipList() else clips


def _console() -> "Console":
    """Progress goes to stderr, results to stdout."""
    from rich.console import Console

    return Console(stderr=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    """On SIGTERM, unwind as on Ctrl-C: worker processes are killed, the shard at work is left, the lock let go."""
    sys.exit(TERMINATED)
