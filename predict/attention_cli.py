"""`avcil attention`: a figure of where finished runs look in a clip. Heavy imports wait until they are needed."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, OneLineCommand, say
from ..options import FILE, FOLDER
from ..wording import RANDOM_WEIGHTS

if TYPE_CHECKING:
    from ..incremental.results.collect import FinishedRun
    from .recogniser import Recogniser

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
    from .attention import attention_maps, refuse_without_attention
    from .attention_figure import Gaze, draw, save
    from .recogniser import OneClip, load

    recognisers = [load(run, **how) for run in dict.fromkeys(runs)]
    for recogniser in recognisers:
        refuse_without_attention(recogniser.trained)
    titles = _titles([recogniser.trained.finished for recogniser in recognisers])
    gazes: list[Gaze] = []
    without: dict[str, None] = {}
    name = clip if clip is not None else str(video)
    for recogniser, title in zip(recognisers, titles, strict=True):
        trained = recogniser.trained
        models = {task: trained.after(task) for task in numbers or range(1, len(trained.tasks) + 1)}
        source = recogniser.source(clip, cache=cache, video=video)
        if clip is not None and isinstance(source, OneClip):
            say(f"{trained.finished.path}: clip {clip} is in no cache, and {video} was encoded", err=True)
        maps = {task: attention_maps(model, source, [name])[0] for task, model in models.items()}
        frames, reason = _frames(recogniser, clip, video, len(next(iter(maps.values())).temporal))
        without.update({} if reason is None else {reason: None})
        gazes.append(Gaze(title, maps, frames))
    random = any(recogniser.trained.random_weights for recogniser in recognisers)
    save(draw(name, gazes, [f"Note: {RANDOM_WEIGHTS}."] if random else []), out)
    for reason in without:
        say(f"maps alone, without frames: {reason}", err=True)
    drawn = "; ".join(f"{gaze.title} after task {', '.join(map(str, gaze.maps))}" for gaze in gazes)
    say(f"{out}: clip {name}, {drawn}")
    if random:
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


def _titles(runs: "list[FinishedRun]") -> list[str]:
    """What tells each run from the others, as in a table; seeds and repetitions of one row by seed and folder."""
    from ..incremental.results.collect import rows_of

    names = {}
    for row in rows_of(runs):
        for run in row.runs:
            names[run.path] = row.name if len(row.runs) == 1 else f"{row.name}, {run.repetition}"
        names |= {path: f"{row.name} ({path})" for path in row.repeated}
    return [names[run.path] for run in runs]


def _frames(recogniser: "Recogniser", clip: str | None, video: Path | None, slices: int) -> "tuple[Any, str | None]":
    """The frame of each slice; or None and why, where no file was given and none is found."""
    from .frames import files_of, first_of_each_slice, frames_of, preparation_of

    run = recogniser.trained.finished
    try:
        preparation_of(run)
    except InputError as error:
        if video is not None:
            raise InputError(f"{error}: without --video the maps are drawn alone") from error
        return None, str(error)
    if video is not None:
        return first_of_each_slice(frames_of(run, video), slices), None
    assert clip is not None
    try:
        files = files_of(run, clip)
    except InputError as error:
        return None, f"{error}; --video FILE says where the clip is"
    try:
        return first_of_each_slice(frames_of(run, *files), slices), None
    except InputError as error:
        return None, str(error)
