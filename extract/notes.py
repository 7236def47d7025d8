"""What a cache notes of the choices it was made with, so that `repair` can make clips again without being told.

The notes mean nothing to the features: what does is in the fingerprint. Paths are noted in full.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..options import settings_of
from .config import ExtractionConfig, FeaturesConfig, ImportConfig

LEFT_OUT = frozenset({"cache", "device", "workers", "limit", "retry_quarantined", "skip_verify", "split", "split_seed"})
LEFT_OUT |= {"ray", "ray_workers", "ray_gpu_share"}
"""What another machine or another time may choose anew."""


def noted(config: ExtractionConfig | FeaturesConfig | ImportConfig, **actual: Any) -> dict[str, Any]:
    """The choices as plain JSON values; `actual` says what became of those that were left to the program."""
    chosen = {setting.name: getattr(config, setting.name) for setting in settings_of(type(config))}
    kept = {name: value for name, value in {**chosen, **actual}.items() if value is not None and name not in LEFT_OUT}
    return {name: _plain(name, value) for name, value in kept.items() if value != ()}


def recalled(notes: Mapping[str, Any], kind: type[ExtractionConfig] | type[ImportConfig]) -> dict[str, Any] | None:
    """The noted choices for a configuration of that kind; None where there are none, or they are of another kind."""
    choices = notes.get("choices")
    names = {setting.name for setting in settings_of(kind)} - LEFT_OUT
    return dict(choices) if isinstance(choices, dict) and choices and choices.keys() <= names else None


def _plain(name: str, value: Any) -> Any:
    """As JSON has it, with what names a file or folder here in full."""
    if isinstance(value, tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, Path):
        return str(value.absolute())
    if name in ("video_encoder", "audio_encoder"):
        called, colon, source = value.partition(":")  # NAME:SOURCE of an encoder of the user's own
        if colon and not Path(value).exists() and Path(source).exists():
            return f"{called}:{Path(source).absolute()}"
    local = name in ("video_encoder", "audio_encoder") or (name == "dataset" and value.endswith(".toml"))
    return str(Path(value).absolute()) if local and Path(value).exists() else value
