"""Trackers: listeners that hand a run's course on, to a file or to a program that draws it. One file each.

Each is read when it is asked for; all but `jsonl` need an extra of the same name.
"""

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ....errors import unknown

if TYPE_CHECKING:
    from ..listeners import Listener

TRACKERS = {
    "jsonl": "JsonLines",
    "tensorboard": "TensorBoard",
    "wandb": "WeightsAndBiases",
    "mlflow": "MLflow",
}
"""The class of each, in the module of the tracker's name here."""


def check_names(names: Iterable[str]) -> None:
    """InputError for a name that is no tracker's, with the nearest."""
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)


def trackers(names: Iterable[str]) -> "list[Listener]":
    """A listener for each name, given twice or not.

    Raises:
        InputError: a name that is no tracker's.
        ModuleNotFoundError: what a tracker hands on to is not installed.
    """
    wanted = list(dict.fromkeys(names))
    check_names(wanted)
    found: list[Listener] = []
    for name in wanted:
        module = importlib.import_module(f".{name}_", __package__)
        found.append(getattr(module, TRACKERS[name])())
    return found
