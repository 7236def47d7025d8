"""Finished runs as their folders have them, made without running anything."""

import json
from pathlib import Path
from typing import Any

from avcil.incremental.results.cause import FACTS
from avcil.incremental.results.collect import FinishedRun, load_runs
from avcil.incremental.results.measures import MEASURES

METRICS: dict[str, Any] = {
    "method": "x",
    "modality": "audio-visual",
    "seed": 0,
    "model_choice": "best",
    "random_encoder_weights": False,
    "mean_accuracy": 60.0,
    "average_forgetting": 10.0,
    "last_accuracy": 50.0,
    "class_balanced_mean_accuracy": 59.0,
    "backward_transfer": -8.0,
    "nonnegative_forgetting": 9.0,
    "first_minus_last_forgetting": 8.0,
    "accuracy_by_task": [70.0, 50.0],
    "accuracy_matrix": [[70.0], [60.0, 40.0]],
    "chosen_epochs": [2, 1],
    "seconds": 4.0,
    "peak_memory_bytes": 2**20,
    "published": None,
}


def write(
    path: Path, method: str = "x", seed: int = 0, settings: dict[str, Any] | None = None, **given: Any
) -> FinishedRun:
    """A finished run as `avcil-incr run` leaves it; `given` goes to metrics where it is one, else to the config."""
    metrics = (
        METRICS | {"method": method, "seed": seed} | {k: v for k, v in given.items() if k in METRICS or k in MEASURES}
    )
    config = {"method": method, "seed": seed, "model_choice": metrics["model_choice"]}
    config |= {
        name: value for name, value in given.items() if name not in {**METRICS, **MEASURES} or name == "modality"
    }
    config["settings"] = settings or {}
    provenance = {name: config.pop(name) for name in FACTS if name in config}
    path.mkdir(parents=True)
    (path / "metrics.json").write_text(json.dumps(metrics))
    (path / "config.json").write_text(json.dumps({"run": config, "provenance": provenance}))
    return load_runs([path])[0]
