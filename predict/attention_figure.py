"""The figure of a clip's attention: a row a task's model, a column a time slice, runs side by side.

Colours tell spatial attention, from the least to the most that is in the figure, since attention is close to even by
construction; the colour bar has the true values. Under each picture a bar tells how much more (to the right) or less
(to the left) than an even share its slice weighs. Everything is placed in inches.

L time slices, S tokens, each a patch of the frame, H x W pixels.
"""

import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from ..errors import shown
from ..files import written_aside
from .attention import AttentionMaps, moved

COLOURS = "viridis"
"""Told apart by the colour-blind and in print without colours."""
STRENGTH = 0.6
"""Of the colours over a frame, which is grey below them."""
MORE, LESS = "#d55e00", "#0072b2"  # vermilion and blue of Okabe and Ito
DOTS = 200
"""Pixels an inch of a PNG."""
WIDTH = 12.5
"""Inches that all pictures of a row share, unless that makes them larger or smaller than `SIDES`."""
SIDES = (0.6, 1.2)
NARROWEST = 3.6
"""Inches that a run takes at least, for the words above its rows."""
GAP, RUN_GAP, MARGIN = 0.05, 0.35, 0.2
HEAD, LINE, STRIP, LEGEND = 0.2, 0.18, 0.25, 0.65

SMALL, LARGE = 17, 11
"""Letters an inch, of the words below and of the bold ones above."""

Image = npt.NDArray[np.uint8]
Grid = tuple[int, int]


@dataclass(frozen=True)
class Gaze:
    """What is drawn of a run."""

    title: str
    maps: Mapping[int, AttentionMaps]
    """By the task after which they are."""
    frames: Sequence[tuple[int, Image]] | None = None
    """For each slice the frame (3, H, W) below its map, with its number; None: maps alone."""


@dataclass(frozen=True)
class Scale:
    """What the colours and bars of a figure mean."""

    least: float
    most: float
    """Spatial attention at the ends of the colours."""
    deviation: float
    """Of a temporal weight from 1/L, at the end of a bar."""

    @staticmethod
    def of(maps: Sequence[AttentionMaps]) -> "Scale":
        """The one in which all of the maps can just be drawn."""
        deviations = [float((each.temporal - 1 / len(each.temporal)).abs().max()) for each in maps]
        least = min(float(each.spatial.min()) for each in maps)
        return Scale(least, max(float(each.spatial.max()) for each in maps), max(deviations))

    def placed(self, attention: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Where attention lies between the least and the most, 0 to 1; 0 where there is but one value."""
        span = self.most - self.least
        return np.clip((attention - self.least) / span, 0, 1) if span > 0 else np.zeros_like(attention)


def overlaid(attention: Tensor, grid: Grid, scale: Scale, frame: Image | None = None) -> Image:
    """A slice's spatial attention as a picture.

    Args:
        attention: (S,), the patches row by row.
        grid: rows and columns of the patches.
        scale: what the colours mean.
        frame: (3, H, W) RGB; the map is spread over all of it, linear between the centres of patches.

    Returns:
        (H, W, 3) the frame in grey under the colours; without a frame (rows, columns, 3), a pixel a patch.
    """
    patches = attention.view(1, 1, *grid)
    if frame is None:
        return _colours(scale.placed(patches[0, 0].numpy()))
    spread = F.interpolate(patches, size=frame.shape[1:], mode="bilinear", align_corners=False)[0, 0]  # (H, W)
    grey = np.tensordot((0.299, 0.587, 0.114), frame.astype(np.float32), axes=1)[:, :, None]  # (H, W, 1)
    blend = STRENGTH * _colours(scale.placed(spread.numpy())) + (1 - STRENGTH) * grey
    return np.round(blend).astype(np.uint8)


def _colours(placed: npt.NDArray[np.float32]) -> Image:
    """(H, W) of 0 to 1 -> (H, W, 3)."""
    colours: Image = matplotlib.colormaps[COLOURS](placed, bytes=True)[:, :, :3]
    return colours


def draw(clip: str, gazes: Sequence[Gaze], notes: Sequence[str] = ()) -> Figure:
    """The figure. `notes` stand below it, behind what says how it is to be read. InputError where S is no square."""
    every = [maps for gaze in gazes for maps in gaze.maps.values()]
    scale, grids = Scale.of(every), {maps.grid for maps in every}
    tasks = sorted({task for gaze in gazes for task in gaze.maps})
    slices = [len(next(iter(gaze.maps.values())).temporal) for gaze in gazes]
    side = min(max(WIDTH / sum(slices), SIDES[0]), SIDES[1])
    widths = [max(count * (side + GAP) - GAP, NARROWEST) for count in slices]
    framed = any(gaze.frames is not None for gaze in gazes)
    words = _caption(scale, sorted(grids), sorted(set(slices)), framed=framed, several=len(tasks) > 1)
    width = 2 * MARGIN + sum(widths) + RUN_GAP * (len(gazes) - 1)
    lines = [line for text in (*words, *notes) for line in textwrap.wrap(shown(text), int(width * SMALL))]
    name = textwrap.wrap(f"clip {shown(clip)}", int(width * LARGE))
    titles = [textwrap.wrap(shown(gaze.title), int(span * LARGE)) for gaze, span in zip(gazes, widths, strict=True)]
    heads = HEAD * (len(name) + max(map(len, titles)))
    frames = side + LINE if framed else 0.0
    rows = len(tasks) * (HEAD + side + STRIP)
    legend = LEGEND + LINE * len(lines)
    height = MARGIN + heads + frames + rows + legend + MARGIN

    figure = Figure(figsize=(width, height))
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, width), ylim=(height, 0))
    page.axis("off")
    for number, line in enumerate(name):
        _write(page, MARGIN, MARGIN + HEAD * (number + 0.5), line, size=10, weight="bold")
    left = MARGIN
    for gaze, span, title in zip(gazes, widths, titles, strict=True):
        top = MARGIN + HEAD * len(name)
        for number, line in enumerate(title):
            _write(page, left, top + HEAD * (number + 0.5), line, size=9, weight="bold")
        top += heads - HEAD * len(name)
        if gaze.frames is not None:
            for column, (number, frame) in enumerate(gaze.frames):
                start = left + column * (side + GAP)
                _write(page, start + side / 2, top + LINE / 2, f"frame {number}", size=6.5, ha="center")
                _place(page, frame.transpose(1, 2, 0), start, top + LINE, side)
        top += frames
        for task in tasks:
            if task in gaze.maps:
                _write(page, left, top + HEAD / 2 + 0.02, _heading(task, gaze.maps), size=8)
                _row(page, left, top + HEAD, side, gaze, gaze.maps[task], scale)
            top += HEAD + side + STRIP
        left += span + RUN_GAP
    top = height - MARGIN - legend
    _colour_bar(figure, scale, sorted(grids), (2 * MARGIN, height - top - 0.42, min(4.0, width - 4 * MARGIN), 0.12))
    for number, line in enumerate(lines):
        _write(page, MARGIN, top + LEGEND + LINE * (number + 0.5), line, size=7.5)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the form of the path's suffix, .png, .pdf or .svg; the same figure gives the same bytes."""
    kind = path.suffix.lower().removeprefix(".")
    dates = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
    with (
        matplotlib.rc_context({"svg.hashsalt": "avcil", "pdf.fonttype": 42}),
        warnings.catch_warnings(),
        written_aside(path, "wb") as stream,
    ):
        # Letters of a clip's id that the font lacks are drawn as boxes; a warning would name none that a user knows.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format=kind, dpi=DOTS, metadata=dates)


def _row(page: Axes, left: float, top: float, side: float, gaze: Gaze, maps: AttentionMaps, scale: Scale) -> None:
    """The pictures of the model after a task, and under each the weight of its slice."""
    even = 1 / len(maps.temporal)
    for column, (attention, weight) in enumerate(zip(maps.spatial, maps.temporal.tolist(), strict=True)):
        start = left + column * (side + GAP)
        frame = None if gaze.frames is None else gaze.frames[column][1]
        _place(page, overlaid(attention, maps.grid, scale, frame), start, top, side)
        middle, below = start + side / 2, top + side + 0.04
        page.add_patch(Rectangle((start, below), side, 0.05, facecolor="#e6e6e6", linewidth=0))
        if scale.deviation > 0:
            length = (weight - even) / scale.deviation * side / 2
            page.add_patch(
                Rectangle((middle, below), length, 0.05, facecolor=MORE if length > 0 else LESS, linewidth=0)
            )
        page.plot((middle, middle), (below - 0.01, below + 0.06), color="black", linewidth=0.6)
        _write(page, middle, below + 0.125, f"{100 * weight:.2f} %", size=6.5, ha="center")


def _place(page: Axes, picture: Image, left: float, top: float, side: float) -> None:
    page.imshow(picture, extent=(left, left + side, top + side, top), interpolation="nearest", aspect="auto")


def _write(page: Axes, across: float, down: float, text: str, **how: Any) -> None:
    """A line of text, centred in height; of labels and file names no character is taken for a formula."""
    page.text(across, down, text, va="center", parse_math=False, **how)


def _heading(task: int, maps: Mapping[int, AttentionMaps]) -> str:
    first = min(maps)
    if task == first:
        return f"after task {task}"
    share = 100 * moved(maps[first], maps[task])
    return f"after task {task}: {share:.2f} % of the attention moved since task {first}"


def _colour_bar(figure: Figure, scale: Scale, grids: Sequence[Grid], place: tuple[float, float, float, float]) -> None:
    """The colours' true values, with a mark at even attention. `place` in inches: left, bottom, width, height."""
    width, height = figure.get_size_inches()
    left, bottom, across, up = place
    axes = figure.add_axes((left / width, bottom / height, across / width, up / height))
    most = scale.most if scale.most > scale.least else scale.least * 1.001
    bar = figure.colorbar(
        ScalarMappable(Normalize(scale.least, most), COLOURS),
        cax=axes,
        orientation="horizontal",
        format=PercentFormatter(1, symbol=" %"),
    )
    bar.ax.tick_params(labelsize=6.5, length=2, pad=1.5)
    bar.outline.set_linewidth(0.4)
    for grid in grids:
        even = 1 / math.prod(grid)
        if scale.least <= even <= most:
            axes.axvline(even, color="white", linewidth=1.6)
            axes.axvline(even, color="black", linewidth=0.8)
            words = f"even: {_percent(even)}"
            axes.text(even, 1.35, words, transform=axes.get_xaxis_transform(), size=6.5, ha="center", va="bottom")


def _caption(scale: Scale, grids: Sequence[Grid], slices: Sequence[int], *, framed: bool, several: bool) -> list[str]:
    """How the figure is to be read."""
    patches = " or ".join(f"{rows} x {columns}" for rows, columns in grids)
    even = " or ".join(_percent(1 / count) for count in slices)
    said = [
        f"Colour: share of a slice's spatial attention that a patch has ({patches} patches; mean over channels"
        f"{'; smoothed between patches' if framed else ''}), scaled to the range of this figure, which the bar gives.",
        f"Bars: temporal weight of a slice (mean over channels) against an even {even}, the mark in the middle: more "
        f"to the right, less to the left; half a bar is {100 * scale.deviation:.2g} percentage points.",
    ]
    if framed:
        said.append("Frames: of those that each slice was encoded from the first, as the encoder saw it.")
    if several:
        said.append("Moved: share of the spatial attention that lies on other patches than after the first task drawn.")
    return said


def _percent(share: float) -> str:
    """A share in percent to three digits: "12.6 %", "0.51 %"."""
    return f"{100 * share:.3g} %"
