"""Calibration by hand, and against PyTorch's cross-entropy."""

import math

import numpy as np
import pytest
import torch
from avcil.incremental.results.calibration import (
    expected_calibration_error,
    negative_log_likelihood,
    probabilities,
)


def test_four_clips_by_hand():
    """Two clips at 0.9, one right: gap 0.4; two at 0.6, both right: gap 0.4. 100 (2 x 0.4 + 2 x 0.4) / 4."""
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert expected_calibration_error(shares, np.array([0, 1, 0, 0])) == pytest.approx(40.0)


def test_gaps_of_one_bin_make_up_for_one_another():
    """0.62 right and 0.64 wrong, both in (9/15, 10/15]: accuracy 0.5, confidence 0.63."""
    shares = np.array([[0.62, 0.38], [0.64, 0.36]])
    assert expected_calibration_error(shares, np.array([0, 1])) == pytest.approx(13.0)


def test_certain_and_right_is_calibrated():
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == 100.0


def test_likelihood_and_probabilities_are_those_of_cross_entropy():
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 30
    labels = torch.arange(50) % 7
    expected = float(torch.nn.functional.cross_entropy(logits, labels))
    assert negative_log_likelihood(logits.numpy(), labels.numpy()) == pytest.approx(expected, rel=1e-12)
    assert np.allclose(probabilities(logits.numpy()), logits.softmax(dim=1).numpy(), rtol=1e-12, atol=0)


def test_equal_logits():
    assert negative_log_likelihood(np.zeros((3, 4)), np.array([0, 1, 2])) == pytest.approx(math.log(4))
