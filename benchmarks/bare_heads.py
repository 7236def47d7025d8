"""Each closed-form head's arithmetic as bare library calls on arrays in memory: no cache, no saved state, no checks.

Shapes: n clips of a task, D channels, M features, C classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Tasks = Sequence[tuple[Tensor, Tensor]]
PENALTIES = [10.0**power for power in range(-8, 9)]


def features(name: str, width: int, first: Tensor) -> Callable[[Tensor], Tensor]:
    """The head's feature map, drawn."""
    draw, channels = torch.Generator().manual_seed(0), first.shape[1]
    normal = torch.randn(channels, width, generator=draw, dtype=torch.float64)
    if name in ("ranpac", "ds-al"):
        return lambda rows: torch.relu(rows @ normal)
    if name in ("acil", "air"):
        return lambda rows: torch.relu(rows @ (normal / channels**0.5))
    if name == "gkeal":
        centres, squared = first[:width], float(F.pdist(first[:2000]).square().median())
        return lambda rows: torch.exp(-torch.cdist(rows, centres).square() / squared)
    if name in ("randumb", "klda"):
        phase, scale = 2 * torch.pi * torch.rand(width, generator=draw, dtype=torch.float64), (2 / channels) ** 0.5
        return lambda rows: (2 / width) ** 0.5 * torch.cos(rows @ (scale * normal) + phase)
    return lambda rows: rows


def run(name: str, tasks: Tasks, tests: Tasks, width: int) -> list[float]:
    """Accuracy after each task."""
    first = tasks[0][0].double()
    centre, deviation = first.mean(dim=0), first.std(dim=0, correction=0)
    tasks = [((rows.double() - centre) / deviation, labels) for rows, labels in tasks]
    tests = [((rows.double() - centre) / deviation, labels) for rows, labels in tests]
    mapped = features(name, width, tasks[0][0])
    head = Gradual(name, mapped, 1 + max(int(labels.max()) for _, labels in tasks))
    found = []
    for number, (rows, labels) in enumerate(tasks):
        head.learn(rows, labels)
        seen, truth = (torch.cat(part) for part in zip(*tests[: number + 1], strict=True))
        classes = int(labels.max()) + 1
        found.append(float((head.scores(seen)[:, :classes].argmax(dim=1) == truth).double().mean()))
    return found


class Gradual:
    """One head over tasks. All classes have room from the beginning."""

    def __init__(self, name: str, mapped: Callable[[Tensor], Tensor], classes: int) -> None:
        self.name, self.mapped, self.classes = name, mapped, classes
        self.state: dict[str, Any] = {"gram": 0, "sums": 0, "counts": 0, "second": 0, "residuals": 0, "fecam": []}

    def learn(self, rows: Tensor, labels: Tensor) -> None:
        """One task."""
        state, targets = self.state, F.one_hot(labels, self.classes).double()
        if self.name == "fecam":
            return self._fecam(rows, labels)
        h = self.mapped(rows)
        sums, counts = targets.T @ h, targets.sum(dim=0)
        weight = (1 / counts)[labels][:, None].sqrt() if self.name == "air" else None
        if self.name in ("slda", "klda", "randumb"):
            inner = h - (sums / counts[:, None].clamp(min=1))[labels]
            state["gram"] = state["gram"] + inner.T @ inner
        elif self.name != "ncm":
            rows_of = h if weight is None else h * weight
            state["gram"] = state["gram"] + rows_of.T @ rows_of
        state["sums"], state["counts"] = state["sums"] + sums, state["counts"] + counts
        means = state["sums"] / state["counts"].clamp(min=1)[:, None]
        if self.name == "ncm":
            state["weights"] = F.normalize(means, dim=1).T
        elif self.name in ("slda", "klda", "randumb"):
            covariance = state["gram"] / state["counts"].sum()
            width = len(covariance)
            if self.name != "klda":  # OAS by its formula, of the whole
                alpha, mean = covariance.square().mean(), covariance.trace() / width
                rho = float((alpha + mean**2) / ((state["counts"].sum() + 1) * (alpha - mean**2 / width)))
                covariance.mul_(1 - min(1, rho)).diagonal().add_(min(1, rho) * mean)
            else:
                covariance.diagonal().add_(1e-3)
            state["weights"] = torch.cholesky_solve(means.T, torch.linalg.cholesky(covariance))
            state["bias"] = -(state["weights"] * means.T).sum(dim=0) / 2
        else:
            state["weights"] = ridge(
                state["gram"], (means if self.name == "air" else state["sums"]).T, self._penalty(h, targets)
            )
        if self.name == "ds-al":
            second = torch.tanh(h)
            state["second"] = state["second"] + second.T @ second
            state["residuals"] = state["residuals"] + second.T @ (targets - h @ state["weights"])
            state["compensation"] = ridge(state["second"], state["residuals"], 0.1)

    def _penalty(self, h: Tensor, targets: Tensor) -> float:
        if self.name == "ranpac":
            return held_out(h, targets)
        return leave_one_out(self.state["gram"], self.state["sums"].T, h, targets) if self.name == "ridge" else 0.1

    def _fecam(self, rows: Tensor, labels: Tensor) -> None:
        if "basis" not in self.state:
            self.state["basis"] = torch.linalg.eigh(rows.T @ rows)[1][:, -256:]
        points = rows @ self.state["basis"]
        for label in labels.unique():
            unit = F.normalize(points[labels == label], dim=1)
            covariance = torch.cov(unit.T)
            covariance.diagonal().add_(covariance.trace() / len(covariance))
            spread = covariance.diagonal().sqrt()
            factor = torch.linalg.cholesky(covariance / spread[:, None] / spread)
            self.state["fecam"].append((unit.mean(dim=0), factor))

    def scores(self, rows: Tensor) -> Tensor:
        """(n, C)"""
        if self.name == "fecam":
            points = F.normalize(rows @ self.state["basis"], dim=1)
            halves = [torch.linalg.solve_triangular(f, (points - m).T, upper=False) for m, f in self.state["fecam"]]
            return torch.stack([-half.square().sum(dim=0) for half in halves], dim=1)
        h = self.mapped(rows)
        scores: Tensor = h @ self.state["weights"] + self.state.get("bias", 0)
        return scores + torch.tanh(h) @ self.state["compensation"] if self.name == "ds-al" else scores


def ridge(gram: Tensor, moments: Tensor, penalty: float) -> Tensor:
    """One Cholesky factorisation."""
    matrix = gram.clone()
    matrix.diagonal().add_(penalty)
    return torch.cholesky_solve(moments, torch.linalg.cholesky(matrix))


def leave_one_out(gram: Tensor, moments: Tensor, h: Tensor, targets: Tensor) -> float:
    """The best of eleven penalties by one eigendecomposition."""
    values, vectors = torch.linalg.eigh(gram)
    rotated, solved, scale = h @ vectors, vectors.T @ moments, float(gram.trace()) / len(gram)

    def error(penalty: float) -> float:
        inverse = 1 / (values.clamp(min=0) + penalty * scale)
        kept = 1 - rotated.square() @ inverse
        return float(((targets - rotated @ (inverse[:, None] * solved)) / kept[:, None]).square().mean())

    return scale * min(PENALTIES[:11], key=error)


def held_out(h: Tensor, targets: Tensor) -> float:
    """RanPAC's rule in the dual form."""
    fit = int(0.8 * len(h))
    kernel = h @ h[:fit].T

    def error(penalty: float) -> float:
        matrix = kernel[:fit].clone()
        matrix.diagonal().add_(penalty)
        solved = torch.cholesky_solve(targets[:fit], torch.linalg.cholesky(matrix))
        return float((kernel[fit:] @ solved - targets[fit:]).square().mean())

    return min(PENALTIES[5:], key=error)  # smaller ones are lost in rounding


def direct(rows: Tensor, labels: Tensor, width: int) -> float:
    """RanPAC's rule as its code has it, for one task: a dense solve of M equations for each of 17 penalties."""
    targets = F.one_hot(labels).double()
    rows = rows.double()
    h = features("ranpac", width, rows)((rows - rows.mean(dim=0)) / rows.std(dim=0))
    fit = int(0.8 * len(h))
    gram, moments = h[:fit].T @ h[:fit], h[:fit].T @ targets[:fit]
    errors = []
    for penalty in PENALTIES:
        weights = torch.linalg.solve(gram + penalty * torch.eye(width, dtype=torch.float64), moments)
        errors.append(float((h[fit:] @ weights - targets[fit:]).square().mean()))
    return PENALTIES[errors.index(min(errors))]
