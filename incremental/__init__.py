"""Stage 2: incremental learning from cached features. Runs without anything that stage 1 needs."""

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
