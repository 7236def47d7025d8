"""A finished run on other clips of the same classes, by the same figures.

Shapes: n clips.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache import FeatureCache, Fingerprint
from ...errors import InputError, unknown
from ...files import written_aside
from ...manifests import Clip, Manifest, Split, read_manifest
from ..results.metrics import Predictions, class_accuracies, last_accuracy, summarise
from ..results.own import COLUMNS
from .problem import load_problem
from .trained import TrainedRun


@dataclass(frozen=True)
class Evaluation:
    """What a run, as it was after each of its tasks, says of clips."""

    run: TrainedRun
    clips: tuple[Clip, ...]
    after: tuple[Predictions, ...]
    """The answers after each task, on the clips of the classes seen by then; numbers are places in `clips`."""
    missing: tuple[Clip, ...]
    """Clips that the cache does not hold."""
    trained_on: int | None
    """How many of the clips are training clips of the list that the run names; None where that cannot be read."""

    def lacking(self) -> list[int]:
        """Tasks of whose classes there is no clip."""
        labels = {clip.label for clip in self.clips}
        return [number for number, task in enumerate(self.run.tasks, start=1) if labels.isdisjoint(task)]

    def figures(self) -> dict[str, Any]:
        """As in metrics.json; where a task has no clip, the accuracy after the last task alone."""
        if self.lacking():
            return {"last_accuracy": last_accuracy(self.after[-1:])}
        sizes = [len(task) for task in self.run.tasks]
        return summarise(self.after, [0, *np.cumsum(sizes).tolist()])

    def document(self) -> dict[str, Any]:
        """Everything worth keeping but the single answers."""
        classes = self.run.after(None).classes
        accuracies = class_accuracies(self.after[-1], len(classes))
        return {
            "run": str(self.run.finished.path),
            "method": self.run.kind.name,
            "random_encoder_weights": self.run.random_weights,
            "clips": len(self.clips),
            "missing_clips": len(self.missing),
            "clips_trained_on": self.trained_on,
            **self.figures(),
            "class_accuracy": dict(zip(classes, accuracies, strict=True)),
        }

    def write_answers(self, path: Path) -> None:
        """A CSV file of every answer after every task, in the form of a run's predictions.csv."""
        classes = self.run.after(None).classes
        with written_aside(path) as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            for task, answers in enumerate(self.after, start=1):
                for clip, label, said in zip(answers.clips, answers.labels, answers.predicted, strict=True):
                    table.writerow([task, self.clips[clip].id, classes[label], classes[said]])


def evaluate(run: TrainedRun, manifest: Path, cache: Path, split: Split = "test") -> Evaluation:
    """The answers of `run`, after each of its tasks, on the clips of one split of a list.

    Args:
        run: the run; all of its tasks are asked, whichever it stands after.
        manifest: CSV with video_id,label,split; labels are the run's classes, by name, and not all need clips.
        cache: where the clips' features are; made as those that the run learnt from.
        split: which clips of the list.

    Raises:
        InputError: a label is none of the run's classes (with the nearest); no clip of that split, or none in the
            cache; the features were made in another way, with the facts that differ.
    """
    listed = read_manifest(manifest, trained=False)
    clips = listed.of_split(split)
    if not clips:
        raise InputError(f"{manifest} has no {split} clips")
    _check_labels(listed, clips, run.after(None).classes)
    features = FeatureCache(cache)
    check_fingerprint(run, features)
    there = tuple(clip for clip in clips if clip.id in features)
    if not there:
        raise InputError(f"{cache} holds none of the {len(clips)} {split} clips of {manifest}")
    numbers = {name: number for number, name in enumerate(run.after(None).classes)}
    labels = np.array([numbers[clip.label] for clip in there], dtype=np.int64)
    after = []
    for task in range(1, len(run.tasks) + 1):
        then = run.after(task)
        asked = np.flatnonzero(labels < len(then.classes))
        predicted = np.zeros(0, dtype=np.int64)
        if len(asked):
            predicted = then.scores(features, [there[number].id for number in asked]).argmax(dim=1).numpy()
        after.append(Predictions(clips=asked, labels=labels[asked], predicted=predicted))
    missing = tuple(clip for clip in clips if clip.id not in features)
    return Evaluation(run, there, tuple(after), missing, _trained_on(run, there))


def _trained_on(run: TrainedRun, clips: Sequence[Clip]) -> int | None:
    """How many of `clips` are training clips of the run's own list, as it is today; None where it cannot be read."""
    config = run.config
    try:
        learnt = load_problem(config.dataset, config.manifest, config.classes).manifest.of_split("train")
    except InputError:  # the list may have moved, or be changed beyond reading, which is no fault of these clips
        return None
    return len({clip.id for clip in learnt} & {clip.id for clip in clips})


def _check_labels(manifest: Manifest, clips: Sequence[Clip], classes: Sequence[str]) -> None:
    for clip in clips:
        if clip.label not in classes:
            words = unknown("label", clip.label, classes)
            raise InputError(f"{manifest.where(clip)}: {words} (the classes are those of the run)")


def check_fingerprint(run: TrainedRun, cache: FeatureCache) -> None:
    """InputError where the cache's features are not made as those that the run learnt from, with what differs."""
    provenance = run.finished.content["provenance"]
    if provenance.get("cache_fingerprint") != cache.fingerprint.digest:
        difference = cache.fingerprint.difference(Fingerprint(provenance.get("cache_made_by") or {}))
        raise InputError(
            f"the features in {cache.directory} were made in another way than those that {run.finished.path} learnt "
            f"from: {difference}"
        )
