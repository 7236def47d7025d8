"""A packed matrix against the dense one, with panels that do and do not come out even."""

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.learning.closed_form import packed
from avcil.incremental.learning.closed_form.packed import NotPositive, Packed, penalised


@pytest.fixture(autouse=True, params=[1, 3, 4, 100])
def panel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "PANEL", request.param)


def rows(clips: int = 20, width: int = 12) -> torch.Tensor:
    return torch.randn(clips, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_it_is_the_dense_matrix():
    made = Packed.zeros(12)
    for part in rows().split(7):
        made.add_products(part)
    made.add_diagonal(0.5)
    whole = rows().T @ rows() + 0.5 * torch.eye(12, dtype=torch.float64)
    close(made.dense(), whole)
    close(Packed.of(whole).flat, made.flat) if packed.PANEL == 1 else close(Packed.of(whole).dense(), whole)
    close(made.diagonal(), whole.diagonal())
    assert made.trace() == pytest.approx(float(whole.trace()))
    assert made.square_sum() == pytest.approx(float(whole.square().sum()))


def test_it_is_solved_and_left_as_it_was():
    whole, right = rows().T @ rows(), rows(12, 5)
    made = Packed.of(whole)
    factor = penalised(made, 0.1, "advice")
    shifted = whole + 0.1 * torch.eye(12, dtype=torch.float64)
    close(factor.solve(right), torch.linalg.solve(shifted, right))
    close(factor.half_solve(right), torch.linalg.solve(torch.linalg.cholesky(shifted), right))
    close(made.dense(), whole)


def test_what_cannot_be_factorised_is_told_with_penalty_condition_and_advice(monkeypatch: pytest.MonkeyPatch):
    made = Packed.of(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64))
    with pytest.raises(InputError, match=r"penalty 1e-08: the condition number is 3\.0e\+00; do this$"):
        penalised(made, 1e-8, "do this")
    monkeypatch.setattr(packed, "EXACT", 1)
    with pytest.raises(InputError, match=r"the condition number is over 2e\+15; do this$"):
        penalised(made, 1e-8, "do this")
    with pytest.raises(NotPositive):
        made.copy().factorised()
    made.flat[0] = torch.inf
    with pytest.raises(InputError, match="the sums are not finite"):
        penalised(made, 1.0, "do this")


def test_numbers_of_another_size_are_refused():
    with pytest.raises(ValueError, match="packed matrix of 12 rows"):
        Packed(torch.zeros(5, dtype=torch.float64), 12)
