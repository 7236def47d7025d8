"""Rules for the penalty against refitting, and the dual form against the primal one."""

import numpy as np
import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.learning.closed_form import penalties
from avcil.incremental.learning.closed_form.packed import Packed
from avcil.incremental.learning.closed_form.penalties import (
    best,
    held_out_errors,
    leave_one_out_errors,
    ridge_weights,
    solvable,
)


def one_hot(labels: object, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.as_tensor(labels), classes).double()


def same(rows: torch.Tensor, columns: slice = slice(None)) -> torch.Tensor:
    return rows[:, columns]


def test_leaving_a_clip_out_equals_refitting_without_it():
    """Also where other clips, of earlier tasks, are in the sums."""
    draw = torch.Generator().manual_seed(0)
    every = torch.randn(30, 6, generator=draw, dtype=torch.float64)
    targets = one_hot(torch.randint(0, 3, (30,), generator=draw), 3)
    gram, moments = every.T @ every, every.T @ targets
    candidates = (1e-4, 0.3, 20.0)

    def parts() -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(every[18:25], targets[18:25]), (every[25:], targets[25:])]

    found = leave_one_out_errors(Packed.of(gram), moments, parts, candidates)
    for penalty, error in zip(candidates, found, strict=True):
        strength = penalty * float(gram.diagonal().mean())
        residuals = []
        for left_out in range(18, 30):
            kept = [clip for clip in range(30) if clip != left_out]
            other = Packed.of(every[kept].T @ every[kept])
            weights = ridge_weights(other, every[kept].T @ targets[kept], strength)
            residuals.append(targets[left_out] - every[left_out] @ weights)
        assert error == pytest.approx(float(torch.stack(residuals).square().mean()), rel=1e-10)


def test_a_penalty_that_explains_a_clip_by_itself_alone_is_never_chosen():
    """More channels than clips and hardly any penalty: the leave-one-out residual is 0 / 0."""
    features, targets = torch.eye(3, 5, dtype=torch.float64), one_hot([0, 1, 0], 2)
    gram = Packed.of(features.T @ features)
    errors = leave_one_out_errors(gram, features.T @ targets, lambda: [(features, targets)], (1e-12, 1.0))
    assert errors[0] == float("inf")
    assert np.isfinite(errors[1])


@pytest.mark.parametrize("width", [9, 40])
def test_held_out_errors_are_those_of_a_fit_on_the_first_clips(width: int, monkeypatch: pytest.MonkeyPatch):
    """With fewer features than clips, and with more."""
    monkeypatch.setattr(penalties, "ROWS", 4)
    monkeypatch.setattr(penalties, "COLUMNS", 7)
    draw = torch.Generator().manual_seed(1)
    rows = torch.randn(26, width, generator=draw, dtype=torch.float64)
    targets = one_hot(torch.randint(0, 3, (26,), generator=draw), 3)
    found = held_out_errors(same, width, rows, targets, (0.01, 1.0, 100.0))
    for penalty, error in zip((0.01, 1.0, 100.0), found, strict=True):
        matrix = rows[:20].T @ rows[:20] + penalty * torch.eye(width, dtype=torch.float64)
        weights = torch.linalg.solve(matrix, rows[:20].T @ targets[:20])
        assert error == pytest.approx(float((rows[20:] @ weights - targets[20:]).square().mean()), rel=1e-10)


def test_what_cannot_be_chosen_is_told():
    rows = torch.ones(1, 3, dtype=torch.float64)
    with pytest.raises(InputError, match=r"the task has 1: --set penalty=\.\.\. gives one"):
        held_out_errors(same, 3, rows, rows[:, :1], (1.0,))
    with pytest.raises(InputError, match="none can be solved"):
        best((1.0, 2.0), (float("inf"), float("inf")))
    assert best((1.0, 2.0, 3.0), (0.5, 0.2, 0.2)) == (2.0, 0.2)


def test_penalties_that_are_lost_in_rounding_are_no_candidates():
    """A held-out fit on fewer clips than features can be solved with them, but the whole matrix cannot."""
    rows = 1e3 * torch.randn(30, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gram, moments = Packed.of(rows.T @ rows), rows.T @ torch.ones(30, 1, dtype=torch.float64)
    candidates = solvable(gram, penalties.ABSOLUTE)
    assert candidates == [10.0**power for power in range(-4, 9)]  # the trace is some 6e9
    assert bool(torch.isfinite(ridge_weights(gram, moments, candidates[0])).all())
    with pytest.raises(InputError, match="cannot be solved with penalty 1e-08"):
        ridge_weights(gram, moments, 1e-8)
    assert solvable(gram, (1e-9, 1e-8)) == [1e-8]


def test_a_penalty_that_cannot_be_solved_gives_infinity():
    rows = torch.ones(10, 3, dtype=torch.float64)
    assert held_out_errors(same, 3, rows, rows[:, :1], (0.0, 1.0))[0] == float("inf")
    errors = leave_one_out_errors(
        Packed.of(rows.T @ rows), rows.T @ rows[:, :1], lambda: [(rows, rows[:, :1])], (0.0, 1.0)
    )
    assert errors[0] == float("inf")
    assert np.isfinite(errors[1])
