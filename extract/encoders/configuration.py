"""A transformers configuration: built from what a source says, and reduced to the facts that matter."""

from typing import Any

from huggingface_hub.errors import StrictDataclassError

from ...errors import InputError
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


def build_config(config_class: type[Any], source: Source) -> Any:
    """`config_class` from the source's config.json; InputError where that is no valid configuration."""
    try:
        config = config_class.from_dict(dict(source.config or {}))
    except (StrictDataclassError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{source.name}: config.json is no {config_class.__name__} ({reason})") from error
    check_sizes(config, source)
    return config


def check_sizes(config: Any, source: Source) -> None:
    """Raise InputError for sizes that no transformer has."""
    sizes = {name: getattr(config, name) for name in COMMON[:4]}
    whole = all(isinstance(size, int) and size > 0 for size in sizes.values())
    if not whole or config.hidden_size % config.num_attention_heads:
        raise InputError(f"{source.name}: its configuration describes no transformer: {sizes}")


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
