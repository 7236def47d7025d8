"""Image transformers frame by frame, by transformers: CLIP, SigLIP, DINOv2 and ViT. The patch tokens of the last layer.

What stands before the patches (a class token, registers) is left out, and so are the text half and the heads of a
checkpoint. A clip is `FRAMES` frames evenly over it, each a time slice.

Shapes: B clips, T = L frames, S tokens, D channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTModel,
)

from ...errors import InputError
from .configuration import build_config, pair
from .family import Family, Settings
from .own import clip_tokens
from .source import Source
from .visual_model import Recipe, VisualModel, assembled, prepared_by, square
from .weights import read_tensors, without

FRAMES = 8
"""As many time slices as VideoMAE has."""


@dataclass(frozen=True)
class Kind:
    """One architecture."""

    title: str
    config_class: type[Any]
    model_class: type[Any]
    prefix: str
    """Of the names of the vision model's tensors, in checkpoints that hold more."""
    unused: tuple[str, ...]
    """How the names of other tensors begin."""
    before: Callable[[Any], int]
    """How many tokens stand before the patches."""
    facts: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    any_size: bool = False
    """Whether the model takes frames of the processor's size whatever it was trained on."""


CLIP = Kind(
    *("CLIP", CLIPVisionConfig, CLIPVisionModel, "vision_model."),
    ("text_model.", "visual_projection.", "text_projection.", "logit_scale", "embeddings.position_ids"),
    lambda config: 1,
)
SIGLIP = Kind(
    *("SigLIP", SiglipVisionConfig, SiglipVisionModel, "vision_model."),
    ("text_model.", "logit_scale", "logit_bias", "head.", "embeddings.position_ids"),
    lambda config: 0,
)
DINOV2 = Kind(
    *("DINOv2", Dinov2Config, Dinov2Model, "dinov2.", ("classifier.",), lambda config: 1),
    facts=("use_swiglu_ffn", "mlp_ratio"),
    any_size=True,
)
REGISTERS = Kind(
    *("DINOv2", Dinov2WithRegistersConfig, Dinov2WithRegistersModel, "dinov2_with_registers.", ("classifier.",)),
    lambda config: 1 + int(config.num_register_tokens),
    facts=("use_swiglu_ffn", "mlp_ratio", "num_register_tokens"),
    any_size=True,
)
VIT = Kind(
    *("ViT", ViTConfig, ViTModel, "vit.", ("classifier.", "pooler.", "decoder.", "embeddings.mask_token")),
    lambda config: 1,
    facts=("qkv_bias",),
    options=(("add_pooling_layer", False),),
)
KINDS = {
    "clip": CLIP,
    "clip_vision_model": CLIP,
    "siglip": SIGLIP,
    "siglip_vision_model": SIGLIP,
    "dinov2": DINOV2,
    "dinov2_with_registers": REGISTERS,
    "vit": VIT,
}


def load(source: Source, settings: Settings) -> VisualModel:
    """Build the encoder from a checkpoint of the vision model alone, with its heads, or with its text half.

    Raises InputError for an incomplete checkpoint and for one whose processor settings are not known.
    """
    kind = KINDS[source.kind]
    config = build_config(kind.config_class, source, part="vision_config")
    if kind is SIGLIP:
        config.vision_use_head = False
    if not hasattr(config, "num_channels"):
        config.num_channels = 3
    patch = pair(config.patch_size)
    side = square(config, patch, source)
    if kind.any_size:
        size = (source.processor or {}).get("crop_size", side)
        side = size.get("height", side) if isinstance(size, dict) else size
        if not isinstance(side, int) or side < patch[0] or side % patch[0]:
            raise InputError(f"{source.name}: the preprocessor crops to {size}, which patches of {patch} do not divide")
    before = kind.before(config)

    def tokens(model: Any, pixels: Tensor) -> Tensor:
        return clip_tokens(lambda frames: model(frames).last_hidden_state[:, before:], pixels)

    tensors = None
    if settings.random_weights is None:
        tensors = without(read_tensors(source.weights()), kind.prefix, kind.unused)
    what = "patch tokens of last_hidden_state, frame by frame"
    options = dict(kind.options)
    recipe = Recipe(kind.title.lower(), kind.title, kind.model_class, options, tokens, what, kind.facts)
    grid = (side // patch[0]) * (side // patch[1])
    preparation = prepared_by(source, settings, frames=FRAMES, side=side)
    return assembled(recipe, config, source, settings, tensors, preparation, (FRAMES, grid, config.hidden_size))


FAMILY = Family(
    name="image-transformer",
    modality="visual",
    accepts=lambda source: source.kind in KINDS,
    load=load,
    published={},
)
