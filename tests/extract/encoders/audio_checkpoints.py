"""Small spectrogram transformers with known weights, in the forms in which they are published, for the tests."""

import argparse
import json

import safetensors.torch
import torch
from avcil.tests.extract.encoders.plain_transformer import block, draw, layer_norm

# The narrowest ViT of the family has 3 heads; 64 frames, 128 bins, patches of 16: 4 x 8 tokens.
WIDTH, HEADS, LAYERS, INNER = 192, 3, 2, 256
FRAMES, BINS, PATCH = 64, 128, 16
TIMM_CONFIG = {
    "architecture": "vit_tiny_patch16_224",
    "num_classes": 0,
    "num_features": WIDTH,
    "global_pool": "avg",
    "pretrained_cfg": {"tag": "audiomae", "input_size": [1, FRAMES, BINS], "first_conv": "patch_embed.proj"},
    "model_args": {"depth": LAYERS, "mlp_ratio": INNER / WIDTH},
}


def encoder_weights() -> dict[str, torch.Tensor]:
    """The encoder under the authors' (and timm's) names."""
    generator = torch.Generator().manual_seed(11)
    w = {
        "cls_token": draw(generator, 1, 1, WIDTH),
        "pos_embed": draw(generator, 1, 1 + (FRAMES // PATCH) * (BINS // PATCH), WIDTH),
        "patch_embed.proj.weight": draw(generator, WIDTH, 1, PATCH, PATCH, scale=0.05),
        "patch_embed.proj.bias": draw(generator, WIDTH),
    }
    shapes = {
        "attn.qkv": (3 * WIDTH, WIDTH),
        "attn.proj": (WIDTH, WIDTH),
        "mlp.fc1": (INNER, WIDTH),
        "mlp.fc2": (WIDTH, INNER),
    }
    for layer in range(LAYERS):
        for norm in ("norm1", "norm2"):
            w[f"blocks.{layer}.{norm}.weight"] = 1 + draw(generator, WIDTH)
            w[f"blocks.{layer}.{norm}.bias"] = draw(generator, WIDTH)
        for part, shape in shapes.items():
            w[f"blocks.{layer}.{part}.weight"] = draw(generator, *shape, scale=0.08)
            w[f"blocks.{layer}.{part}.bias"] = draw(generator, shape[0])
    return w


def with_decoder(weights):
    """What the authors' pre-training checkpoint holds: the encoder, its final norm, and the decoder."""
    rest = {
        "norm.weight": torch.full((WIDTH,), 3.0),
        "norm.bias": torch.ones(WIDTH),
        "mask_token": torch.ones(1, 1, 8),
        "decoder_embed.weight": torch.ones(8, WIDTH),
        "decoder_pos_embed": torch.ones(1, 33, 8),
        "decoder_blocks.0.attn.qkv.weight": torch.ones(24, 8),
        "decoder_norm.weight": torch.ones(8),
        "decoder_pred.bias": torch.ones(256),
    }
    return weights | rest


def write_pth(path, weights, **options):
    """As the authors' training script saves: weights under "model", and its state and command line beside it."""
    content = {
        "model": weights,
        "epoch": 32,
        "optimizer": {"state": {}, "param_groups": [{"lr": 2e-4, "betas": (0.9, 0.95)}]},
        "args": argparse.Namespace(model="mae_vit_base_patch16", mask_ratio=0.8),
    }
    torch.save(content, path, **options)
    return str(path)


def write_timm(directory, weights, config=None, file="pytorch_model.bin"):
    """A repository of timm's Hub format: config.json and a plain state dict."""
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(TIMM_CONFIG if config is None else config))
    if file.endswith(".safetensors"):
        safetensors.torch.save_file(weights, directory / file)
    else:
        torch.save(weights, directory / file)
    return str(directory)


def spectrograms(count=2):
    return torch.randn(count, FRAMES, BINS, generator=torch.Generator().manual_seed(5))


def computed(weights, images, scale=1.0, shift=0.0, eps=1e-6):
    """The features of `images` (B, frames, bins), written out: (B, D)."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    images = images.double()
    tokens = []
    for time in range(0, FRAMES, PATCH):  # time is the slow index: the image is 1024 high and 128 wide
        for mel in range(0, BINS, PATCH):
            patch = images[:, time : time + PATCH, mel : mel + PATCH]
            tokens.append(torch.einsum("bij,dij->bd", patch, w["patch_embed.proj.weight"][:, 0]))
    x = torch.stack(tokens, dim=1) + w["patch_embed.proj.bias"] + w["pos_embed"][:, 1:]  # (B, S, D)
    cls = (w["cls_token"] + w["pos_embed"][:, :1]).expand(len(images), 1, WIDTH)
    x = torch.cat([cls, x], dim=1)
    for layer in range(LAYERS):
        own = {name.removeprefix(f"blocks.{layer}."): t for name, t in w.items() if f"blocks.{layer}." in name}
        parts = {"norm1": "norm1", "proj": "attn.proj", "norm2": "norm2", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
        named = {f"{s}.{k}": own[f"{long}.{k}"] for s, long in parts.items() for k in ("weight", "bias")}
        for kind in ("weight", "bias"):
            qkv = own[f"attn.qkv.{kind}"]
            named |= {f"{letter}.{kind}": qkv[i * WIDTH : (i + 1) * WIDTH] for i, letter in enumerate("qkv")}
        x = block(x, named, HEADS, eps)
    return layer_norm(x[:, 1:].mean(dim=1), scale, shift, eps)
