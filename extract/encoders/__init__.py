"""The frozen encoders of stage 1, found by listing this package.

A module here that binds a `Family` to the name FAMILY is an encoder: adding one is adding one file. The
source's configuration decides which family it belongs to. Encoders of your own are classes that extend `FrameEncoder`
or `SoundEncoder`, in a file given by --plugin or in a package with entry points of the group "avcil.encoders".
"""

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import torch

from ...devices import PRECISIONS
from ...errors import InputError, unknown
from ..config import AUDIO_ENCODER, VIDEO_ENCODER
from ..preparation.encoder_input import VisualPreparation, WaveformPreparation
from .family import AudioEncoder, Family, Settings, VisualEncoder
from .own import FrameEncoder, SoundEncoder, clip_tokens, ready
from .plugins import own_encoders
from .source import find_source

__all__ = [
    "AudioEncoder",
    "FrameEncoder",
    "SoundEncoder",
    "VisualEncoder",
    "VisualPreparation",
    "WaveformPreparation",
    "clip_tokens",
    "load_audio_encoder",
    "load_visual_encoder",
]


def load_visual_encoder(
    source: str = VIDEO_ENCODER,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    random_weights: int | None = None,
    plugins: Sequence[Path] = (),
) -> VisualEncoder:
    """The frozen video encoder of a Hub id or a directory.

    Args:
        source: Hub id, directory, or a file of weights; or the name of an encoder of your own, alone or as
            "NAME:SOURCE", where SOURCE is for its `load`.
        device: where it computes.
        precision: "float32" or "bfloat16".
        random_weights: a seed, to build the source's architecture with untrained weights; its configuration
            is enough for that, and of the published Hub ids not even that is needed.
        plugins: Python files with encoders of your own. They are run.

    Raises:
        InputError: the source is not there, not complete, or of a kind that no family here holds; a plugin's mistake.
    """
    return cast(VisualEncoder, _load("visual", source, device, precision, random_weights, plugins))


def load_audio_encoder(
    source: str = AUDIO_ENCODER,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    random_weights: int | None = None,
    plugins: Sequence[Path] = (),
) -> AudioEncoder:
    """The frozen audio encoder of a source; arguments and errors as for `load_visual_encoder`."""
    return cast(AudioEncoder, _load("audio", source, device, precision, random_weights, plugins))


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
    plugins: Sequence[Path],
) -> object:
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    settings = Settings(torch.device(device), precision, random_weights)
    own = own_encoders(plugins)
    called, _, of = name.partition(":")
    if called in own:
        return ready(own[called], modality, of or None, settings)
    if own and not Path(name).exists() and (of or "/" not in name):
        raise unknown("encoder of your own", called, own)
    suited = [family for family in families() if family.modality == modality]
    published = {key: config for family in suited for key, config in family.published.items()}
    source = find_source(name, published, random_weights=random_weights is not None)
    for family in suited:
        if family.accepts(source):
            return family.load(source, settings)
    names = ", ".join(family.name for family in suited)
    raise InputError(f"{name} is of kind '{source.kind}', which no {modality} encoder here can hold: {names}")
