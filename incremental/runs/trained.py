"""A finished run as a recogniser: the scores of its method, as it was after any task, for features of any clips.

A run's folder keeps the weights after each task. What a readout needs besides the network, such as iCaRL's class means,
belongs to the method's state and so to these files; what only learning needs, such as a closed-form head's sums, does
not.

Shapes: n clips, C classes seen, L time slices, S tokens, D channels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...devices import choose_device, dtype_of, fastest_precision
from ...errors import InputError
from ..config import RunConfig
from ..data.batch import Batch
from ..data.reader import ClipReader
from ..data.residence import FeatureSource, Residence
from ..data.tasks import ClipTable
from ..learning.method import BaseMethod
from ..learning.teacher import SMALLEST_BATCH
from ..methods import find_method
from ..model.heads import Widths
from ..results.collect import FinishedRun, load_runs
from . import configure as configuration
from .call import repeated_settings
from .directory import weights_of
from .experiment import build_method
from .problem import enough_memory, visual_of


@dataclass(frozen=True)
class TrainedRun:
    """The method of a finished run as it was after one of its tasks."""

    finished: FinishedRun
    """The run's folder, read."""
    kind: type[BaseMethod]
    config: RunConfig
    settings: Any
    """The method's own settings."""
    tasks: tuple[tuple[str, ...], ...]
    """Names of the classes of each of the run's tasks."""
    task: int
    """The task after which the method answers, counting from 1."""
    device: torch.device

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes seen by then, in the order of scores."""
        return tuple(name for task in self.tasks[: self.task] for name in task)

    @property
    def random_weights(self) -> bool:
        """Whether it learnt from features of encoders with random weights."""
        return bool(self.finished.metrics["random_encoder_weights"])

    def after(self, task: int | None) -> "TrainedRun":
        """The same run after another task, or after its last; InputError where it has no such task."""
        count = len(self.tasks)
        if task is not None and not 1 <= task <= count:
            raise InputError(f"{self.finished.path} has tasks 1 to {count}, and no task {task}")
        return replace(self, task=count if task is None else task)

    def scores(self, source: FeatureSource, ids: Sequence[str]) -> Tensor:
        """The scores (n, C) of the clips `ids` of a cache or another source of features; the highest is the prediction.

        They are computed in the precision of the run, whatever the device.

        Raises:
            InputError: the features' widths are not those that the run learnt from, or weights are damaged.
        """
        return self.over(lambda method, batch: method.scores(batch), source, ids)

    def over(
        self, function: Callable[[BaseMethod, Batch], Tensor], source: FeatureSource, ids: Sequence[str]
    ) -> Tensor:
        """`function` of the method and a batch of B of the clips `ids`, without gradients; its answers (B, ...) are
        joined to (n, ...), on the CPU. Raises as `scores` does."""
        table = ClipTable(tuple(ids), torch.zeros(len(ids), dtype=torch.int64), (), self.tasks)
        method = self._method(Widths(audio=source.audio_shape[-1], visual=source.visual_shape[-1]))
        at_once = self.config.evaluation_batch_size
        with enough_memory(self.device):
            residence = Residence(
                source,
                table.ids,
                device=self.device,
                dtype=self._dtype,
                visual=visual_of(self.config.modality, self.kind),
                largest_batch=max(at_once, SMALLEST_BATCH),
                gigabytes=self.config.residence_gigabytes,
            )
            reader = ClipReader(residence, table.labels)
            return reader.over(partial(function, method), torch.arange(len(ids)), at_once)

    @property
    def _dtype(self) -> torch.dtype:
        said = self.finished.content["provenance"].get("computed_in")
        chosen = fastest_precision(self.device) if self.config.precision == "auto" else self.config.precision
        return dtype_of(said or chosen)

    @cached_property
    def _methods(self) -> dict[Widths, BaseMethod]:
        return {}

    def _method(self, widths: Widths) -> BaseMethod:
        """The method with its weights, for features of these widths."""
        if widths in self._methods:
            return self._methods[widths]
        path = self.finished.path / weights_of(self.task)
        try:
            state = load_file(path)
        except FileNotFoundError:
            words = f"{path} is not there: without it the run cannot answer as after task {self.task}"
            raise InputError(words) from None
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} cannot be read ({' '.join(str(error).split())}): run it again") from error
        method = build_method(self.kind, self.config, self.settings, widths)
        table = ClipTable((), torch.zeros(0, dtype=torch.int64), (), self.tasks)
        for number in range(1, self.task + 1):
            method.grow(table.task(number))
        for name, tensor in method.state_dict().items():
            if name.startswith(self.kind.only_for_learning):
                state.setdefault(name, tensor)
        try:
            method.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(
                f"{path} does not fit method '{self.kind.name}' on features of {widths.visual} visual and "
                f"{widths.audio} audio channels: the run learnt from others, or the method has changed"
            ) from error
        self._methods[widths] = method.to(self.device).eval().requires_grad_(False)
        return self._methods[widths]


def load_trained(
    folder: Path | str, *, task: int | None = None, device: str = "auto", plugins: Iterable[Path | str] = ()
) -> TrainedRun:
    """The finished run in `folder` (its own, or one with nothing but this run below it).

    Args:
        folder: the run's folder.
        task: the task after which the method is to answer, counting from 1; None for the last.
        device: where it computes.
        plugins: Python files with its method, in place of those that its configuration names. They are run.

    Raises:
        InputError: no finished run there, or several; no such task; a plugin is gone or has changed since.
    """
    found = load_runs(folder)
    if len(found) > 1:
        raise InputError(f"{folder} holds {len(found)} runs, and one is wanted, such as {found[0].path}")
    run, given = found[0], [str(Path(path).resolve()) for path in plugins]
    values = repeated_settings(run.path / "config.json", announced=not given)
    values["plugins"] = given or values.get("plugins", [])
    kind = find_method(values["method"], map(Path, values["plugins"]))
    config, settings = configuration.configure(kind, {}, values)
    tasks = tuple(map(tuple, run.content["provenance"].get("tasks", [])))
    if len(tasks) != len(run.metrics["accuracy_by_task"]):
        raise InputError(f"{run.path}/config.json does not say which classes each task had: run it again")
    return TrainedRun(run, kind, config, settings, tasks, len(tasks), choose_device(device)).after(task)
