"""What must hold of herded exemplars and of class means, worked out from plain features, one choice at a time."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from avcil.tests.incremental import plain_methods
from avcil.tests.incremental.cases import train_clips
from avcil.tests.incremental.problems import Run
from avcil.tests.incremental.replay import close, fused, plain_heads
from numpy.typing import NDArray
from torch import Tensor

ROUNDING = 1e-5
"""Distances nearer than this may be taken for equal."""


def unit_features(state: Mapping[str, Tensor], finished: Run, clips: list[int]) -> NDArray[np.float64]:
    """(n, D) normalised fused features by the plain heads."""
    places = torch.tensor(clips, dtype=torch.int64)
    with torch.no_grad():
        h = fused(
            plain_heads(state),
            finished.config.modality,
            finished.problem.visual[places],
            finished.problem.audio[places],
        )
    features: NDArray[np.float64] = F.normalize(h, dim=1).double().numpy()
    return features


def follows_herding(features: NDArray[np.float64], picks: list[int], repeats: bool) -> bool:
    """Whether every pick is the best there is after those before it, up to rounding."""
    mean, total = features.mean(axis=0), np.zeros(features.shape[1])
    for number, pick in enumerate(picks, start=1):
        distance = np.linalg.norm(mean - (total + features) / number, axis=1)
        if not repeats:
            distance[picks[: number - 1]] = np.inf
        if distance[pick] > distance.min() + ROUNDING:
            return False
        total = total + features[pick]
    return repeats or len(set(picks)) == len(picks)


def check_herding(finished: Run, repeats: bool) -> None:
    """New classes' exemplars in memory are the herding of the chosen model's features of their training clips."""
    for number, (recorded, memory) in enumerate(zip(finished.tasks, finished.progress.memories, strict=True), start=1):
        for label in finished.problem.table.task(number).new_classes:
            own = train_clips(finished, range(label, label + 1))
            picks = [own.index(clip) for clip in memory.get(label, [])]
            assert follows_herding(unit_features(recorded.chosen, finished, own), picks, repeats)


def check_nearest_means(finished: Run, unit: bool) -> None:
    """Means after every epoch, and the chosen one's scores, are those of exemplars by the epoch's own weights.

    Old classes: what the memory holds of them, cut to the new share. New ones: herded anew, one at least.
    """
    table = finished.problem.table

    def mean_of(state: Mapping[str, Tensor], clips: list[int]) -> Tensor:
        """Zero where ReLU has cut every feature to zero, which no length can be given."""
        (mean,) = plain_methods.class_means([unit_features(state, finished, clips)], renormalised=False)
        length = np.linalg.norm(mean)
        return torch.from_numpy(mean / length if unit and length else mean).float()

    for number, recorded in enumerate(finished.tasks, start=1):
        seen = table.task(number).seen_classes
        share = plain_methods.quota(finished.config.memory_size, seen)
        held = finished.progress.memories[number - 2] if number > 1 else {}
        for state in [*recorded.after_epochs, recorded.chosen]:
            means = state["nearest_mean.means"]
            for label in range(seen):
                if label in table.task(number).new_classes:
                    continue  # below, where the herded clips are known
                clips = held.get(label, [])[:share]
                expected = mean_of(state, clips) if clips else recorded.initial["nearest_mean.means"][label]
                close(means[label], expected, 1e-4, f"task {number}, class {label}")
        for label in table.task(number).new_classes:
            clips = finished.progress.memories[number - 1].get(label, [])
            if clips:
                mean = recorded.chosen["nearest_mean.means"][label]
                close(mean, mean_of(recorded.chosen, clips), 1e-4, f"task {number}, new class {label}")
        tested, scores = finished.progress.predictions[number - 1]
        features = unit_features(recorded.chosen, finished, tested.tolist())
        known = recorded.chosen["nearest_mean.means"].double().numpy()
        distances = np.linalg.norm(features[:, None] - known[None], axis=2)
        np.testing.assert_allclose(-scores.numpy(), distances, rtol=1e-4, atol=1e-3)
        predicted = plain_methods.nearest_mean(features, known)
        two = np.sort(distances, axis=1)
        clear = two[:, 1] - two[:, 0] > 1e-3 if seen > 1 else np.ones(len(tested), dtype=bool)
        assert (scores.argmax(dim=1).numpy() == predicted)[clear].all()
