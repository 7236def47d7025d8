"""The files of a finished run, by name."""

from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files import read_json

METRICS = "metrics.json"


CONFIG = "config.json"


def content_of(path: Path, entry: str) -> dict[str, Any]:
    """An entry of a run's config.json."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get(entry), dict):
        raise InputError(f"{path}: not a run's config.json, it has no entry '{entry}'")
    found: dict[str, Any] = content[entry]
    return found
