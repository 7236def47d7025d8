"""Encoders of your own: a class with a name, its preparation, `load` and `encode`; all else is done here.

    class MyEncoder(FrameEncoder):                    # or SoundEncoder
        name = "my-encoder"
        preparation = VisualPreparation(frames=16, shortest_edge=224, crop=224, resample="bicubic")

        def load(self, source):                       # SOURCE of --video-encoder my-encoder:SOURCE
            return torch.jit.load(source)

        def encode(self, model, pixels):              # (B, T, 3, H, W) -> (B, L, S, D)
            return ...

`avcil-extract run --plugin my_encoder.py --video-encoder my-encoder:weights.pt`. A class is tried on made-up clips
before a cache is touched, so that a mistake in it is told at once.

Shapes: B clips, T frames, H x W pixels, N audio samples, L time slices, S tokens, D channels.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...plugins import in_one_line, line_of
from ..preparation.encoder_input import VisualPreparation, WaveformPreparation
from .family import Settings, computing
from .weights import digest

PROBED = 2
"""Made-up clips on which an encoder is tried."""


class OwnEncoder:
    """What both kinds share."""

    name: ClassVar[str]
    """By which options call it: letters, digits, dots, underscores and hyphens."""
    random_weights: ClassVar[bool] = False
    """Say True where `load` gives weights that were drawn rather than learnt: all results then say so."""
    seen: ClassVar[str]
    made: ClassVar[str]

    def load(self, source: str | None) -> nn.Module:
        """The model, on the CPU in float32; `source` is what the user wrote behind the name and a colon, or None.

        Here the instance may also set its own `preparation`, for example from a processor's file.
        """
        raise NotImplementedError

    def encode(self, model: Any, prepared: Tensor) -> Tensor:
        """The features of a batch, without gradients, on the device. A clip's may not depend on its neighbours."""
        raise NotImplementedError


class FrameEncoder(OwnEncoder):
    """An encoder of frames: of a clip's T frames at once, or of each by itself.

    `encode(model, pixels)`: float32 (B, T, 3, H, W), rescaled and normalised as `preparation` says -> (B, L, S, D), or
    (B, L, D) where there is one token a time slice.
    """

    preparation: VisualPreparation = VisualPreparation()
    seen = "(B, T, 3, H, W)"
    made = "(B, L, S, D) or (B, L, D)"


class SoundEncoder(OwnEncoder):
    """An encoder of waveforms, which makes its own spectrogram if it wants one.

    `encode(model, waveform)`: float32 (B, N) within -1..1, mono, of the rate and length that `preparation` says
    -> (B, D).
    """

    preparation: WaveformPreparation = WaveformPreparation()
    seen = "(B, N)"
    made = "(B, D)"


@dataclass(frozen=True)
class Found:
    """A class, where it stands, and the hash of the file that was run."""

    kind: type[OwnEncoder]
    where: str
    """For messages: "--plugin my.py" or the entry point."""
    file: Path
    sha256: str


def clip_tokens(model: Any, pixels: Tensor, *, frames_at_once: int = 16) -> Tensor:
    """An image model frame by frame: `model` takes (n, 3, H, W) and gives tokens (n, S, D), or one vector (n, D).

    Args:
        model: anything that can be called.
        pixels: (B, T, 3, H, W).
        frames_at_once: n at most, which bounds the memory that a batch takes.

    Returns:
        (B, T, S, D), or (B, T, 1, D).
    """
    parts = [model(part) for part in pixels.flatten(0, 1).split(frames_at_once)]
    tokens = torch.cat(parts)
    tokens = tokens.unsqueeze(1) if tokens.dim() == 2 else tokens
    arranged: Tensor = tokens.unflatten(0, tuple(pixels.shape[:2]))
    return arranged


@dataclass(frozen=True)
class Ready:
    """A class of the user's, loaded, in the form of the package's own encoders."""

    found: Found
    own: Any
    model: nn.Module
    title: str
    preparation: Any
    settings: Settings
    feature_shape: tuple[int, ...] = ()
    identity: dict[str, Any] = dataclasses.field(default_factory=dict)

    def encode(self, prepared: Tensor) -> Tensor:
        """uint8 (B, T, 3, H, W) -> (B, L, S, D); or float32 (B, N) -> (B, D). Float32, on the settings' device."""
        device = self.settings.device
        values = prepared.to(device, non_blocking=True).to(torch.float32)
        if isinstance(self.preparation, VisualPreparation):
            mean = values.new_tensor(self.preparation.mean).view(1, 1, 3, 1, 1)
            std = values.new_tensor(self.preparation.std).view(1, 1, 3, 1, 1)
            values = values.mul(self.preparation.rescale).sub(mean).div(std)
        half = self.settings.dtype != torch.float32
        with computing(), torch.autocast(device.type, dtype=self.settings.dtype, enabled=half):
            features = self._checked(self.own.encode(self.model, values), len(values))
        return features.float()

    def _checked(self, features: Any, clips: int) -> Tensor:
        """(B, L, S, D) or (B, D); InputError for all else."""
        kind = self.found.kind
        if not isinstance(features, Tensor) or not features.is_floating_point():
            got = features.dtype if isinstance(features, Tensor) else type(features).__name__
            raise InputError(f"{_of(self.found)}: encode must give a floating-point tensor {kind.made}, not {got}")
        shape = tuple(features.shape)
        dimensions = (3, 4) if issubclass(kind, FrameEncoder) else (2,)
        if len(shape) not in dimensions or shape[0] != clips or 0 in shape:
            raise InputError(f"{_of(self.found)}: encode gave {shape} for {clips} clips: {kind.made} is wanted")
        tokens: Tensor = features.unsqueeze(2) if len(shape) == 3 else features
        if self.feature_shape and tuple(tokens.shape[1:]) != self.feature_shape:
            raise InputError(f"{_of(self.found)}: encode gave {shape} after {self.feature_shape} a clip before")
        return tokens


def ready(found: Found, modality: Literal["visual", "audio"], source: str | None, settings: Settings) -> Ready:
    """Load the user's class and try it.

    Raises:
        InputError: it is of the other kind, `load` or `encode` fails, or gives something of no use.
    """
    kind, wanted = found.kind, FrameEncoder if modality == "visual" else SoundEncoder
    if not issubclass(kind, wanted):
        raise InputError(f"{_of(found)} is no {wanted.__name__}: it cannot be the {modality} encoder")
    for function in ("load", "encode"):
        if getattr(kind, function) is getattr(OwnEncoder, function):
            raise InputError(f"{_of(found)}: the class has to define {function}")
    if settings.random_weights is not None:
        raise InputError(f"{_of(found)}: --random-weights is for the package's own encoders; leave it out")
    with _told(found):
        own = kind()
        model = own.load(source)
    if not isinstance(model, nn.Module):
        raise InputError(f"{_of(found)}: load must give a torch.nn.Module, not {type(model).__name__}")
    preparation = getattr(own, "preparation", None)
    asked = VisualPreparation if modality == "visual" else WaveformPreparation
    if not isinstance(preparation, asked):
        raise InputError(f"{_of(found)}: preparation must be a {asked.__name__}, not {type(preparation).__name__}")
    tensors = {name: value.cpu() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    if not all(bool(value.isfinite().all()) for value in tensors.values() if value.is_floating_point()):
        raise InputError(f"{_of(found)}: its weights hold NaN or infinity")
    weights = digest(tensors)
    with _told(found):
        model = model.eval().requires_grad_(False).to(settings.device)
    random = " with RANDOM weights" if kind.random_weights else ""
    title = f"{kind.name}{f' {source}' if source else ''} of {found.file.name}{random}"
    encoder = Ready(found, own, model, title, preparation, settings)
    with _told(found):
        features = encoder.encode(_made_up(preparation))
    if not bool(features.isfinite().all()):
        raise InputError(f"{_of(found)}: encode gave NaN or infinity for made-up clips")
    identity = {
        "encoder": kind.name,
        "plugin_sha256": found.sha256,
        "processor": preparation.facts(),
        "precision": settings.precision,
        "weights_sha256": weights,
        **({"random_weights": True} if kind.random_weights else {}),
    }
    return dataclasses.replace(encoder, feature_shape=tuple(features.shape[1:]), identity=identity)


def _made_up(preparation: VisualPreparation | WaveformPreparation) -> Tensor:
    """Noise, always the same, in the form of prepared clips."""
    generator = torch.Generator().manual_seed(0)
    if isinstance(preparation, WaveformPreparation):
        return torch.rand(PROBED, preparation.samples, generator=generator) - 0.5
    shape = (PROBED, preparation.frames, 3, preparation.crop, preparation.crop)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def _of(found: Found) -> str:
    return f"{found.where}, encoder '{found.kind.name}'"


@contextlib.contextmanager
def _told(found: Found) -> Iterator[None]:
    """Whatever the user's code raises becomes one line that says where."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{_of(found)}{line_of(found.file, error)}: {in_one_line(error)}") from error
