"""Base of the heads: what each of them does with a task, and what all do alike.

Shapes: B clips of a batch, n clips of a task, D channels, M features, C classes.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ...config import STRICT, Modality
from ...data.batch import Batch
from ...data.tasks import Task
from ...model.heads import Widths
from ...model.operations import count_product
from ..method import Context, Settings
from ..statistics import StatisticsMethod
from .inputs import Features, Inputs, channels_of, vectors_of
from .maps import Same
from .penalties import ABSOLUTE, RELATIVE, ROWS, best, held_out_errors, leave_one_out_errors, ridge_weights, solvable
from .sums import ClassSums

PenaltyChoice = Literal["leave-one-out", "held-out"]


@dataclass(frozen=True, config=STRICT)
class ClosedFormSettings(Settings):
    """Settings of every head that is solved."""

    features: Features = "standardised"
    """How [mean of the visual tokens | audio] is scaled, by the first task's training clips: "standardised", each
    channel to mean 0 and deviation 1; "whitened", further by their covariance within classes; "raw", not at all."""


@dataclass(frozen=True, config=STRICT)
class PenaltySettings(ClosedFormSettings):
    """Settings of ridge regression whose penalty is chosen anew in every task."""

    penalty: Annotated[float, Field(gt=0)] | None = None
    """lambda relative to the mean of the Gram matrix's diagonal; > 0. None: chosen anew in every task, from its own
    training clips, as `penalty_choice` says."""


class ClosedForm(StatisticsMethod):
    """A head on frozen vectors: no exemplars, no gradient. A task's vectors are held until all have come, so that no
    result depends on how clips were put into batches."""

    needs_tokens = False
    Settings = ClosedFormSettings
    reads_settings: ClassVar[tuple[str, ...]] = ("features",)

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        self.channels = channels_of(widths, modality)
        self.inputs = Inputs(self.channels, settings.features)
        self._held: list[tuple[Tensor, Tensor]] = []

    def freeze(self, vectors: Tensor, labels: Tensor, context: Context) -> None:
        """Fix what the head takes from the first task's scaled vectors (n, D) for good, such as a kernel's width."""

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Add clips with scaled vectors (n, D) float64 and labels (n,) to the sums; classes come whole."""
        raise NotImplementedError

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """Work out from the sums what `answer` needs; the task's own vectors and labels may say how.

        Returns figures worth a line in history.csv.
        """
        raise NotImplementedError

    def answer(self, vectors: Tensor) -> Tensor:
        """Scores (B, C) of clips with scaled vectors (B, D)."""
        raise NotImplementedError

    def begin_task(self, context: Context) -> None:
        """Forget what an earlier, stopped attempt at the task held."""
        self._held = []

    def observe(self, batch: Batch) -> None:
        """Hold the vectors of a batch."""
        self._held.append((vectors_of(batch, self.modality), batch.labels))

    def solve(self, context: Context) -> Mapping[str, float]:
        """Scale the task's vectors, add them to the sums, and work out the weights."""
        raw, labels = (torch.cat(part) for part in zip(*self._held, strict=True))
        self._held = []
        if self.task.number == 1:
            self.inputs.freeze(raw, labels)
        vectors = self.inputs(raw)
        if self.task.number == 1:
            self.freeze(vectors, labels, context)
        self.gather(vectors, labels)
        return self.fit(vectors, labels, context)

    def scores(self, batch: Batch) -> Tensor:
        """Of a batch's clips. (B, C) float64."""
        return self.answer(self.inputs(vectors_of(batch, self.modality)))


class LinearHead(ClosedForm):
    """A head that is linear in features h = f(z), with weights (M, C)."""

    only_for_learning: ClassVar[tuple[str, ...]] = ("sums.",)

    weights: Tensor
    map: Any
    """f, a module of `maps`."""
    centred: ClassVar[bool] = False
    second_moments: ClassVar[bool] = True
    """Which second moments are kept, as `ClassSums` says."""

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        self.map = self.make_map()
        self.sums = ClassSums(self.map.width, centred=self.centred, second_moments=self.second_moments)
        self.register_buffer("weights", torch.zeros(self.map.width, 0, dtype=torch.float64))

    def make_map(self) -> Any:
        """f, a module of `maps`."""
        return Same(self.channels)

    def grow(self, task: Task) -> None:
        """Columns of zeros for the new classes."""
        super().grow(task)
        self.sums.grow(task.seen_classes)
        self.weights = F.pad(self.weights, (0, task.seen_classes - self.weights.shape[1]))

    def parts(self, vectors: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (at most ROWS, M) and labels, part by part."""
        for part, of_part in zip(vectors.split(ROWS), labels.split(ROWS), strict=True):
            yield self.map(part), of_part

    def gather(self, vectors: Tensor, labels: Tensor) -> None:
        """Add features to the sums."""
        for features, of_part in self.parts(vectors, labels):
            self.sums.add(features, of_part)

    def targets(self, labels: Tensor) -> Tensor:
        """One-hot over the classes seen. (n, C) float64"""
        return F.one_hot(labels, self.task.seen_classes).to(self.weights.dtype)

    def answer(self, vectors: Tensor) -> Tensor:
        """h W. (B, C)"""
        count_product(len(vectors), *self.weights.shape)
        scores: Tensor = self.map(vectors) @ self.weights
        return scores


class RidgeHead(LinearHead):
    """Ridge regression from features to one-hot labels, its penalty chosen by the task's own training clips."""

    Settings = PenaltySettings
    reads_settings: ClassVar[tuple[str, ...]] = ("features", "penalty", "penalty_choice")

    def fit(self, vectors: Tensor, labels: Tensor, context: Context) -> Mapping[str, float]:
        """W = (G + lambda I)^-1 Q, for the penalty that was set or the best one by the rule that was set."""
        gram, moments = self.sums.matrix, self.sums.totals.T
        scale = gram.trace() / gram.width
        figures = self._chosen(vectors, labels, context)
        absolute = figures["absolute_penalty"] if "absolute_penalty" in figures else figures["penalty"] * scale
        self.weights = ridge_weights(gram, moments, absolute)
        return figures

    def _chosen(self, vectors: Tensor, labels: Tensor, context: Context) -> dict[str, float]:
        """The penalty, and the error for which it was chosen."""
        if self.settings.penalty is not None:
            return {"penalty": self.settings.penalty}
        if self.settings.penalty_choice == "held-out":
            order = torch.randperm(len(vectors), generator=context.generator("held-out")).to(vectors.device)
            targets = self.targets(labels)[order]
            candidates = solvable(self.sums.matrix, ABSOLUTE)
            errors = held_out_errors(self.map, self.map.width, vectors[order], targets, candidates)
            penalty, error = best(candidates, errors)
            return {"absolute_penalty": penalty, "held_out_error": error}

        def parts() -> Iterator[tuple[Tensor, Tensor]]:
            for features, of_part in self.parts(vectors, labels):
                yield features, self.targets(of_part)

        errors = leave_one_out_errors(self.sums.matrix, self.sums.totals.T, parts, RELATIVE)
        penalty, error = best(RELATIVE, errors)
        return {"penalty": penalty, "leave_one_out_error": error}
