"""A transformers ViT checkpoint of one channel gives the same feature as the AudioMAE form of its weights."""

import json

import pytest
import safetensors.torch
import torch
from avcil.errors import InputError
from avcil.extract.encoders import load_audio_encoder
from avcil.extract.preparation.encoder_input import AudioPreparation
from avcil.tests.extract.encoders.audio_checkpoints import (
    BINS,
    FRAMES,
    HEADS,
    INNER,
    LAYERS,
    PATCH,
    WIDTH,
    computed,
    encoder_weights,
    spectrograms,
)

CONFIG = {
    "model_type": "vit",
    "image_size": [FRAMES, BINS],
    "patch_size": PATCH,
    "num_channels": 1,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-6,
}


def published_names(weights):
    """The names of ViT checkpoints on the Hub, as of ViTForImageClassification."""
    top = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    }
    result = {f"vit.{new}": weights[old] for old, new in top.items()}
    parts = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    for layer in range(LAYERS):
        for kind in ("weight", "bias"):
            for old, new in parts.items():
                result[f"vit.encoder.layer.{layer}.{new}.{kind}"] = weights[f"blocks.{layer}.{old}.{kind}"]
            for i, name in enumerate(("query", "key", "value")):
                third = weights[f"blocks.{layer}.attn.qkv.{kind}"][i * WIDTH : (i + 1) * WIDTH].clone()
                result[f"vit.encoder.layer.{layer}.attention.attention.{name}.{kind}"] = third
    heads = {"vit.layernorm.weight": torch.full((WIDTH,), 5.0), "vit.layernorm.bias": torch.ones(WIDTH)}
    return result | heads | {"classifier.weight": torch.ones(10, WIDTH), "classifier.bias": torch.ones(10)}


def write(directory, tensors, config=CONFIG, processor=None):
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    safetensors.torch.save_file(tensors, directory / "model.safetensors")
    return str(directory)


def test_a_transformers_directory_gives_the_computed_features(tmp_path):
    weights = encoder_weights()
    encoder = load_audio_encoder(write(tmp_path / "vit", published_names(weights)))
    expected = computed(weights, spectrograms())
    torch.testing.assert_close(encoder.encode(spectrograms()).double(), expected, atol=2e-5, rtol=1e-5)
    assert encoder.identity["encoder"] == "vit-spectrogram"


def test_its_processor_settings_decide_the_preparation(tmp_path):
    settings = {"mean": -1.5, "std": 2.0, "sampling_rate": 32000, "max_length": FRAMES, "num_mel_bins": BINS}
    directory = write(tmp_path / "vit", published_names(encoder_weights()), processor=settings)
    preparation = load_audio_encoder(directory).preparation
    assert isinstance(preparation, AudioPreparation)
    assert (preparation.mean, preparation.std, preparation.sample_rate) == (-1.5, 2.0, 32000)


@pytest.mark.parametrize(
    ("change", "processor", "message"),
    [
        ({"num_channels": 3}, None, "takes 3 channels: a spectrogram has 1"),
        ({"image_size": [60, 128]}, None, "do not divide the image"),
        ({}, {"max_length": 1024, "num_mel_bins": 128}, r"makes \(1024, 128\), the model takes \(64, 128\)"),
        ({"num_hidden_layers": 3}, None, r"lacks weights: layers\.2|lacks weights: encoder\.layer\.2"),
        ({"num_hidden_layers": 1}, None, r"no part uses: .*1\."),
    ],
)
def test_what_cannot_be_a_spectrogram_encoder_is_refused(tmp_path, change, processor, message):
    directory = write(tmp_path / "vit", published_names(encoder_weights()), CONFIG | change, processor)
    with pytest.raises(InputError, match=message):
        load_audio_encoder(directory)
