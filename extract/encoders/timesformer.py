"""TimeSformer (Bertasius et al., ICML 2021, arXiv 2102.05095) by transformers: patch tokens after the final norm.

Shapes: B clips, T = L frames, H x W pixels, S tokens, D channels.
"""

from typing import Any

from torch import Tensor
from transformers import TimesformerConfig, TimesformerModel

from ...errors import InputError
from .configuration import build_config, pair
from .family import Family, Settings
from .source import Source
from .visual_model import Recipe, VisualModel, assembled, prepared_by, square
from .weights import read_tensors, without

UNUSED = ("classifier.",)
ATTENTION = ("divided_space_time", "joint_space_time")


def load(source: Source, settings: Settings) -> VisualModel:
    """Build the encoder from a checkpoint of TimesformerModel or TimesformerForVideoClassification.

    Raises InputError for an incomplete checkpoint, one whose processor settings are not known, and for one whose
    attention is over space only, which leaves no time.
    """
    config = build_config(TimesformerConfig, source)
    if config.attention_type not in ATTENTION:
        raise InputError(f"{source.name}: attention_type is '{config.attention_type}', none of {', '.join(ATTENTION)}")
    patch = pair(config.patch_size)
    side = square(config, patch, source)
    frames, grid = config.num_frames, (side // patch[0]) * (side // patch[1])

    def tokens(model: Any, pixels: Tensor) -> Tensor:
        found: Tensor = model(pixels).last_hidden_state[:, 1:]  # (B, S * T, D): all times of a patch, then the next
        arranged: Tensor = found.unflatten(1, (grid, frames)).transpose(1, 2)
        return arranged

    tensors = None
    if settings.random_weights is None:
        tensors = without(read_tensors(source.weights()), "timesformer.", UNUSED)
    more = ("num_frames", "attention_type", "qkv_bias")
    words = "last_hidden_state without its first token"
    recipe = Recipe("timesformer", "TimeSformer", TimesformerModel, {}, tokens, words, more)
    preparation = prepared_by(source, settings, frames=frames, side=side)
    return assembled(recipe, config, source, settings, tensors, preparation, (frames, grid, config.hidden_size))


FAMILY = Family(
    name="timesformer",
    modality="visual",
    accepts=lambda source: source.kind == "timesformer",
    load=load,
    published={},
)
