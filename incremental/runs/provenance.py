"""Where a run's inputs came from, and what it ran on."""

import hashlib
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...cache import FeatureCache
from ...devices import describe_device
from ...files import sha256_of
from ...versions import versions
from ..config import RunConfig
from ..data.tasks import ClipTable
from ..learning.method import BaseMethod
from ..methods import executed_plugins, installed_by
from ..results.cause import NO_TOKENS
from .problem import Data

LIBRARIES = ("torch", "numpy", "h5py", "scikit-learn")
"""Those that a result may depend on."""


def ways_of(kind: type[BaseMethod]) -> dict[str, Any]:
    """How a method learns, which decides what settings its results depend on."""
    return {"way": kind.way, "memory": kind.uses_memory or kind.replay in ("separate", "mixed")}


def code_of(kind: type[BaseMethod], plugins: Mapping[str, str]) -> dict[str, str] | None:
    """What beside this package a run's result was worked out by: `plugins` by path with the SHA-256 of what was
    executed, and the distribution that offers the method with its version. None where it is this package alone."""
    installed = installed_by(kind)
    found = dict(plugins) | ({} if installed is None else {f"entry point {kind.name}": installed})
    return found or None


def learnt_from(table: ClipTable, cache: FeatureCache) -> dict[str, Any]:
    """The facts of a cause that are of clips, labels, tasks and features."""
    lines = zip(table.ids, (table.class_order[label] for label in table.labels.tolist()), table.splits, strict=True)
    return {
        "cache_fingerprint": cache.fingerprint.digest,
        "clips_sha256": hashlib.sha256("\n".join(table.ids).encode()).hexdigest(),
        "features_sha256": cache.digest(table.ids),
        "labels_sha256": hashlib.sha256("\n".join(map("\t".join, lines)).encode()).hexdigest(),
        "tasks": [list(task) for task in table.tasks],
    }


def provenance(
    config: RunConfig, data: Data, kind: type[BaseMethod], plugins: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Where a run's inputs came from and how its method learns, for config.json.

    `plugins` are as `executed_plugins` gave them when `kind` was loaded; None: no plugin has been loaded since.
    """
    table = data.table
    files = {"manifest": config.manifest, "classes": config.classes, "tasks": config.tasks}
    return {
        **ways_of(kind),
        **learnt_from(table, data.cache),
        "cache_made_by": data.cache.fingerprint.facts,
        "cache_choices": data.cache.notes.get("choices"),
        "random_encoder_weights": data.cache.random_weights,
        "clips": len(table.ids),
        "clips_missing_from_cache": len(data.lost),
        "sha256": {name: sha256_of(Path(path)) for name, path in files.items() if path},
        "plugins": code_of(kind, executed_plugins(config.plugins) if plugins is None else plugins),
        "device": describe_device(data.device),
        "computed_in": str(data.dtype).removeprefix("torch."),
        "residence": str(data.residence.plan) if data.residence.plan else NO_TOKENS,
        "versions": versions(LIBRARIES),
    }


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory this process has held: on the GPU for CUDA, else resident in the computer's memory."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
