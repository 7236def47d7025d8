"""Audio-visual class-incremental learning in two stages.

    videos --(extract)--> cache <--(incremental)--> tables, figures, weights
               ^                         ^
               +------- manifests -------+

`manifests`     what there is to learn: clips, labels, splits, class order, tasks.
`cache`         the contract between the stages: verified shards of frozen features.
`extract`       stage 1: decode, prepare, encode, write. Console script `avcil-extract`.
`incremental`   stage 2: memory, heads, losses, methods, trainer, metrics. Console script `avcil-incr`.
`predict`       video files straight through a trained run, and where it looks: `avcil predict`, `avcil attention`.
`interface`     what `import avcil` offers by name.
`demo`          a small data set of real video files, taken through both stages.

In Python: `open_cache`, `run`, `results` and `load`, each imported when it is first used (docs/python.md).
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("avcil runs on Linux and macOS, not on Windows itself: install it within WSL 2")

from .versions import __version__ as __version__

if TYPE_CHECKING:
    from .interface.caches import open_cache
    from .interface.runs import results, run
    from .predict.recogniser import load

__all__ = ["load", "open_cache", "results", "run"]

_HOMES = {
    "load": "predict.recogniser",
    "open_cache": "interface.caches",
    "results": "interface.runs",
    "run": "interface.runs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
