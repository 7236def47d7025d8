"""The frames of a clip as the encoder saw them: decoded, chosen, resized and cropped as the run's features were made.

No encoder is loaded: how frames were prepared is among the facts of the features, which the run has recorded. T frames,
H x W pixels, L time slices.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..extract.clips import list_of, locate
from ..extract.config import ExtractionConfig
from ..extract.decoding.frames import READING
from ..extract.decoding.workers import DecodingPool, Job
from ..extract.preparation.encoder_input import AudioPreparation, VisualPreparation
from ..extract.preparation.recipes import ClipPreparation, Recipe
from ..incremental.results.collect import FinishedRun
from ..options import checked
from .encoding import check_file, choices_of

Frames = npt.NDArray[np.uint8]


def preparation_of(run: FinishedRun) -> ClipPreparation:
    """How a clip of the run's features was prepared; of the sound, only that it may be missing.

    Raises:
        InputError: the features were not made from video files, or by a version that reads other frames.
    """
    facts: Mapping[str, Any] = run.content["provenance"].get("cache_made_by") or {}
    processor = facts.get("visual_encoder", {}).get("processor")
    if processor is None or "recipe" not in facts:
        raise InputError(f"{run.path} does not record which frames its features were made from")
    if facts.get("reading") != READING:
        raise InputError(f"{run.path} learnt from features of another version of avcil, which reads other frames")
    plain: dict[str, Any] = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in processor.items()}
    pixels = VisualPreparation(**plain)
    return ClipPreparation.of(Recipe(**facts["recipe"]), pixels, AudioPreparation(), missing_audio="silence")


def frames_of(run: FinishedRun, *files: Path) -> Frames:
    """The frames (T, 3, H, W) of a clip, byte for byte as the encoder of the run's features got them.

    Args:
        run: the run.
        files: the clip's file; of several, the first that can be decoded, as extraction takes it.

    Raises:
        InputError: as `preparation_of`; no such file, or it cannot be decoded.
    """
    preparation = preparation_of(run)
    for path in files:
        check_file(path)
    config = _config(run)
    job = Job("clip", files[0], files[1:])
    with DecodingPool(preparation, workers=1, timeout=config.clip_timeout, memory=config.clip_memory) as pool:
        (outcome,) = pool.read_all([job], ahead=1)
    if outcome.clip is None:
        raise InputError(f"{outcome.job.path}: {outcome.reason}: {outcome.words}")
    return outcome.clip.pixels


def files_of(run: FinishedRun, clip: str) -> tuple[Path, ...]:
    """The video file of a clip, found where the run's features were made; with files to try where it cannot be decoded.

    Raises:
        InputError: neither the run nor its cache has noted where the videos lay, they have moved, or the clip has
            different files.
    """
    if not choices_of(run).get("videos"):
        raise InputError(f"neither {run.path} nor its cache says where the videos lay")
    config = _config(run)
    benchmark, _ = list_of(config)
    located = locate(benchmark, config.videos)
    if clip not in located.found:
        raise InputError(f"clip '{clip}' has no file under {config.videos}")
    choice = located.several.get(clip)
    if choice is None:
        return (located.found[clip],)
    if choice.disputed:
        raise InputError(f"clip '{clip}' has {len(choice.files)} different files under {config.videos}")
    return choice.files


def first_of_each_slice(frames: Frames, slices: int) -> list[tuple[int, Frames]]:
    """The first frame (3, H, W) that each of L time slices was made from, with its number among the T, from 1.

    Raises InputError where the frames do not divide into so many slices.
    """
    if len(frames) % slices:
        raise InputError(f"{len(frames)} frames do not divide into {slices} time slices")
    step = len(frames) // slices
    return [(number + 1, frames[number]) for number in range(0, len(frames), step)]


def _config(run: FinishedRun) -> ExtractionConfig:
    return checked(ExtractionConfig, {"videos": ".", **choices_of(run)})
