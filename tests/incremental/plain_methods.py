"""Memory, readout and metrics as their definitions read, by loops: what the fast code is checked against.

Accuracies are a[t][i]: after task t, on the test clips of task i <= t; both counted from 0 here.
Shapes: N clips, D channels, C classes.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

Floats = NDArray[np.floating]
Accuracies = list[list[float]]

# ---------------------------------------------------------------------------------------- memory and herding


def quota(memory_size: int, classes_seen: int) -> int:
    """How many clips a class may keep."""
    return memory_size // classes_seen


def prefixes(held: dict[int, list[str]], share: int) -> dict[int, list[str]]:
    """What old classes keep when their share shrinks: the first of what they held."""
    return {label: ids[:share] for label, ids in held.items()}


def herding(features: Floats, count: int, repeats: bool = True) -> list[int]:
    """The clips of one class that iCaRL keeps, in order: (N, D) normalised features to at most N positions.

    Each choice brings the mean of those chosen nearest to the class's mean, which is not normalised again; of
    equals the first. The released code can choose a clip twice; `repeats=False` cannot.
    """
    mean = features.mean(axis=0)
    total = np.zeros_like(mean)
    chosen: list[int] = []
    for _ in range(min(count, len(features))):
        best, best_distance = -1, np.inf
        for clip, feature in enumerate(features):
            distance = float(np.linalg.norm(mean - (total + feature) / (len(chosen) + 1)))
            if distance < best_distance and (repeats or clip not in chosen):
                best, best_distance = clip, distance
        chosen.append(best)
        total = total + features[best]
    return chosen


def imprinted_proxies(features: Floats, old_proxies: Floats, per_class: int, seed: int) -> Floats:
    """AFC's first proxies of one new class: k-means centres of its normalised features (N, D), scaled.

    The centres are not normalised again; the scale is the mean norm of the old proxies. (K, D).
    """
    centres: Floats = KMeans(n_clusters=per_class, random_state=seed).fit(features).cluster_centers_
    scale = float(np.linalg.norm(old_proxies, axis=1).mean())
    return centres * scale


# --------------------------------------------------------------------------------------------------- readout


def class_means(features: list[Floats], renormalised: bool = False) -> Floats:
    """NME's means (C, D) of each class's normalised exemplar features; released: not normalised again."""
    means = np.stack([each.mean(axis=0) for each in features])
    return means / np.linalg.norm(means, axis=1, keepdims=True) if renormalised else means


def nearest_mean(features: Floats, means: Floats) -> list[int]:
    """The class whose mean is nearest to each normalised feature; of equals the first."""
    predicted = []
    for feature in features:
        distances = [float(np.linalg.norm(feature - mean)) for mean in means]
        predicted.append(distances.index(min(distances)))
    return predicted


# --------------------------------------------------------------------------------------------------- metrics


def seen_accuracies(accuracy: Accuracies, clips: list[int]) -> list[float]:
    """After each task, the accuracy over all test clips seen so far: weighted by each task's clips."""
    return [
        sum(row[i] * clips[i] for i in range(len(row))) / sum(clips[i] for i in range(len(row))) for row in accuracy
    ]


def mean_accuracy(accuracy: Accuracies, clips: list[int]) -> float:
    """Eq. 15: the mean over the tasks of the accuracy over all test clips seen so far."""
    each = seen_accuracies(accuracy, clips)
    return sum(each) / len(each)


def average_forgetting(accuracy: Accuracies) -> float:
    """Eq. 16: the mean over t >= 2 of the mean over i < t of (max over tau < t of a[tau, i]) - a[t, i].

    Can be negative. Undefined, here NaN, for one task.
    """
    by_task = []
    for t in range(1, len(accuracy)):
        losses = [max(accuracy[tau][i] for tau in range(i, t)) - accuracy[t][i] for i in range(t)]
        by_task.append(sum(losses) / len(losses))
    return sum(by_task) / len(by_task) if by_task else float("nan")


def never_negative_forgetting(accuracy: Accuracies) -> float:
    """After the last task T: the mean over i < T of (max over tau <= T of a[tau, i]) - a[T, i]."""
    last = len(accuracy) - 1
    losses = [max(accuracy[tau][i] for tau in range(i, last + 1)) - accuracy[last][i] for i in range(last)]
    return sum(losses) / len(losses) if losses else float("nan")


def first_minus_last(accuracy: Accuracies) -> float:
    """After the last task T: the mean over i < T of a[i, i] - a[T, i]; minus the backward transfer."""
    return -backward_transfer(accuracy)


def backward_transfer(accuracy: Accuracies) -> float:
    """After the last task T: the mean over i < T of a[T, i] - a[i, i] (Lopez-Paz and Ranzato 2017)."""
    last = len(accuracy) - 1
    gains = [accuracy[last][i] - accuracy[i][i] for i in range(last)]
    return sum(gains) / len(gains) if gains else float("nan")


def class_balanced_accuracy(predicted: list[int], labels: list[int]) -> float:
    """The mean over the classes that have clips of each class's own accuracy."""
    by_class = []
    for label in sorted(set(labels)):
        right = [p == label for p, true in zip(predicted, labels, strict=True) if true == label]
        by_class.append(sum(right) / len(right))
    return sum(by_class) / len(by_class)
