"""`avcil attention`: a figure of where finished runs look in a clip. Heavy imports wait until they are needed."""

import importlib.util
from pathlib import Path
from typing import Any

import click

from ..errors import InputError, OneLineCommand, say
from ..options import FILE, FOLDER
from ..wording import RANDOM_WEIGHTS

SUFFIXES = (".png", ".pdf", ".svg")


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--run", "runs", type=FOLDER, multiple=True, required=True, help="A finished run; several side by side.")
@click.option("--clip", metavar="ID", help="The clip, by its id in the cache; without it --video is encoded.")
@click.option("--video", type=FILE, help="The clip's file, where it is not found or the cache does not hold the clip.")
@click.option("--out", type=FILE, required=True, help="File of the figure: .png, .pdf or .svg.")
@click.option("--tasks", metavar="N,N", help="Draw the models after these tasks only, such as 1,3; by default all.")
@click.option("--cache", type=FOLDER, help="Folder of the cache, if it moved.")
@click.option("--visual", metavar="HUB_ID|DIR|NAME[:SOURCE]", help="To encode --video: the video encoder, if it moved.")
@click.option("--audio", metavar="HUB_ID|DIR|FILE|NAME[:SOURCE]", help="The audio encoder, likewise.")
@click.option("--device", default="auto", show_default=True, help="Where everything computes: auto, cpu, cuda:0.")
@click.option("--plugin", "plugins", type=FILE, multiple=True, help="Python file with the runs' method, if it moved.")
@click.option("--encoder-plugin", "encoder_plugins", type=FILE, multiple=True, help="The same of their encoders.")
def main(
    runs: tuple[Path, ...],
    clip: str | None,
    video: Path | None,
    out: Path,
    tasks: str | None,
    cache: Path | None,
    **how: Any,
) -> None:
    """Draw where finished runs look in a clip: the spatial attention of each time slice over its frame and the slice's
    temporal weight, a row for the model after each task, runs side by side.

    The clip's features come from the runs' cache, its frames from the video file; that is looked for where the
    features were made from it. Without a file the maps are drawn alone.
    """
    if clip is None and video is None:
        raise InputError("no clip: give --clip, an id of the cache, or --video, a file")
    numbers = None if tasks is None else _numbers(tasks)
    _check_out(out)
    from .attention_drawing import drawing_of
    from .attention_figure import save
    from .recogniser import load

    recognisers = [load(run, **how) for run in dict.fromkeys(runs)]
    drawing = drawing_of(recognisers, clip, cache=cache, video=video, tasks=numbers)
    for line in drawing.encoded:
        say(line, err=True)
    save(drawing.figure(), out)
    for reason in drawing.without_frames:
        say(f"maps alone, without frames: {reason}", err=True)
    drawn = "; ".join(f"{gaze.title} after task {', '.join(map(str, gaze.maps))}" for gaze in drawing.gazes)
    say(f"{out}: clip {drawing.clip}, {drawn}")
    if drawing.random_weights:
        say(f"note: {RANDOM_WEIGHTS}")


def _numbers(words: str) -> tuple[int, ...]:
    """The tasks of "1,3", in order and each once."""
    try:
        found = sorted({int(word) for word in words.split(",")})
    except ValueError:
        raise InputError(f"--tasks {words}: numbers of tasks are wanted, such as 1,3") from None
    return tuple(found)


def _check_out(out: Path) -> None:
    """InputError where the figure cannot be drawn or written, before anything is computed."""
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: a figure is written as .png, .pdf or .svg")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
