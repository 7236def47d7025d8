"""A transformers configuration: built from what a source says, and reduced to the facts that matter."""

import math
from collections.abc import Callable
from typing import Any

import psutil
from huggingface_hub.errors import StrictDataclassError

from ...errors import InputError
from ...wording import size as size_in_words
from .source import Source

# The fields that shape every transformer here; each family adds its own.
COMMON = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "image_size",
    "patch_size",
)
COUNTS = (
    *("num_channels", "num_frames", "tubelet_size"),
    *("max_length", "num_mel_bins", "time_stride", "frequency_stride"),
)
PAIRS = ("image_size", "patch_size")
MOST_LAYERS = 1000
MOST_TOKENS = 2**16
LARGEST_COUNT = 2**31


def build_config(
    config_class: type[Any],
    source: Source,
    *,
    part: str | None = None,
    sizes: Callable[[Any], Any] = lambda config: config,
) -> Any:
    """`config_class` from the source's config.json; InputError where that is no valid configuration.

    Args:
        config_class: of transformers.
        source: whose config.json is read.
        part: the table in it that is meant, where there is one: a model of two halves has one for each.
        sizes: gives the configuration in the terms that `check_sizes` knows.
    """
    try:
        content = dict(source.config or {})
        if part is not None and part in content:
            content = dict(content[part])
        config = config_class.from_dict(content)
        described = sizes(config)
    except (StrictDataclassError, TypeError, ValueError, AttributeError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{source.name}: config.json is no {config_class.__name__} ({reason})") from error
    check_sizes(described, source)
    return config


def check_sizes(config: Any, source: Source) -> None:
    """Raise InputError for sizes that no transformer has, or that this machine has no memory for."""
    sizes = {name: getattr(config, name) for name in (*COMMON[:4], *COUNTS) if hasattr(config, name)}
    pairs = {name: getattr(config, name) for name in PAIRS if hasattr(config, name)}
    usable = all(_is_count(size) for size in sizes.values()) and all(map(_is_pair, pairs.values()))
    if not usable or config.hidden_size % config.num_attention_heads or config.num_hidden_layers > MOST_LAYERS:
        raise InputError(f"{source.name}: its configuration describes no transformer: {sizes | pairs}")
    tokens = tokens_of(config)
    if not 0 < tokens <= MOST_TOKENS:
        raise InputError(f"{source.name}: its configuration cuts a clip into {tokens} tokens: is config.json damaged?")
    needed, there = bytes_needed(config), psutil.virtual_memory().total
    if needed > there:
        raise InputError(
            f"{source.name}: its configuration asks for {size_in_words(needed)} for weights and one clip, and this "
            f"machine has {size_in_words(there)}: is its config.json damaged?"
        )


def tokens_of(config: Any) -> int:
    """Into how many tokens a clip is cut, as far as its size tells."""
    steps = (config.time_stride, config.frequency_stride) if hasattr(config, "time_stride") else pair(config.patch_size)
    along = (side // step for side, step in zip(_image(config), steps, strict=True))
    return int(math.prod(along)) * (getattr(config, "num_frames", 1) // getattr(config, "tubelet_size", 1))


def bytes_needed(config: Any) -> int:
    """What a model of this configuration and its input of one clip take in float32, but for its smallest parts."""
    width, inner = config.hidden_size, config.intermediate_size
    channels, frames, tubelet = (getattr(config, name, 1) for name in ("num_channels", "num_frames", "tubelet_size"))
    layers = config.num_hidden_layers * (4 * width * width + 2 * width * inner)
    embeddings = (math.prod(pair(config.patch_size)) * channels * tubelet + tokens_of(config)) * width
    numbers: int = layers + embeddings + math.prod(_image(config)) * channels * frames
    return 4 * numbers


def _image(config: Any) -> tuple[int, int]:
    """Height and width of a frame, or frames and bins of a spectrogram."""
    return (config.max_length, config.num_mel_bins) if hasattr(config, "time_stride") else pair(config.image_size)


def _is_count(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and 0 < size < LARGEST_COUNT


def _is_pair(size: Any) -> bool:
    return _is_count(size) or (isinstance(size, list | tuple) and len(size) == 2 and all(map(_is_count, size)))


def pair(size: Any) -> tuple[int, int]:
    """Height and width of an image or a patch, which configurations give as one number or as two."""
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def facts(config: Any, *more: str) -> dict[str, Any]:
    """The fields of `config` that decide what is computed, as plain JSON values under stable names.

    "new|old" names a field that versions of transformers spell differently.
    """
    found: dict[str, Any] = {}
    for field in (*COMMON, *more):
        names = field.split("|")
        value = next((getattr(config, name) for name in names if hasattr(config, name)), None)
        if value is not None:
            found[names[0]] = list(pair(value)) if names[0] in ("image_size", "patch_size") else value
    return found
