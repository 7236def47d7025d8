"""The files of a run's folder that results are read from.

config.json     the whole configuration and where it came from; repeats the run (--config)
metrics.json    written last: its presence says that the run is finished
"""

from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files import read_json

METRICS = "metrics.json"
CONFIG = "config.json"


def config_of(folder: Path) -> dict[str, Any]:
    """The content of a run's config.json. InputError where it is none."""
    return content_of(folder / CONFIG)


def content_of(path: Path) -> dict[str, Any]:
    """The content of a file as config.json. InputError where it is none."""
    content = read_json(path)
    for entry in ("run", "provenance"):
        if not isinstance(content, dict) or not isinstance(content.get(entry), dict):
            raise InputError(f"{path}: not a run's config.json, it has no entry '{entry}'")
    if not isinstance(content["run"].get("settings", {}), dict):
        raise InputError(f"{path}: not a run's config.json, its 'settings' are no table")
    return dict(content)


def metrics_of(folder: Path) -> dict[str, Any]:
    """The content of a finished run's metrics.json. InputError where it is none."""
    content = read_json(folder / METRICS)
    if not isinstance(content, dict) or not isinstance(content.get("method"), str):
        raise InputError(f"{folder / METRICS}: not a run's metrics.json, it names no method")
    return dict(content)
