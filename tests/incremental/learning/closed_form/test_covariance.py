"""Shrinkage against scikit-learn's, and the inverse root."""

import numpy as np
import pytest
import torch
from avcil.incremental.learning.closed_form.covariance import inverse_root, oas, oas_shrinkage, within_class
from sklearn.covariance import OAS


@pytest.mark.parametrize("clips", [4, 30, 400])
def test_oas_is_scikit_learns(clips: int):
    rows = np.random.RandomState(0).randn(clips, 12) * np.linspace(0.5, 3, 12)
    expected = OAS(assume_centered=True).fit(rows)
    covariance = torch.from_numpy(rows.T @ rows / clips)
    np.testing.assert_allclose(oas(covariance, clips).numpy(), expected.covariance_, rtol=1e-12, atol=1e-13)
    shrinkage = oas_shrinkage(float(covariance.square().sum()), float(covariance.trace()), 12, clips)
    assert shrinkage == pytest.approx(expected.shrinkage_, rel=1e-12)


def test_a_multiple_of_the_identity_is_left_as_it_is():
    assert oas_shrinkage(3 * 4.0, 3 * 2.0, 3, 10) == 1.0


def test_the_inverse_root_whitens_and_leaves_out_what_has_no_spread():
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows[:, 5] = 0
    covariance = rows.T @ rows / 50
    root = inverse_root(covariance)
    expected = torch.diag(torch.tensor([1.0] * 5 + [0.0], dtype=torch.float64))
    torch.testing.assert_close(root @ covariance @ root, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(root, root.T, rtol=0, atol=1e-12)


def test_rows_lose_the_mean_of_their_class():
    rows = torch.tensor([[1.0], [3.0], [10.0]], dtype=torch.float64)
    assert within_class(rows, torch.tensor([2, 2, 0])).tolist() == [[-1.0], [1.0], [0.0]]
