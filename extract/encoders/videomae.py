"""VideoMAE (Tong et al., NeurIPS 2022, arXiv 2203.12602) by transformers: all tokens of the last layer.

Shapes: B clips, T frames, H x W pixels, L time slices, S tokens, D channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import VideoMAEConfig, VideoMAEModel

from ...errors import InputError
from ..preparation.encoder_input import VisualPreparation
from .configuration import build_config, facts, pair
from .family import Family, Settings, computing, title
from .processor import visual_preparation
from .source import Source
from .weights import frozen, pretrained, randomly_initialised, read_tensors, weight_facts, without

# What pre-training and classification checkpoints hold beside the encoder.
HEADS = ("decoder.", "encoder_to_decoder.", "mask_token", "position_embeddings", "classifier.", "fc_norm.")
# What the published checkpoints' own preprocessor_config.json say (ImageNet's statistics).
PUBLISHED_PROCESSOR: Mapping[str, Any] = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
}
# Pre-trained checkpoints normalise the last layer's tokens; fine-tuned ones (mean pooling) do not.
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "MCG-NJU/videomae-base": {"model_type": "videomae", "use_mean_pooling": False},
    "MCG-NJU/videomae-large": {
        "model_type": "videomae",
        "use_mean_pooling": False,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}


@dataclass(frozen=True)
class VideoMAE:
    """A frozen VideoMAE that returns `last_hidden_state`, arranged by time slice."""

    model: VideoMAEModel
    title: str
    preparation: VisualPreparation
    feature_shape: tuple[int, int, int]
    identity: dict[str, Any]

    def encode(self, pixels: Tensor) -> Tensor:
        """`pixels` uint8 (B, T, 3, H, W) as `preparation` says -> (B, L, S, D) in the computing type.

        Rescaling and normalising happen here, on the device: bytes travel a quarter of the way of floats.
        """
        parameter = self.model.embeddings.patch_embeddings.projection.weight
        settings = self.preparation
        per_channel = (1, 1, 3, 1, 1)
        with computing():
            values = pixels.to(parameter.device, non_blocking=True).to(torch.float32)
            mean = values.new_tensor(settings.mean).view(per_channel)
            std = values.new_tensor(settings.std).view(per_channel)
            values = values.mul_(settings.rescale).sub_(mean).div_(std)  # (B, T, 3, H, W)
            tokens: Tensor = self.model(values.to(parameter.dtype)).last_hidden_state  # (B, L * S, D)
            return tokens.view(len(tokens), *self.feature_shape)  # (B, L, S, D)


def load(source: Source, settings: Settings) -> VideoMAE:
    """Build the encoder from a checkpoint of VideoMAEModel, ...ForPreTraining or ...ForVideoClassification.

    Raises InputError for an incomplete checkpoint and for one whose processor settings are not known.
    """
    config = build_config(VideoMAEConfig, source)
    height, width = pair(config.image_size)
    patch = pair(config.patch_size)
    if height != width or height % patch[0] or width % patch[1] or config.num_frames % config.tubelet_size:
        raise InputError(f"{source.name}: square frames that patches and tubelets divide are needed")
    if config.num_channels != 3:
        raise InputError(f"{source.name} takes {config.num_channels} channels: frames have 3")
    processor = source.processor
    if processor is None:
        if settings.random_weights is None:
            raise InputError(
                f"{source.name} has no preprocessor_config.json, which says how frames have to be prepared"
            )
        processor = {"size": {"shortest_edge": height}, **PUBLISHED_PROCESSOR}
    preparation = visual_preparation(processor, frames=config.num_frames, image_size=height, source=source.name)
    tensors = None
    if settings.random_weights is None:
        tensors = _canonical(without(read_tensors(source.weights()), "videomae.", HEADS))
        model = pretrained(VideoMAEModel, config, tensors, source.name)
    else:
        config._attn_implementation = "sdpa"
        model = randomly_initialised(lambda: VideoMAEModel(config), settings.random_weights, source.name)
    model = frozen(model, settings.device, settings.dtype)
    # A plain attribute, which .to() leaves behind: it would be copied to the device for every batch.
    embeddings = model.embeddings
    embeddings.position_embeddings = embeddings.position_embeddings.to(settings.device, settings.dtype)
    return VideoMAE(
        model=model,
        title=title("VideoMAE", source, settings),
        preparation=preparation,
        feature_shape=(
            config.num_frames // config.tubelet_size,
            (height // patch[0]) * (width // patch[1]),
            config.hidden_size,
        ),
        identity={
            "encoder": FAMILY.name,
            "features": "last_hidden_state",
            "architecture": facts(
                config, "num_frames", "tubelet_size", "num_channels", "use_mean_pooling", "qv_bias|qkv_bias"
            ),
            "processor": preparation.facts(),
            "precision": settings.precision,
            **weight_facts(tensors, settings.random_weights, config.initializer_range),
        },
    )


def _canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One spelling of the q and v biases, the published checkpoints', so that one model has one hash."""
    spelling = {"query.bias": "q_bias", "value.bias": "v_bias"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, published in spelling.items():
            name = name.removesuffix(new) + published if name.endswith(f"attention.{new}") else name
        renamed[name] = tensor
    return renamed


FAMILY = Family(
    name="videomae",
    modality="visual",
    accepts=lambda source: source.kind == "videomae",
    load=load,
    published=PUBLISHED,
)
