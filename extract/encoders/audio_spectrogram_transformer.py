"""AST, the Audio Spectrogram Transformer (Gong et al., Interspeech 2021, arXiv 2104.01778), by transformers.

The feature of a clip is the model's own pooled output: the mean of its class and distillation tokens after
the final norm, which AST's classifier reads.

Shapes: B clips, D channels.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import ASTConfig, ASTModel

from ..preparation.encoder_input import AudioPreparation
from .configuration import build_config, facts
from .family import Family, Settings, computing, title
from .processor import audio_preparation
from .source import Source
from .weights import frozen, pretrained, randomly_initialised, read_tensors, weight_facts, without

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "MIT/ast-finetuned-audioset-10-10-0.4593": {"model_type": "audio-spectrogram-transformer"},
}


@dataclass(frozen=True)
class AudioSpectrogramTransformer:
    """A frozen AST."""

    model: ASTModel
    title: str
    preparation: AudioPreparation
    feature_shape: tuple[int]
    identity: dict[str, Any]

    def encode(self, sound: Tensor) -> Tensor:
        """`sound` float32 (B, frames, bins) -> float32 (B, D)."""
        parameter = self.model.embeddings.cls_token
        with computing():
            values = sound.to(parameter.device, parameter.dtype, non_blocking=True)
            pooled: Tensor = self.model(values).pooler_output  # (B, D)
            return pooled.float()


def load(source: Source, settings: Settings) -> AudioSpectrogramTransformer:
    """Build the encoder from a checkpoint of ASTModel or ASTForAudioClassification."""
    config = build_config(ASTConfig, source)
    frames, bins = config.max_length, config.num_mel_bins
    preparation = audio_preparation(source.processor, frames=frames, bins=bins, source=source.name)
    tensors = None
    if settings.random_weights is None:
        tensors = without(read_tensors(source.weights()), "audio_spectrogram_transformer.", ["classifier."])
        model = pretrained(ASTModel, config, tensors, source.name)
    else:
        config._attn_implementation = "sdpa"
        model = randomly_initialised(lambda: ASTModel(config), settings.random_weights, source.name)
    more = ("max_length", "num_mel_bins", "frequency_stride", "time_stride", "qkv_bias")
    return AudioSpectrogramTransformer(
        model=frozen(model, settings.device, settings.dtype),
        title=title("AST", source, settings),
        preparation=preparation,
        feature_shape=(config.hidden_size,),
        identity={
            "encoder": FAMILY.name,
            "features": "mean of class and distillation token after the final norm",
            "architecture": facts(config, *more),
            "processor": dataclasses.asdict(preparation),
            "precision": settings.precision,
            **weight_facts(tensors, settings.random_weights, config.initializer_range),
        },
    )


FAMILY = Family(
    name="audio-spectrogram-transformer",
    modality="audio",
    accepts=lambda source: source.kind == "audio-spectrogram-transformer",
    load=load,
    published=PUBLISHED,
)
