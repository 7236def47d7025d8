"""Stage 2: incremental learning from cached features. Runs without anything that stage 1 needs."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import losses
    from .clips import Clips, ClipTable, ExemplarMemory, Task
    from .heads import HeadOutputs, Heads, Widths
    from .method import STRICT, Context, Method, Settings

__all__ = [
    "STRICT",
    "ClipTable",
    "Clips",
    "Context",
    "ExemplarMemory",
    "HeadOutputs",
    "Heads",
    "Method",
    "Settings",
    "Task",
    "Widths",
    "losses",
]

_HOMES = {
    **dict.fromkeys(("Clips", "ClipTable", "ExemplarMemory", "Task"), "clips"),
    **dict.fromkeys(("HeadOutputs", "Heads", "Widths"), "heads"),
    **dict.fromkeys(("STRICT", "Context", "Method", "Settings"), "method"),
}


def __getattr__(name: str) -> Any:
    """A public name, from its own file when it is first asked for: `avcil-incr --help` need not wait for PyTorch."""
    if name == "losses":
        return importlib.import_module(".losses", __name__)
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
