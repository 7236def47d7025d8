"""The frozen encoders of stage 1, found by listing this package.

A module here that binds a `Family` to the name FAMILY is an encoder: adding one is adding one file. The
source's configuration decides which family it belongs to.
"""

import functools
import importlib
import pkgutil
from typing import Literal, cast

import torch

from ...devices import PRECISIONS
from ...errors import InputError, unknown
from ..config import AUDIO_ENCODER, VIDEO_ENCODER
from .family import AudioEncoder, Family, Settings, VisualEncoder
from .source import find_source

__all__ = [
    "AudioEncoder",
    "VisualEncoder",
    "load_audio_encoder",
    "load_visual_encoder",
]


def load_visual_encoder(
    source: str = VIDEO_ENCODER,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    random_weights: int | None = None,
) -> VisualEncoder:
    """The frozen video encoder of a Hub id or a directory.

    Args:
        source: Hub id, directory, or a file of weights.
        device: where it computes.
        precision: "float32" or "bfloat16".
        random_weights: a seed, to build the source's architecture with untrained weights; its configuration
            is enough for that, and of the published Hub ids not even that is needed.

    Raises:
        InputError: the source is not there, not complete, or of a kind that no family here holds.
    """
    return cast(VisualEncoder, _load("visual", source, device, precision, random_weights))


def load_audio_encoder(
    source: str = AUDIO_ENCODER,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    random_weights: int | None = None,
) -> AudioEncoder:
    """The frozen spectrogram encoder of a source; arguments and errors as for `load_visual_encoder`."""
    return cast(AudioEncoder, _load("audio", source, device, precision, random_weights))


@functools.cache
def families() -> tuple[Family, ...]:
    """Every encoder family of this package, in the order of the modules' names."""
    modules = [importlib.import_module(f".{found.name}", __name__) for found in pkgutil.iter_modules(__path__)]
    return tuple(module.FAMILY for module in modules if hasattr(module, "FAMILY"))


def _load(
    modality: Literal["visual", "audio"],
    name: str,
    device: torch.device | str,
    precision: str,
    random_weights: int | None,
) -> object:
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    suited = [family for family in families() if family.modality == modality]
    published = {key: config for family in suited for key, config in family.published.items()}
    source = find_source(name, published, random_weights=random_weights is not None)
    for family in suited:
        if family.accepts(source):
            settings = Settings(torch.device(device), precision, random_weights)
            return family.load(source, settings)
    names = ", ".join(family.name for family in suited)
    raise InputError(f"{name} is of kind '{source.kind}', which no {modality} encoder here can hold: {names}")
