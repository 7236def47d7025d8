"""An AST directory loads to exactly what the architecture computes."""

import json

import pytest
import safetensors.torch
import torch
from avcil.errors import InputError
from avcil.extract.encoders import load_audio_encoder
from avcil.extract.preparation.encoder_input import AudioPreparation
from avcil.tests.extract.encoders.plain_transformer import block, draw, layer_norm

WIDTH, HEADS, LAYERS, INNER = 24, 2, 2, 40
FRAMES, BINS, PATCH, TIME_STRIDE, BIN_STRIDE = 36, 24, 8, 5, 4
CONFIG = {
    "model_type": "audio-spectrogram-transformer",
    "architectures": ["ASTForAudioClassification"],
    "max_length": FRAMES,
    "num_mel_bins": BINS,
    "patch_size": PATCH,
    "time_stride": TIME_STRIDE,
    "frequency_stride": BIN_STRIDE,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
}
PARTS = {
    "norm1": "layernorm_before",
    "q": "attention.attention.query",
    "k": "attention.attention.key",
    "v": "attention.attention.value",
    "proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
}


def encoder_weights():
    generator = torch.Generator().manual_seed(2)
    patches = ((FRAMES - PATCH) // TIME_STRIDE + 1) * ((BINS - PATCH) // BIN_STRIDE + 1)
    w = {
        "embeddings.cls_token": draw(generator, 1, 1, WIDTH),
        "embeddings.distillation_token": draw(generator, 1, 1, WIDTH),
        "embeddings.position_embeddings": draw(generator, 1, patches + 2, WIDTH),
        "embeddings.patch_embeddings.projection.weight": draw(generator, WIDTH, 1, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": draw(generator, WIDTH),
        "layernorm.weight": 1 + draw(generator, WIDTH),
        "layernorm.bias": draw(generator, WIDTH),
    }
    outputs = {"fc1": (INNER, WIDTH), "fc2": (WIDTH, INNER)}
    for layer in range(LAYERS):
        for short, long in PARTS.items():
            name = f"encoder.layer.{layer}.{long}"
            shape = outputs.get(short, (WIDTH, WIDTH))
            w[f"{name}.weight"] = 1 + draw(generator, WIDTH) if "norm" in short else draw(generator, *shape)
            w[f"{name}.bias"] = draw(generator, shape[0])
    return w


def computed(weights, images):
    w = {name: tensor.double() for name, tensor in weights.items()}
    kernel = w["embeddings.patch_embeddings.projection.weight"][:, 0]  # (D, bins, frames): AST looks sideways
    tokens = []
    for mel in range(0, BINS - PATCH + 1, BIN_STRIDE):
        for time in range(0, FRAMES - PATCH + 1, TIME_STRIDE):
            patch = images.double()[:, time : time + PATCH, mel : mel + PATCH]
            tokens.append(torch.einsum("btm,dmt->bd", patch, kernel))
    x = torch.stack(tokens, dim=1) + w["embeddings.patch_embeddings.projection.bias"]
    first = [w[f"embeddings.{name}_token"].expand(len(images), 1, WIDTH) for name in ("cls", "distillation")]
    x = torch.cat([*first, x], dim=1) + w["embeddings.position_embeddings"]
    for layer in range(LAYERS):
        named = {
            f"{short}.{kind}": w[f"encoder.layer.{layer}.{long}.{kind}"]
            for short, long in PARTS.items()
            for kind in ("weight", "bias")
        }
        x = block(x, named, HEADS, eps=1e-12)
    x = layer_norm(x, w["layernorm.weight"], w["layernorm.bias"], eps=1e-12)
    return (x[:, 0] + x[:, 1]) / 2


def write(directory, tensors, **change):
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG | change))
    safetensors.torch.save_file(tensors, directory / "model.safetensors")
    return str(directory)


def classifier(weights):
    heads = {"classifier.dense.weight": torch.ones(5, WIDTH), "classifier.layernorm.bias": torch.ones(WIDTH)}
    return {f"audio_spectrogram_transformer.{name}": tensor for name, tensor in weights.items()} | heads


def images():
    return torch.randn(3, FRAMES, BINS, generator=torch.Generator().manual_seed(8))


def test_a_published_directory_gives_the_computed_features(tmp_path):
    weights = encoder_weights()
    encoder = load_audio_encoder(write(tmp_path / "ast", classifier(weights)))
    features = encoder.encode(images())
    assert encoder.feature_shape == (WIDTH,) == tuple(features.shape[1:])
    torch.testing.assert_close(features.double(), computed(weights, images()), atol=2e-5, rtol=1e-5)
    assert isinstance(encoder.preparation, AudioPreparation)
    assert (encoder.preparation.frames, encoder.preparation.bins) == (FRAMES, BINS)


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    weights = classifier(encoder_weights())
    weights.pop("audio_spectrogram_transformer.embeddings.distillation_token")
    with pytest.raises(InputError, match=r"lacks weights: embeddings\.distillation_token;"):
        load_audio_encoder(write(tmp_path / "ast", weights))


def test_random_weights_need_only_the_configuration(tmp_path):
    directory = write(tmp_path / "ast", {})
    (tmp_path / "ast" / "model.safetensors").unlink()
    one, two = (load_audio_encoder(directory, random_weights=seed) for seed in (0, 1))
    assert one.identity["random_weights"] is True
    assert not torch.equal(one.encode(images()), two.encode(images()))
