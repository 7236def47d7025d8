"""`avcil predict`: what a trained run says of video files. Heavy imports wait until they are needed."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import InputError, OneLineCommand, say
from ..manifests import videos_below
from ..options import FILE, FOLDER
from ..wording import RANDOM_WEIGHTS

PATH = click.Path(path_type=Path)


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=FOLDER)
@click.argument("videos", metavar="VIDEO...", type=PATH, nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to name, best first.")
@click.option("--task", type=click.IntRange(min=1), help="Answer as after this task; by default after the last.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document, with scores as well.")
@click.option(
    "--visual", metavar="HUB_ID|DIR|NAME[:SOURCE]", help="The video encoder, if the run's record is outdated."
)
@click.option("--audio", metavar="HUB_ID|DIR|FILE|NAME[:SOURCE]", help="The audio encoder, likewise.")
@click.option("--device", default="auto", show_default=True, help="Where everything computes: auto, cpu, cuda:0.")
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with the run's method, if it moved.")
@click.option("--encoder-plugin", "encoder_plugins", type=FILE, multiple=True, help="The same of its encoders.")
def main(run: Path, videos: tuple[Path, ...], top: int, as_document: bool, **how: Any) -> None:
    """Say what each VIDEO shows, by the finished run in folder RUN. A folder stands for all video files below it.

    The encoders have to be those that the run learnt from; another one is refused with what differs. A video that
    cannot be decoded is told on standard error, and the status is then 1.
    """
    files = _files(videos)
    from .recogniser import Unread, Verdict, load

    recogniser = load(run, **how)
    trained = recogniser.trained
    notes = [] if trained.kind.scores_are_logits else [f"numbers are scores of {trained.kind.name}, not probabilities"]
    notes += [RANDOM_WEIGHTS] if trained.random_weights else []
    answers: list[dict[str, Any]] = []
    unread: list[dict[str, str]] = []
    for answer in recogniser.predict_all(files):
        if isinstance(answer, Unread):
            unread.append({"video": str(answer.path), "reason": answer.reason, "words": answer.words})
            say(answer, err=True)
        elif as_document:
            answers.append({"video": str(answer.path), "classes": _ranked(answer, top)})
        else:
            assert isinstance(answer, Verdict)
            say(answer.line(top))
    if as_document:
        document = {
            "run": str(trained.finished.path),
            "method": trained.kind.name,
            "task": trained.task,
            "random_encoder_weights": trained.random_weights,
            "notes": notes,
            "videos": answers,
            "unread": unread,
        }
        click.echo(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        for note in notes:
            say(f"note: {note}")
    sys.exit(1 if unread else 0)


def _files(videos: tuple[Path, ...]) -> list[Path]:
    """The video files that are meant; InputError where something is not there, or a folder holds none."""
    files: list[Path] = []
    for path in videos:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        found = videos_below(path) if path.is_dir() else [path]
        if not found:
            raise InputError(f"{path}: no video file in this folder")
        files += [file for file in found if file not in files]
    return files


def _ranked(verdict: Any, top: int) -> list[dict[str, Any]]:
    shares = verdict.probabilities or (None,) * len(verdict.labels)
    ranked = list(zip(verdict.labels, verdict.scores, shares, strict=True))[:top]
    return [{"label": label, "score": score, "probability": share} for label, score, share in ranked]
