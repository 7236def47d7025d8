"""Vision transformers over spectrograms, held by transformers' ViTModel.

The feature of a clip is AudioMAE's (Huang et al., NeurIPS 2022, arXiv 2207.06405), as the AV-CIL authors use
it: the mean over the patch tokens of the last block, CLS left out, then a LayerNorm. The encoder's own final
norm is not applied. Where the checkpoint has no weights for the LayerNorm (`fc_norm`), it has none: scale 1,
shift 0.

Shapes: B clips, S tokens, D channels.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel

from ...errors import InputError
from ..preparation.encoder_input import AudioPreparation
from .configuration import build_config, facts, pair
from .family import Family, Settings, computing, title
from .processor import audio_preparation
from .source import Source
from .weights import (
    complain,
    frozen,
    pretrained,
    randomly_initialised,
    read_tensors,
    weight_facts,
    without,
)

# Heads, and the final norm, which the feature leaves out.
UNUSED = ("classifier.", "pooler.", "decoder.", "embeddings.mask_token", "layernorm.")


@dataclass(frozen=True)
class SpectrogramViT:
    """A frozen ViT over images of (frames, bins)."""

    model: ViTModel
    norm: nn.LayerNorm
    title: str
    preparation: AudioPreparation
    feature_shape: tuple[int]
    identity: dict[str, Any]

    def encode(self, sound: Tensor) -> Tensor:
        """`sound` float32 (B, frames, bins) -> float32 (B, D). Time is the image's height."""
        parameter = self.model.embeddings.cls_token
        with computing():
            image = sound.to(parameter.device, parameter.dtype, non_blocking=True).unsqueeze(1)
            tokens = self.model(image).last_hidden_state[:, 1:]  # (B, S, D)
            feature: Tensor = self.norm(tokens.float().mean(dim=1))  # (B, D)
            return feature


def assemble(
    family: str, config: ViTConfig, source: Source, settings: Settings, tensors: Mapping[str, Tensor] | None
) -> SpectrogramViT:
    """The encoder of `config` with `tensors`, named as in published ViT checkpoints (and `fc_norm.*`).

    With None for `tensors` the weights are random, from the settings' seed. Raises InputError where the
    configuration is not one for spectrograms or the tensors are not exactly the model's.
    """
    frames, bins = pair(config.image_size)
    patch = pair(config.patch_size)
    if config.num_channels != 1:
        raise InputError(f"{source.name} takes {config.num_channels} channels: a spectrogram has 1")
    if frames % patch[0] or bins % patch[1]:
        raise InputError(f"{source.name}: patches of {patch} do not divide the image {(frames, bins)}")
    preparation = audio_preparation(source.processor, frames=frames, bins=bins, source=source.name)
    norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
    if tensors is None:
        config._attn_implementation = "sdpa"
        seed = settings.random_weights or 0
        model = randomly_initialised(lambda: ViTModel(config, add_pooling_layer=False), seed, source.name)
    else:
        fc_norm = {name: tensor for name, tensor in tensors.items() if name.startswith("fc_norm.")}
        if fc_norm:
            complain(source.name, missing={"fc_norm.weight", "fc_norm.bias"} - set(fc_norm), left_over=())
            norm.load_state_dict({name.removeprefix("fc_norm."): tensor for name, tensor in fc_norm.items()})
        encoder = {name: tensor for name, tensor in tensors.items() if name not in fc_norm}
        # Taken out again below; ViTModel has to find weights for it.
        encoder |= {f"layernorm.{name}": value for name, value in nn.LayerNorm(config.hidden_size).state_dict().items()}
        model = pretrained(ViTModel, config, encoder, source.name, add_pooling_layer=False)
    model.layernorm = nn.Identity()  # type: ignore[assignment]
    return SpectrogramViT(
        model=frozen(model, settings.device, settings.dtype),
        norm=frozen(norm, settings.device, torch.float32),
        title=title("AudioMAE" if family == "audiomae" else "ViT", source, settings),
        preparation=preparation,
        feature_shape=(config.hidden_size,),
        identity={
            "encoder": family,
            "features": "mean of the patch tokens before the final norm, then LayerNorm",
            "architecture": facts(config, "num_channels", "qkv_bias"),
            "processor": dataclasses.asdict(preparation),
            "precision": settings.precision,
            **weight_facts(tensors, settings.random_weights, config.initializer_range),
        },
    )


def load(source: Source, settings: Settings) -> SpectrogramViT:
    """Build the encoder from a transformers ViT checkpoint of one channel whose image is (frames, bins)."""
    config = build_config(ViTConfig, source)
    tensors = None
    if settings.random_weights is None:
        tensors = without(read_tensors(source.weights()), "vit.", UNUSED)
    return assemble(FAMILY.name, config, source, settings, tensors)


FAMILY = Family(
    name="vit-spectrogram",
    modality="audio",
    accepts=lambda source: source.kind == "vit",
    load=load,
    published={},
)
