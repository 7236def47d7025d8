"""Stage 2: incremental learning from cached features. Runs without anything that stage 1 needs."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..errors import InputError
    from .config import STRICT
    from .data.batch import Batch
    from .data.memory import ExemplarMemory
    from .data.tasks import ClipTable, Task
    from .learning import losses
    from .learning.exemplars import HerdingMemory, NearestMeanReadout
    from .learning.gradient import Method
    from .learning.method import Context, Settings
    from .learning.state import Progress, Stopped
    from .learning.statistics import StatisticsMethod
    from .model.heads import HeadOutputs, Heads, Widths
    from .results.collect import FinishedRun, frame, load_runs
    from .results.metrics import Predictions
    from .runs.call import ConfiguredRun, configure, run
    from .runs.listeners import Listener, StartedRun
    from .runs.problem import Data

__all__ = [
    "STRICT",
    "Batch",
    "ClipTable",
    "ConfiguredRun",
    "Context",
    "Data",
    "ExemplarMemory",
    "FinishedRun",
    "HeadOutputs",
    "Heads",
    "HerdingMemory",
    "InputError",
    "Listener",
    "Method",
    "NearestMeanReadout",
    "Predictions",
    "Progress",
    "Settings",
    "StartedRun",
    "StatisticsMethod",
    "Stopped",
    "Task",
    "Widths",
    "configure",
    "frame",
    "load_runs",
    "losses",
    "run",
]

_HOMES = {
    "STRICT": "config",
    "InputError": ".errors",
    "Batch": "data.batch",
    "ExemplarMemory": "data.memory",
    **dict.fromkeys(("ClipTable", "Task"), "data.tasks"),
    **dict.fromkeys(("HeadOutputs", "Heads", "Widths"), "model.heads"),
    "Method": "learning.gradient",
    **dict.fromkeys(("Progress", "Stopped"), "learning.state"),
    "StatisticsMethod": "learning.statistics",
    **dict.fromkeys(("Context", "Settings"), "learning.method"),
    **dict.fromkeys(("HerdingMemory", "NearestMeanReadout"), "learning.exemplars"),
    **dict.fromkeys(("ConfiguredRun", "configure", "run"), "runs.call"),
    **dict.fromkeys(("Listener", "StartedRun"), "runs.listeners"),
    "Data": "runs.problem",
    **dict.fromkeys(("FinishedRun", "frame", "load_runs"), "results.collect"),
    "Predictions": "results.metrics",
}
_FORMER = {"Clips": "Batch"}
"""Names that plugins written for version 0.1 may import, and what they are called now."""


def __getattr__(name: str) -> Any:
    """A public name, from its own file when it is first asked for: `avcil-incr --help` need not wait for PyTorch."""
    name = _FORMER.get(name, name)
    if name == "losses":
        return importlib.import_module(".learning.losses", __name__)
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
