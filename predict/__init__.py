"""Video files straight through a trained run: `avcil predict RUN VIDEO...`, and `avcil.load(run)` in Python.

Where a run looks in a clip: `avcil attention --run RUN --clip ID --out FILE`, and `draw_attention` in Python."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attention_drawing import draw_attention
    from .recogniser import Recogniser, Unread, Verdict, load

__all__ = ["Recogniser", "Unread", "Verdict", "draw_attention", "load"]

_HOMES = {
    "draw_attention": "attention_drawing",
    **dict.fromkeys(("Recogniser", "Unread", "Verdict", "load"), "recogniser"),
}


def __getattr__(name: str) -> Any:
    """A public name, from its own file when it is first asked for: `avcil predict --help` need not wait for PyTorch."""
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
