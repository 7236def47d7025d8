"""ViViT (Arnab et al., ICCV 2021, arXiv 2103.15691) by transformers: the tubelets' tokens after the final norm.

Shapes: B clips, T frames, H x W pixels, L time slices, S tokens, D channels.
"""

from types import SimpleNamespace
from typing import Any

from torch import Tensor
from transformers import VivitConfig, VivitModel

from ...errors import InputError
from .configuration import build_config
from .family import Family, Settings
from .source import Source
from .visual_model import Recipe, VisualModel, assembled, prepared_by, square
from .weights import read_tensors, without

UNUSED = ("classifier.", "pooler.")


def load(source: Source, settings: Settings) -> VisualModel:
    """Build the encoder from a checkpoint of VivitModel or VivitForVideoClassification.

    Raises InputError for an incomplete checkpoint and for one whose processor settings are not known.
    """
    config = build_config(VivitConfig, source, sizes=_sizes)
    along, *patch = config.tubelet_size
    side = square(config, (patch[0], patch[1]), source)
    slices, grid = config.num_frames // along, (side // patch[0]) * (side // patch[1])
    if config.num_frames % along:
        raise InputError(f"{source.name}: tubelets of {along} do not divide {config.num_frames} frames")

    def tokens(model: Any, pixels: Tensor) -> Tensor:
        found: Tensor = model(pixels).last_hidden_state[:, 1:]  # (B, L * S, D), time first
        arranged: Tensor = found.unflatten(1, (slices, grid))
        return arranged

    tensors = None
    if settings.random_weights is None:
        tensors = without(read_tensors(source.weights()), "vivit.", UNUSED)
    more = ("num_frames", "tubelet_size", "qkv_bias")
    options = {"add_pooling_layer": False}
    recipe = Recipe("vivit", "ViViT", VivitModel, options, tokens, "last_hidden_state without its first token", more)
    preparation = prepared_by(source, settings, frames=config.num_frames, side=side)
    return assembled(recipe, config, source, settings, tensors, preparation, (slices, grid, config.hidden_size))


def _sizes(config: Any) -> Any:
    """The configuration with its tubelets as the other video models have them."""
    tubelet = config.tubelet_size
    if not isinstance(tubelet, list | tuple) or len(tubelet) != 3:
        raise ValueError(f"tubelet_size must be three numbers, not {tubelet!r}")
    return SimpleNamespace(**{**config.to_dict(), "tubelet_size": tubelet[0], "patch_size": list(tubelet[1:])})


FAMILY = Family(
    name="vivit",
    modality="visual",
    accepts=lambda source: source.kind == "vivit",
    load=load,
    published={},
)
