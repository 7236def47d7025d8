"""Feature maps: formulas, columns, and draws that come back from their seed."""

import copy

import numpy as np
import pytest
import torch
from avcil.incremental.learning.closed_form.maps import (
    FourierFeatures,
    KernelFeatures,
    RandomFeatures,
    median_square_distance,
)

Z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def seeded(seed: int, kind: type, *given: object) -> torch.nn.Module:
    torch.manual_seed(seed)
    module: torch.nn.Module = kind(*given)
    return module


@pytest.mark.parametrize(
    ("kind", "given"), [(RandomFeatures, ("normal",)), (RandomFeatures, ("uniform",)), (FourierFeatures, ())]
)
def test_draws_come_from_the_seed_and_are_not_saved(kind: type, given: tuple[str, ...]):
    one, other = seeded(1, kind, 4, 300, *given), seeded(2, kind, 4, 300, *given)
    assert sum(tensor.numel() for tensor in one.state_dict().values()) <= 2
    assert not torch.equal(one(Z), other(Z))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(Z), other(Z))
    assert torch.equal(seeded(1, kind, 4, 300, *given)(Z), one(Z))
    assert torch.equal(copy.deepcopy(one)(Z), one(Z))
    torch.testing.assert_close(one(Z, slice(7, 20)), one(Z)[:, 7:20])


def test_distributions():
    normal = seeded(0, RandomFeatures, 4, 20000, "normal").draws()[0]  # type: ignore[operator]
    assert float(normal.std()) == pytest.approx(1, abs=0.02)
    uniform = seeded(0, RandomFeatures, 4, 20000, "uniform").draws()[0]  # type: ignore[operator]
    assert float(uniform.abs().max()) == pytest.approx(0.5, abs=1e-3)
    assert float(uniform.var()) == pytest.approx(0.25 / 3, rel=0.02)


def test_fourier_features_give_the_gaussian_kernel():
    fourier = seeded(0, FourierFeatures, 4, 100_000)
    fourier.gamma.fill_(0.1)  # type: ignore[operator]
    kernel = torch.exp(-0.1 * torch.cdist(Z, Z).square())
    torch.testing.assert_close(fourier(Z) @ fourier(Z).T, kernel, rtol=0, atol=0.02)


def test_kernel_features_around_fewer_centres_than_there_is_room_for():
    kernel = KernelFeatures(4, 3)
    kernel.set(Z[:2], 1.5)
    expected = np.exp(-((Z[:, None] - Z[None, :2]) ** 2).sum(dim=2).numpy() / (2 * 1.5**2))
    np.testing.assert_allclose(kernel(Z)[:, :2].numpy(), expected, rtol=1e-12)
    assert kernel(Z)[:, 2].tolist() == [0.0] * 5
    torch.testing.assert_close(kernel(Z, slice(1, 3)), kernel(Z)[:, 1:3])


def test_the_median_distance():
    rows = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    draw = torch.Generator().manual_seed(0)
    assert median_square_distance(rows, draw) == 4.0
    assert median_square_distance(rows[:1], draw) == median_square_distance(rows[:1].repeat(3, 1), draw) == 1.0
