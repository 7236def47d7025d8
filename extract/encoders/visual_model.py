"""What the transformers of frames share that are built from a configuration, a processor's settings and a file.

Shapes: B clips, T frames, H x W pixels, L time slices, S tokens, D channels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..preparation.encoder_input import VisualPreparation
from .configuration import facts
from .family import Settings, computing, title
from .processor import visual_preparation
from .source import Source
from .weights import attention_of, frozen, pretrained, randomly_initialised, weight_facts

HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
"""For random weights of a source without a processor, which nothing was trained with."""


@dataclass(frozen=True)
class VisualModel:
    """A frozen model of frames."""

    model: nn.Module
    tokens: Callable[[Any, Tensor], Tensor]
    """From the model and normalised pixels (B, T, 3, H, W) to (B, L, S, D)."""
    dtype: torch.dtype
    title: str
    preparation: VisualPreparation
    feature_shape: tuple[int, int, int]
    identity: dict[str, Any]

    def encode(self, pixels: Tensor) -> Tensor:
        """`pixels` uint8 (B, T, 3, H, W) as `preparation` says -> (B, L, S, D) in the computing type."""
        settings, device = self.preparation, next(self.model.parameters()).device
        with computing():
            values = pixels.to(device, non_blocking=True).to(torch.float32)
            mean = values.new_tensor(settings.mean).view(1, 1, 3, 1, 1)
            std = values.new_tensor(settings.std).view(1, 1, 3, 1, 1)
            values = values.mul_(settings.rescale).sub_(mean).div_(std)
            return self.tokens(self.model, values.to(self.dtype))


@dataclass(frozen=True)
class Recipe:
    """How one family differs from the others."""

    family: str
    """Name in fingerprints."""
    title: str
    """For people."""
    model_class: type[Any]
    options: Mapping[str, Any]
    """For the model's constructor."""
    tokens: Callable[[Any, Tensor], Tensor]
    features: str
    """What `tokens` takes, in words, for the fingerprint."""
    facts: tuple[str, ...]
    """Fields of the configuration that decide the features, beside those that all share."""


def assembled(
    recipe: Recipe,
    config: Any,
    source: Source,
    settings: Settings,
    tensors: Mapping[str, Tensor] | None,
    preparation: VisualPreparation,
    feature_shape: tuple[int, int, int],
) -> VisualModel:
    """The encoder of `config` with exactly `tensors`, or with None for them random weights from the settings' seed."""
    if tensors is None:
        config._attn_implementation = attention_of(recipe.model_class)
        seed = settings.random_weights or 0
        model = randomly_initialised(lambda: recipe.model_class(config, **recipe.options), seed, source.name)
    else:
        model = pretrained(recipe.model_class, config, tensors, source.name, **recipe.options)
    return VisualModel(
        model=frozen(model, settings.device, settings.dtype),
        tokens=recipe.tokens,
        dtype=settings.dtype,
        title=title(recipe.title, source, settings),
        preparation=preparation,
        feature_shape=feature_shape,
        identity={
            "encoder": recipe.family,
            "features": recipe.features,
            "architecture": facts(config, "num_channels", *recipe.facts),
            "processor": preparation.facts(),
            "precision": settings.precision,
            **weight_facts(tensors, settings.random_weights, getattr(config, "initializer_range", 0.0)),
        },
    )


def prepared_by(source: Source, settings: Settings, *, frames: int, side: int) -> VisualPreparation:
    """The checkpoint's own processor settings; InputError where it has none and its weights are wanted."""
    processor = source.processor
    if processor is None:
        if settings.random_weights is None:
            raise InputError(
                f"{source.name} has no preprocessor_config.json, which says how frames have to be prepared"
            )
        processor = {"size": {"shortest_edge": side}, **HALF}
    return visual_preparation(processor, frames=frames, image_size=side, source=source.name)


def square(config: Any, patch: tuple[int, int], source: Source) -> int:
    """The side of a frame in pixels; InputError where frames are not square, coloured and divided by patches."""
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    if height != width or height % patch[0] or width % patch[1]:
        raise InputError(f"{source.name}: square frames that patches divide are needed")
    if config.num_channels != 3:
        raise InputError(f"{source.name} takes {config.num_channels} channels: frames have 3")
    return int(height)
