"""Ridge: McDonnell et al., "RanPAC: Random Projections and Pre-trained Models for Continual Learning", NeurIPS 2023.

Their head without the random projection: ridge regression from frozen features to one-hot labels, in closed form. It
departs from their code in that features are standardised, and the penalty is chosen by leave-one-out instead of on a
held-out fifth of the task.

Shapes: B clips, n clips of a task, M channels of all features together, C classes.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ...errors import InputError
from ..config import STRICT, Modality
from ..data.batch import Batch
from ..data.tasks import Task
from ..learning.method import Context, Settings
from ..learning.statistics import StatisticsMethod
from ..model.heads import Widths

PENALTIES = tuple(10.0**power for power in range(-8, 3))
"""Candidates for the penalty, relative to the mean of the Gram matrix's diagonal."""
FLAT = 1e-6
"""A channel that deviates less than this share of the median channel says nothing, and is left at 0."""


@dataclass(frozen=True, config=STRICT)
class RidgeSettings(Settings):
    """Settings of ridge."""

    penalty: Annotated[float, Field(gt=0)] | None = None
    """lambda relative to the mean of the Gram matrix's diagonal; > 0. None: chosen anew in every task, by the
    leave-one-out error of its own training clips."""


class Ridge(StatisticsMethod):
    """Ridge regression on [mean of the visual tokens | audio], standardised with the first task's training clips. No
    exemplars and no gradient: after every task the weights are those of training on all clips seen so far at once."""

    name = "ridge"
    paper = "McDonnell et al., RanPAC, NeurIPS 2023 (its head without random projection)"
    needs_tokens = False
    Settings = RidgeSettings

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        channels = {"audio-visual": widths.visual + widths.audio, "visual": widths.visual, "audio": widths.audio}[
            modality
        ]
        double = torch.float64
        self.register_buffer("centre", torch.zeros(channels, dtype=double))
        self.register_buffer("deviation", torch.ones(channels, dtype=double))
        self.register_buffer("gram", torch.zeros(channels, channels, dtype=double))
        self.register_buffer("moments", torch.zeros(channels, 0, dtype=double))
        self.register_buffer("weights", torch.zeros(channels, 0, dtype=double))
        self._task_rows: list[tuple[Tensor, Tensor]] = []

    def grow(self, task: Task) -> None:
        """Columns of zeros for the new classes."""
        super().grow(task)
        for name in ("moments", "weights"):
            columns = self.get_buffer(name)
            setattr(self, name, F.pad(columns, (0, task.seen_classes - columns.shape[1])))

    def begin_task(self, context: Context) -> None:
        """Mean and deviation of every channel over the first task's training clips, kept from then on."""
        self._task_rows = []
        if self.task.number > 1:
            return
        features = context.over(self._raw, context.new_clips)  # (n, M)
        deviation = features.std(dim=0, correction=0)
        deviation[deviation <= FLAT * deviation.median()] = torch.inf
        self.get_buffer("centre").copy_(features.mean(dim=0))
        self.get_buffer("deviation").copy_(deviation)

    def observe(self, batch: Batch) -> None:
        """G += H^T H and Q += H^T T for features H and one-hot labels T."""
        features = self._standardised(batch)  # (B, M)
        targets = F.one_hot(batch.labels, self.task.seen_classes).to(features.dtype)  # (B, C)
        self.get_buffer("gram").addmm_(features.T, features)
        self.get_buffer("moments").addmm_(features.T, targets)
        if self.settings.penalty is None:
            self._task_rows.append((features, targets))

    def solve(self, context: Context) -> Mapping[str, float]:
        """W = (G + lambda I)^-1 Q, for the penalty that was set or the best one by leave-one-out."""
        gram, moments = self.get_buffer("gram"), self.get_buffer("moments")
        figures: dict[str, float] = {}
        penalty = self.settings.penalty
        if penalty is None:
            features, targets = (torch.cat(part) for part in zip(*self._task_rows, strict=True))
            errors = leave_one_out_errors(gram, moments, features, targets, PENALTIES)
            best = min(range(len(errors)), key=errors.__getitem__)  # the first of equals
            penalty, figures["leave_one_out_error"] = PENALTIES[best], errors[best]
        self._task_rows = []
        self.weights = ridge_weights(gram, moments, penalty * float(gram.diagonal().mean()))
        return {"penalty": penalty} | figures

    def scores(self, batch: Batch) -> Tensor:
        """H W. (B, C) float64."""
        return self._standardised(batch) @ self.get_buffer("weights")

    def _raw(self, batch: Batch) -> Tensor:
        """[mean of the visual tokens | audio], as far as the modality has them. (B, M) float64."""
        parts = [batch.visual_mean] if self.modality != "audio" else []
        parts += [batch.audio] if self.modality != "visual" else []
        return torch.cat([part for part in parts if part is not None], dim=1).double()

    def _standardised(self, batch: Batch) -> Tensor:
        return (self._raw(batch) - self.get_buffer("centre")) / self.get_buffer("deviation")


def ridge_weights(gram: Tensor, moments: Tensor, penalty: float) -> Tensor:
    """(G + penalty I)^-1 Q by a Cholesky factorisation, for G (M, M) and Q (M, C). (M, C).

    Raises InputError where the matrix is not positive definite, with its condition number.
    """
    penalised = gram + penalty * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(penalised)
    if int(failed):
        condition = float(torch.linalg.cond(penalised))
        raise InputError(
            f"ridge cannot be solved with penalty {penalty:.3g}: the condition number is {condition:.1e}; raise it "
            "(--set penalty=..., relative to the mean of the Gram matrix's diagonal)"
        )
    return torch.cholesky_solve(moments, factor)


def leave_one_out_errors(
    gram: Tensor, moments: Tensor, features: Tensor, targets: Tensor, penalties: tuple[float, ...]
) -> list[float]:
    """Mean squared error of each clip's targets (n, C) by the weights that all other clips give, for each penalty.

    G (M, M) and Q (M, C) hold every clip seen so far, `features` (n, M) among them. Leaving a clip out needs no new
    solve: its residual is (t - h W) / (1 - h (G + lambda I)^-1 h^T). Penalties are relative to the mean of G's
    diagonal; one that leaves a clip's residual undefined gives infinity.
    """
    values, vectors = torch.linalg.eigh(gram)
    values = values.clamp(min=0)
    rotated, solved = features @ vectors, vectors.T @ moments  # (n, M), (M, C)
    errors = []
    for penalty in penalties:
        inverse = 1 / (values + penalty * gram.diagonal().mean())  # (M,)
        residual = targets - rotated @ (inverse[:, None] * solved)  # (n, C)
        kept = 1 - (rotated.square() @ inverse)  # (n,)
        error = (residual / kept[:, None]).square().mean()
        errors.append(float(error) if float(kept.min()) > 1e-9 else float("inf"))
    return errors
