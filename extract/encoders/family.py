"""What an encoder is, and what a module of this package has to offer to be found as one.

Shapes: B clips, T frames, H x W pixels, L time slices, S tokens, D channels.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ...devices import Precision, dtype_of
from ..preparation.encoder_input import SoundPreparation, VisualPreparation
from .source import Source


class VisualEncoder(Protocol):
    """A frozen video encoder."""

    @property
    def title(self) -> str:
        """For people: what it is, where it came from, and whether its weights are random."""

    @property
    def preparation(self) -> VisualPreparation:
        """How frames have to be prepared: the checkpoint's own processor settings."""

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """(L, S, D) of one clip."""

    @property
    def identity(self) -> dict[str, Any]:
        """Plain facts that decide the features: architecture, weights, processor, precision. No path."""

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode `pixels` uint8 (B, T, 3, H, W), on any device, to (B, L, S, D) in the computing type."""


class AudioEncoder(Protocol):
    """A frozen encoder of spectrograms or waveforms."""

    @property
    def title(self) -> str:
        """For people: what it is, where it came from, and whether its weights are random."""

    @property
    def preparation(self) -> SoundPreparation:
        """How sound has to be prepared for it."""

    @property
    def feature_shape(self) -> tuple[int]:
        """(D,) of one clip."""

    @property
    def identity(self) -> dict[str, Any]:
        """Plain facts that decide the features: architecture, weights, processor, precision. No path."""

    def encode(self, sound: Tensor) -> Tensor:
        """Encode `sound`, float32 (B, frames, bins) or (B, N) as `preparation` says, on any device, to (B, D)."""


@dataclass(frozen=True)
class Settings:
    """How an encoder is to be set up."""

    device: torch.device
    """Where it computes."""
    precision: Precision
    """The floating-point type of weights and activations."""
    random_weights: int | None
    """The seed of random weights; None for the checkpoint's own."""

    @property
    def dtype(self) -> torch.dtype:
        """`precision` as torch names it."""
        return dtype_of(self.precision)


@dataclass(frozen=True)
class Family:
    """A kind of encoder. The loaders find a module of this package that binds one to the name FAMILY."""

    name: str
    """Name in fingerprints and messages."""
    modality: Literal["visual", "audio"]
    """What it listens to or looks at."""
    accepts: Callable[[Source], bool]
    """Whether a source is of this kind, judged by its configuration only."""
    load: Callable[[Source, Settings], Any]
    """Build the encoder; InputError where the source cannot be loaded completely."""
    published: Mapping[str, Mapping[str, Any]]
    """Hub ids whose architecture is known here, so that random weights need no network: id -> config.json."""


def title(family: str, source: Source, settings: Settings) -> str:
    """The line for people about an encoder."""
    seed = settings.random_weights
    return f"{family} {source.name}" + ("" if seed is None else f" with RANDOM weights (seed {seed})")


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Inference mode, with convolutions that repeat bit for bit and do not turn float32 into TF32."""
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
    ):
        yield
