"""What is reported of a finished run: predictions and the figures worked out from them.

Shapes: n clips, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..config import RunConfig
from ..data.tasks import ClipTable
from ..learning.method import BaseMethod, Way
from ..learning.state import Progress
from ..results.calibration import expected_calibration_error, negative_log_likelihood, probabilities
from ..results.metrics import FIGURES, Predictions, accuracy_matrix, forgetting_by_task, percent, summarise, without
from ..results.noise import clip_noise, half
from .budget import bytes_kept
from .problem import Data
from .provenance import peak_memory_bytes


def predictions_of(table: ClipTable, clips: Tensor, scores: Tensor) -> Predictions:
    """What `metrics` needs of scores (n, C) on test clips (n,)."""
    return Predictions(clips=clips.numpy(), labels=table.labels[clips].numpy(), predicted=scores.argmax(dim=1).numpy())


@dataclass(frozen=True)
class TaskOutcome:
    """How a run does after a task, in percent."""

    test: float
    """Accuracy over the test clips of all classes seen so far."""
    new: float
    """Over those of the task's own classes."""
    old: float | None
    """Over those of earlier tasks' classes; None after the first task."""
    forgetting: float | None
    """Mean over earlier tasks of the best accuracy so far minus today's; None after the first task."""
    chosen_epoch: int
    """0 where the task is solved."""
    validation: float | None
    """Accuracy of the chosen epoch on the validation clips; None where there is none."""


def outcome_of(table: ClipTable, progress: Progress) -> TaskOutcome:
    """Of the task that ended last."""
    after = [predictions_of(table, clips, scores) for clips, scores in progress.predictions]
    a = accuracy_matrix(after, table.task(len(table.tasks)).boundaries)
    task, answers = len(after), after[-1]
    old = answers.right[answers.labels < table.task(task).old_classes]
    chosen = progress.chosen_epochs[-1]
    of_chosen = [line for line in progress.history if (line["task"], line["epoch"]) == (task, chosen)]
    return TaskOutcome(
        test=percent(answers.right),
        new=a[-1][-1],
        old=percent(old) if task > 1 else None,
        forgetting=forgetting_by_task(a)[-1] if task > 1 else None,
        chosen_epoch=chosen,
        validation=of_chosen[0].get("validation_accuracy") if of_chosen else None,
    )


def metrics_of(
    config: RunConfig, data: Data, progress: Progress, kind: type[BaseMethod], published: list[float] | None = None
) -> dict[str, Any]:
    """metrics.json. `published` are the figures published for exactly these settings."""
    table = data.table
    after = [predictions_of(table, clips, scores) for clips, scores in progress.predictions]
    boundaries = table.task(len(table.tasks)).boundaries
    metrics: dict[str, Any] = {
        "method": config.method,
        "modality": config.modality,
        "seed": config.seed,
        "model_choice": config.model_choice if kind.way == "gradient" else "one pass",
        "random_encoder_weights": data.cache.random_weights,
        **summarise(after, boundaries),
        "chosen_epochs": progress.chosen_epochs,
        **early_ends(config, progress, kind.way),
        "seconds": progress.seconds,
        "peak_memory_bytes": peak_memory_bytes(data.device),
        # A replayed CUDA graph runs no Python that could count.
        "operations": None if config.cuda_graphs else progress.operations,
        **bytes_kept(kind, data, progress),
        **noise_of(data, after),
        **(calibration_of(after[-1], progress.predictions[-1][1]) if kind.scores_are_logits else {}),
        "test_clips": len(after[-1].labels),
        "published": published,
    }
    if table.leaked:
        metrics["leak_free"] = leak_free(table, after, boundaries)
    return metrics


def noise_of(data: Data, after: Sequence[Predictions]) -> dict[str, Any]:
    """How well the figures are known from so many test clips."""
    videos = [data.problem.source_of(clip) for clip in data.table.ids]
    noise = clip_noise(after, np.unique(videos, return_inverse=True)[1].astype(np.int64))
    if noise is None:
        return {}
    return {
        "test_noise": noise,
        "mean_accuracy_noise": half(noise["mean_accuracy"]),
        "last_accuracy_noise": half(noise["last_accuracy"]),
    }


def calibration_of(answers: Predictions, scores: Tensor) -> dict[str, float]:
    """How far the softmax of logits (n, C) can be believed."""
    logits = scores.double().numpy()
    return {
        "expected_calibration_error": expected_calibration_error(probabilities(logits), answers.labels),
        "negative_log_likelihood": negative_log_likelihood(logits, answers.labels),
    }


def early_ends(config: RunConfig, progress: Progress, way: Way) -> dict[str, Any]:
    """How many epochs each task took, where patience may have ended it."""
    if way != "gradient" or config.patience is None:
        return {}
    return {"epochs_by_task": list(progress.epochs_by_task().values())}


def leak_free(table: ClipTable, after: Sequence[Predictions], boundaries: Sequence[int]) -> dict[str, Any]:
    """The same figures on the test clips whose source video gave no training clip."""
    leaked = np.array([number for number, clip in enumerate(table.ids) if clip in table.leaked])
    kept = [without(answers, leaked) for answers in after]
    starts = np.array(boundaries)
    for number, answers in enumerate(kept):
        tasks = set(np.searchsorted(starts[1:], answers.labels, side="right").tolist())
        if tasks != set(range(number + 1)):
            return {"test_clips": len(answers.labels), "note": "a task has no leak-free test clip"}
    summary = summarise(kept, boundaries)
    main = [name for name, figure in FIGURES.items() if figure.main]
    return {"test_clips": len(kept[-1].labels)} | {name: summary[name] for name in (*main, "accuracy_by_task")}
