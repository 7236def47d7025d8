"""AudioMAE (Huang et al., NeurIPS 2022, arXiv 2207.06405): its published checkpoints, held by a ViTModel.

Two forms of the same weights are read: the authors' `pretrained.pth` (tensors under "model", decoder and
all), and timm's Hub format, a config.json with timm's `architecture` beside a state dict. Both use timm's
names; they are checked key by key against the architecture, then renamed to those of transformers' ViT
checkpoints.

The image is (1024 frames, 128 bins): time is its height, and patches are numbered along the bins first.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import ViTConfig

from ...errors import InputError
from .configuration import check_sizes, pair
from .family import Family, Settings
from .source import Source
from .vit_spectrogram import SpectrogramViT, assemble
from .weights import complain, listed, read_tensors, without

# The ViT sizes of timm and of the AudioMAE authors: width -> (blocks, heads).
SIZES = {"tiny": 192, "small": 384, "base": 768, "large": 1024, "huge": 1280}
DEPTH_AND_HEADS = {192: (12, 3), 384: (12, 6), 768: (12, 12), 1024: (24, 16), 1280: (32, 16)}
# All AudioMAE checkpoints see 128 mel bins; a bare file of weights does not say so.
BINS = 128
LAYER_NORM_EPS = 1e-6

# What a checkpoint may hold that the feature of a clip does not pass through, and why.
UNUSED = {
    "decoder": "reconstructs masked patches in pre-training",
    "mask_token": "stands for masked patches in pre-training",
    "head.": "classifies, in fine-tuned checkpoints",
    "norm.": "the encoder's final norm, which the mean over patch tokens goes round",
}
# timm's names of a block's parts -> those of transformers' ViT checkpoints.
BLOCK = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
TOP = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
}
BLOCK_NUMBER = re.compile(r"blocks\.(\d+)\.")
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "gaunernst/vit_base_patch16_1024_128.audiomae_as2m": {
        "architecture": "vit_base_patch16_224",
        "pretrained_cfg": {"input_size": [1, 1024, 128]},
    },
    "gaunernst/vit_base_patch16_1024_128.audiomae_as2m_ft_as20k": {
        "architecture": "vit_base_patch16_224",
        "pretrained_cfg": {"input_size": [1, 1024, 128]},
    },
}


def load(source: Source, settings: Settings) -> SpectrogramViT:
    """Build the encoder. InputError where the checkpoint is not exactly an AudioMAE encoder."""
    random = settings.random_weights is not None
    bare = source.config is None
    tensors = {} if random and not bare else encoder_tensors(source)
    config = config_of_tensors(tensors, source.name) if bare else config_of_timm(source)
    check_sizes(config, source)
    if random:
        return assemble(FAMILY.name, config, source, settings, None)
    check(tensors, config, source.name)
    return assemble(FAMILY.name, config, source, settings, renamed(tensors, config))


def encoder_tensors(source: Source) -> dict[str, Tensor]:
    """What the source's files hold, less what no feature passes through."""
    return without(read_tensors(source.weights()), "", UNUSED)


def config_of_timm(source: Source) -> ViTConfig:
    """The architecture that a config.json of timm's Hub format names, as far as `model_args` leave it."""
    config = source.config or {}
    architecture = str(config.get("architecture"))
    try:
        named = re.match(r"vit_(tiny|small|base|large|huge)_patch(\d+)_", architecture)
        if named is None:
            raise ValueError(architecture)
        channels, frames, bins = (int(n) for n in config["pretrained_cfg"]["input_size"])
        arguments = dict(config.get("model_args", {}))
        depth, heads = DEPTH_AND_HEADS[SIZES[named[1]]]
        width = int(arguments.get("embed_dim", SIZES[named[1]]))
        return ViTConfig(
            hidden_size=width,
            num_hidden_layers=int(arguments.get("depth", depth)),
            num_attention_heads=int(arguments.get("num_heads", heads)),
            intermediate_size=int(width * float(arguments.get("mlp_ratio", 4))),
            image_size=[frames, bins],
            patch_size=int(arguments.get("patch_size", int(named[2]))),
            num_channels=channels,
            layer_norm_eps=LAYER_NORM_EPS,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{source.name}: config.json names '{architecture}'; a plain timm ViT ('vit_base_patch16_...') with "
            "an input_size of [1, frames, bins] in its pretrained_cfg is needed"
        ) from error


def config_of_tensors(tensors: Mapping[str, Tensor], source: str) -> ViTConfig:
    """The architecture that the shapes in a bare file of weights show."""
    needed = {"cls_token": 3, "pos_embed": 3, "patch_embed.proj.weight": 4, "blocks.0.mlp.fc1.weight": 2}
    absent = [name for name, axes in needed.items() if name not in tensors or tensors[name].ndim != axes]
    if absent:
        raise InputError(f"{source} is no AudioMAE checkpoint: it has no {listed(absent)}")
    width = tensors["cls_token"].shape[-1]
    channels, patch = tensors["patch_embed.proj.weight"].shape[1:3]
    patches = tensors["pos_embed"].shape[1] - 1
    if width not in DEPTH_AND_HEADS:
        raise InputError(
            f"{source} is {width} channels wide, which tells no number of heads: "
            "put it in a directory with a config.json of timm's or transformers' kind"
        )
    if BINS % patch or patches % (BINS // patch):
        raise InputError(f"{source}: {patches} patches of {patch} make no image of {BINS} bins (overlapping ones?)")
    return ViTConfig(
        hidden_size=width,
        num_hidden_layers=1 + max(int(m[1]) for m in map(BLOCK_NUMBER.match, tensors) if m),
        num_attention_heads=DEPTH_AND_HEADS[width][1],
        intermediate_size=tensors["blocks.0.mlp.fc1.weight"].shape[0],
        image_size=[patches * patch * patch // BINS, BINS],
        patch_size=patch,
        num_channels=channels,
        layer_norm_eps=LAYER_NORM_EPS,
    )


def expected_shapes(config: ViTConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of the encoder, under timm's names."""
    width, inner = config.hidden_size, config.intermediate_size
    (frames, bins), (patch, _) = pair(config.image_size), pair(config.patch_size)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + (frames // patch) * (bins // patch), width),
        "patch_embed.proj.weight": (width, config.num_channels, patch, patch),
        "patch_embed.proj.bias": (width,),
    }
    parts = {
        "norm1": (width,),
        "norm2": (width,),
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
    }
    parts |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
    for block in range(config.num_hidden_layers):
        for part, shape in parts.items():
            shapes[f"blocks.{block}.{part}.weight"] = shape
            shapes[f"blocks.{block}.{part}.bias"] = shape[:1]
    return shapes


def check(tensors: Mapping[str, Tensor], config: ViTConfig, source: str) -> None:
    """Raise InputError unless `tensors` are exactly the encoder's (and maybe `fc_norm`), in its shapes."""
    expected = expected_shapes(config)
    if any(name.startswith("fc_norm.") for name in tensors):
        expected |= {"fc_norm.weight": (config.hidden_size,), "fc_norm.bias": (config.hidden_size,)}
    complain(source, missing=set(expected) - set(tensors), left_over=set(tensors) - set(expected))
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise InputError(f"{source}: '{name}' has shape {tuple(tensors[name].shape)}, not {shape}")


def renamed(tensors: Mapping[str, Tensor], config: ViTConfig) -> dict[str, Tensor]:
    """timm's names -> those of transformers' ViT checkpoints; each `qkv` becomes query, key and value."""
    result = {TOP.get(name, name): tensor for name, tensor in tensors.items() if not name.startswith("blocks.")}
    for block in range(config.num_hidden_layers):
        ours, theirs = f"blocks.{block}", f"encoder.layer.{block}"
        for kind in ("weight", "bias"):
            for part, name in BLOCK.items():
                result[f"{theirs}.{name}.{kind}"] = tensors[f"{ours}.{part}.{kind}"]
            thirds = tensors[f"{ours}.attn.qkv.{kind}"].chunk(3)
            for name, third in zip(("query", "key", "value"), thirds, strict=True):
                result[f"{theirs}.attention.attention.{name}.{kind}"] = third
    return result


FAMILY = Family(
    name="audiomae",
    modality="audio",
    accepts=lambda source: source.kind in ("timm", "weights"),
    load=load,
    published=PUBLISHED,
)
