"""The named recipes: which frames of a clip are taken, and what is done to its sound.

`audiomae`  what the encoders were trained on: frames evenly over the clip, sound as AudioMAE takes it.
`released`  what the authors of AV-CIL did for the features that they published. Read from the behaviour
            of their scripts: `ffmpeg -r RATE %06d.jpg` with ffmpeg's default quality, sixteen of
            those JPEG files, and sound written by MoviePy at 11,430 Hz, of which AudioMAE sees the first
            channel without its input normalisation.

A recipe is part of a cache's fingerprint: features made by different recipes never mix.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ...errors import InputError, unknown
from .encoder_input import SoundPreparation, VisualPreparation, WaveformPreparation


@dataclass(frozen=True)
class Recipe:
    """What is taken from a clip, before an encoder's own preparation."""

    name: str
    """One of `RECIPE_NAMES`."""
    jpeg_rate: int | None = None
    """None: frames evenly over the clip. A rate: the clip is re-timed to so many frames a second, which
    go through ffmpeg's JPEG encoder at its default rate of 200 kbit/s, and `jpeg_choice` picks from them."""
    channels: Literal["mixdown", "first"] = "mixdown"
    """Mono as the mean of all channels, or as the first of ffmpeg's stereo downmix."""
    sample_rate: int | None = None
    """Samples a second; None: as the audio encoder was trained."""
    resampling: Literal["soxr", "pick"] = "soxr"
    """soxr's high-quality filter; or no filter: the sample nearest in time from 44,100 Hz (MoviePy)."""
    normalise: bool = True
    """Whether the audio encoder's input normalisation is applied."""

    def audio(self, encoder: SoundPreparation) -> SoundPreparation:
        """The audio encoder's preparation, as changed by this recipe.

        Raises:
            InputError: the recipe makes another spectrogram, and the encoder takes none.
        """
        if isinstance(encoder, WaveformPreparation):
            if self.sample_rate is not None:
                raise InputError(f"recipe '{self.name}' is for spectrogram encoders, and this one takes waveforms")
            return encoder
        return dataclasses.replace(
            encoder,
            sample_rate=self.sample_rate or encoder.sample_rate,
            normalise=encoder.normalise and self.normalise,
        )

    def facts(self) -> dict[str, Any]:
        """All settings as plain values, for a cache's fingerprint."""
        return dataclasses.asdict(self)


RecipeName = Literal["audiomae", "released"]
RECIPE_NAMES: tuple[RecipeName, ...] = get_args(RecipeName)
MissingAudio = Literal["quarantine", "silence"]
USUAL_JPEG_RATE = 8


def recipe(name: str, jpeg_rate: int | None = None) -> Recipe:
    """The recipe of this name.

    Args:
        name: one of `RECIPE_NAMES`.
        jpeg_rate: for `released`, JPEG frames a second, which the authors chose by data set
            (`Benchmark.released_frame_rate`); None: `USUAL_JPEG_RATE`.

    Raises:
        InputError: no such recipe.
    """
    if name == "audiomae":
        return Recipe("audiomae")
    if name == "released":
        return Recipe(
            "released",
            jpeg_rate=jpeg_rate or USUAL_JPEG_RATE,
            channels="first",
            sample_rate=11_430,
            resampling="pick",
            normalise=False,
        )
    raise unknown("recipe", name, RECIPE_NAMES)


@dataclass(frozen=True)
class ClipPreparation:
    """All that a decoding worker process has to know: from a file to the two encoders' inputs."""

    recipe: Recipe
    visual: VisualPreparation
    audio: SoundPreparation
    """With the recipe's changes already in it."""
    missing_audio: MissingAudio = "quarantine"
    """A clip without sound is refused, or gets `audio.samples` zeros for a waveform."""

    @staticmethod
    def of(
        recipe: Recipe,
        visual: VisualPreparation,
        audio: SoundPreparation,
        missing_audio: MissingAudio = "quarantine",
    ) -> "ClipPreparation":
        """Combine a recipe with what the two encoders ask for."""
        return ClipPreparation(recipe, visual, recipe.audio(audio), missing_audio)


def even_choice(times: Sequence[float] | npt.NDArray[np.float64], count: int) -> list[int]:
    """Indices of `count` frames evenly over the clip in time, the first and the last frame included.

    The k-th is the frame nearest to first + k (last - first) / (count - 1); where the clip has fewer
    frames than that, frames repeat, in order.

    Args:
        times: when each frame is shown, in seconds, ascending; at least one.
        count: frames wanted.
    """
    shown = np.asarray(times, np.float64)
    wanted = np.linspace(shown[0], shown[-1], count)
    after = np.searchsorted(shown, wanted).clip(1, max(len(shown) - 1, 1))
    if len(shown) == 1:
        return [0] * count
    nearer_before = wanted - shown[after - 1] <= shown[after] - wanted
    return [int(index) for index in np.where(nearer_before, after - 1, after)]


def jpeg_choice(frames: int, count: int) -> list[int]:
    """Which of `frames` JPEG files the released features were made from, counted from 1.

    1, then 1 + int((i + 1) n / (count - 1) + .5) for i = 0 .. count - 3, then n. With fewer than about
    `count` files that runs past the end, where the reference implementation stops with an error: here it stays at n.
    """
    interval = frames / (count - 1)
    inner = [min(1 + int((i + 1) * interval + 0.5), frames) for i in range(count - 2)]
    return [1, *inner, frames]


def retimed(
    times: Sequence[float] | npt.NDArray[np.float64],
    durations: Sequence[float] | npt.NDArray[np.float64],
    rate: float,
) -> list[int]:
    """Which frame each output frame of `ffmpeg -r rate` shows (its constant-rate mode).

    An input frame is written once unless it ends more than 1.1 output frames early (then it is left out)
    or late (then it is repeated, and the frame before it fills the gap up to its start). After the last
    one comes as much filling as was usual lately. So the first frames come densely, up to 1.1 frames ahead
    of time, and a 30 Hz clip of 10 s gives 102 frames at 10 Hz: 0, 1, 2, 5, 8, ... Same choice as ffmpeg
    9.0.2 for constant rates from 1 to 60 Hz and for variable ones.

    Args:
        times: when each input frame is shown, in seconds after the file's start, ascending.
        durations: for how long, in seconds, as the container says.
        rate: output frames a second.
    """
    written: list[int] = []
    fillings = [0, 0, 0]
    for index, (time, duration) in enumerate(zip(times, durations, strict=True)):
        early = time * rate - len(written)
        late = early + duration * rate
        if early < 0 < late:
            early = 0.0
        copies = 0 if late < -1.1 else round(late) if late > 1.1 else 1
        filling = min(round(early - 0.6), copies) if late > 1.1 and early > 1.1 and index > 0 else 0
        written += [index - 1] * filling + [index] * (copies - filling)
        fillings.append(filling)
    return written + [len(times) - 1] * sorted(fillings[-3:])[1]
