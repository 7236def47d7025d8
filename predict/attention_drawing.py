"""From runs and a clip to the attention figure: the maps of every task's model, and the frames below them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..incremental.results.collect import FinishedRun, rows_of
from ..wording import RANDOM_WEIGHTS
from .attention import attention_maps, refuse_without_attention
from .attention_figure import Gaze, draw
from .frames import files_of, first_of_each_slice, frames_of, preparation_of
from .recogniser import OneClip, Recogniser

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """What is drawn of a clip, and what has to be said of it."""

    clip: str
    """Its id, or its file where it has none."""
    gazes: tuple[Gaze, ...]
    """One a run."""
    random_weights: bool
    """Whether a run learnt from features of random encoders."""
    encoded: tuple[str, ...]
    """A line for each run whose cache does not hold the clip, so that its file was encoded."""
    without_frames: tuple[str, ...]
    """Why maps stand alone, where they do."""

    def figure(self) -> "Figure":
        """The figure."""
        return draw(self.clip, self.gazes, [f"Note: {RANDOM_WEIGHTS}."] if self.random_weights else [])


def drawing_of(
    recognisers: Sequence[Recogniser],
    clip: str | None = None,
    *,
    cache: Path | str | None = None,
    video: Path | str | None = None,
    tasks: Sequence[int] | None = None,
) -> Drawing:
    """What `avcil attention` draws.

    Args:
        recognisers: the runs, side by side.
        clip: its id in the cache; None: `video` is encoded.
        cache: the cache's folder; None: where the runs found it.
        video: the clip's file; None: looked for where the features were made from it.
        tasks: the tasks after which the models are drawn; None for all.

    Raises:
        InputError: a run has no attention, or no such task; or as `Recogniser.source` does.
    """
    for recogniser in recognisers:
        refuse_without_attention(recogniser.trained)
    titles = _titles([recogniser.trained.finished for recogniser in recognisers])
    name = clip if clip is not None else str(video)
    gazes: list[Gaze] = []
    encoded: list[str] = []
    without: dict[str, None] = {}
    for recogniser, title in zip(recognisers, titles, strict=True):
        trained = recogniser.trained
        models = {task: trained.after(task) for task in tasks or range(1, len(trained.tasks) + 1)}
        source = recogniser.source(clip, cache=cache, video=video)
        if clip is not None and isinstance(source, OneClip):
            encoded.append(f"{trained.finished.path}: clip {clip} is in no cache, and {video} was encoded")
        maps = {task: attention_maps(model, source, [name])[0] for task, model in models.items()}
        frames, reason = _frames(recogniser, clip, video, len(next(iter(maps.values())).temporal))
        without.update({} if reason is None else {reason: None})
        gazes.append(Gaze(title, maps, frames))
    random = any(recogniser.trained.random_weights for recogniser in recognisers)
    return Drawing(name, tuple(gazes), random, tuple(encoded), tuple(without))


def draw_attention(
    runs: Recogniser | Sequence[Recogniser],
    clip: str | None = None,
    *,
    cache: Path | str | None = None,
    video: Path | str | None = None,
    tasks: Sequence[int] | None = None,
) -> "Figure":
    """Where runs look in a clip, as a figure: that of `avcil attention`, for a notebook.

    Args:
        runs: what `avcil.load` gives; several stand side by side.
        clip: its id in the cache; None: `video` is encoded.
        cache: the cache's folder; None: where the runs found it.
        video: the clip's file; None: looked for where the features were made from it.
        tasks: the tasks after which the models are drawn; None for all.

    Returns:
        A figure of matplotlib. Where no video file is found, the maps stand alone.

    Raises:
        InputError: a run has no attention, or no such task; or as `Recogniser.source` does.
    """
    recognisers = [runs] if isinstance(runs, Recogniser) else list(runs)
    return drawing_of(recognisers, clip, cache=cache, video=video, tasks=tasks).figure()


def _titles(runs: list[FinishedRun]) -> list[str]:
    """What tells each run from the others, as in a table; seeds and repetitions of one row by seed and folder."""
    names = {}
    for row in rows_of(runs):
        for run in row.runs:
            names[run.path] = row.name if len(row.runs) == 1 else f"{row.name}, {run.repetition}"
        names |= {path: f"{row.name} ({path})" for path in row.repeated}
    return [names[run.path] for run in runs]


def _frames(recogniser: Recogniser, clip: str | None, video: Path | str | None, slices: int) -> tuple[Any, str | None]:
    """The frame of each slice; or None and why, where no file was given and none is found."""
    run = recogniser.trained.finished
    try:
        preparation_of(run)
    except InputError as error:
        if video is not None:
            raise InputError(f"{error}: without --video the maps are drawn alone") from error
        return None, str(error)
    if video is not None:
        return first_of_each_slice(frames_of(run, Path(video)), slices), None
    assert clip is not None
    try:
        files = files_of(run, clip)
    except InputError as error:
        return None, f"{error}; --video FILE says where the clip is"
    try:
        return first_of_each_slice(frames_of(run, *files), slices), None
    except InputError as error:
        return None, str(error)
