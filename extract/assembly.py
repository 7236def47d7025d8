"""Put a run together: precision, encoders, recipe, and what the cache is told about them."""

import dataclasses
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch

from .. import __version__
from ..cache import Fingerprint, scan
from ..devices import choose_device, multiplies_bfloat16_fast
from ..errors import unknown
from .config import ExtractionConfig
from .encoders import load_audio_encoder, load_visual_encoder
from .pipeline import Encoders
from .preparation.recipes import ClipPreparation, Recipe

PRECISIONS = ("float32", "bfloat16")
LIBRARIES = ("torch", "transformers", "numpy", "pillow", "av", "decord", "soxr", "h5py")


def choose_precision(given: str | None, device: torch.device, cache: Path | None) -> str:
    """The precision asked for; else the one that the cache was begun with; else what the device is fast at.

    Raises:
        InputError: no such precision.
    """
    if given is not None:
        if given not in PRECISIONS:
            raise unknown("precision", given, PRECISIONS)
        return given
    if cache is not None and (cache / "cache.json").exists():
        begun_with = scan(cache).description.fingerprint.facts.get("visual_encoder", {}).get("precision")
        if begun_with in PRECISIONS:
            return str(begun_with)
    return "bfloat16" if multiplies_bfloat16_fast(device) else "float32"


def load_encoders(config: ExtractionConfig) -> tuple[Encoders, str]:
    """Load both encoders; returns them and the precision chosen.

    Raises:
        InputError: no such device, precision or encoder, or weights that do not fit.
    """
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device, config.cache)
    how = {"device": device, "precision": precision, "random_weights": config.random_weights}
    visual = load_visual_encoder(config.video_encoder, **how)  # type: ignore[arg-type]
    audio = load_audio_encoder(config.audio_encoder, **how)  # type: ignore[arg-type]
    return Encoders(visual, audio, device), precision


def prepare(
    encoders: Encoders, recipe: Recipe, missing_audio: Literal["quarantine", "silence"] = "quarantine"
) -> ClipPreparation:
    """What the children have to do for these encoders."""
    return ClipPreparation.of(recipe, encoders.visual.preparation, encoders.audio.preparation, missing_audio)


def fingerprint(encoders: Encoders, recipe: Recipe, storage: str) -> Fingerprint:
    """Everything that decides the features of a clip."""
    facts: Mapping[str, Any] = {
        "visual_encoder": encoders.visual.identity,
        "audio_encoder": encoders.audio.identity,
        "recipe": recipe.facts(),
        "storage": storage,
    }
    return Fingerprint(facts)


def versions() -> dict[str, str]:
    """Of this package and of every library that touches a clip, for the cache's records."""
    found = {"avcil": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def default_workers(device: torch.device) -> int:
    """Decoding children: one a processor beside a GPU; beside encoders on the CPU a quarter of them suffices."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors if device.type == "cuda" else max(1, processors // 4)


def default_batch_size(device: torch.device) -> int:
    """Clips encoded at once: enough to fill a GPU; two on a CPU, where more bring nothing."""
    return 32 if device.type == "cuda" else 2


def describe(encoders: Encoders, precision: str) -> list[str]:
    """Lines for people: the encoders, with a warning where their weights are random."""
    lines = [f"video: {encoders.visual.title}", f"audio: {encoders.audio.title}"]
    if any(e.identity.get("random_weights") is not None for e in (encoders.visual, encoders.audio)):
        lines.append("RANDOM WEIGHTS: these features say nothing about the real encoders")
    return [*lines, f"device: {encoders.device}, {precision}"]


def notes(preparation: ClipPreparation, device: str, batch_size: int) -> dict[str, Any]:
    """What a new cache keeps for readers, beside its fingerprint."""
    return {
        "device": device,
        "batch_size": batch_size,
        "missing_audio": preparation.missing_audio,
        "audio_preparation": dataclasses.asdict(preparation.audio),
        "visual_preparation": dataclasses.asdict(preparation.visual),
    }
