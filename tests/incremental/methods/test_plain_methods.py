"""The loops that other tests trust, against values worked out by hand and one parity value."""

import math

import numpy as np
import pytest
from avcil.tests.incremental import parity, plain_methods

A = [[0.9], [0.5, 0.8], [0.6, 0.7, 1.0]]
CLIPS = [10, 30, 60]


def test_herding_with_repeats_is_the_released_choice():
    assert plain_methods.herding(parity.herding_features(), 8) == parity.VALUES["herding_with_repeats"]


def test_herding_without_repeats():
    chosen = plain_methods.herding(parity.herding_features(), 20, repeats=False)
    assert sorted(chosen) == list(range(20))
    assert chosen[:7] == parity.VALUES["herding_with_repeats"][:7]


def test_herding_by_hand():
    """On a line with mean 1: the means so far are 1, 0.75, 1.33 and 1; with repeats the 1 is never left."""
    line = np.array([[0.0], [0.5], [1.0], [2.5]])
    assert plain_methods.herding(line, 1) == [2]
    assert plain_methods.herding(line, 9, repeats=False) == [2, 1, 3, 0]
    assert plain_methods.herding(line, 2) == [2, 2]


def test_quota_and_prefix():
    assert plain_methods.quota(340, 7) == 48
    assert plain_methods.quota(3, 4) == 0
    assert plain_methods.prefixes({0: ["a", "b", "c"], 1: ["d"]}, 2) == {0: ["a", "b"], 1: ["d"]}


def test_nearest_mean():
    """Exemplars that lie apart have a short mean: normalised again it wins the clip in between."""
    up, right = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    features = [np.stack([up, right]), np.stack([right])]
    clip = np.array([[math.cos(0.39), math.sin(0.39)]])  # 22.3 degrees: nearest by angle to right, just
    assert plain_methods.nearest_mean(clip, plain_methods.class_means(features)) == [1]
    steep = np.array([[math.cos(0.42), math.sin(0.42)]])  # 24.1 degrees of 45
    assert plain_methods.nearest_mean(steep, plain_methods.class_means(features, renormalised=True)) == [0]
    assert plain_methods.nearest_mean(steep, plain_methods.class_means(features)) == [1]


def test_imprinted_proxies_are_scaled_centres():
    clusters = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    proxies = plain_methods.imprinted_proxies(clusters, np.array([[3.0, 4.0], [0.0, 1.0]]), 2, seed=0)
    assert sorted(proxies.tolist()) == [[0.0, 3.0], [3.0, 0.0]]


def test_mean_accuracy():
    assert plain_methods.seen_accuracies(A, CLIPS) == pytest.approx([0.9, (5 + 24) / 40, (6 + 21 + 60) / 100])
    assert plain_methods.mean_accuracy(A, CLIPS) == pytest.approx((0.9 + 0.725 + 0.87) / 3)


def test_forgetting():
    assert plain_methods.average_forgetting(A) == pytest.approx((0.4 + (0.3 + 0.1) / 2) / 2)
    assert plain_methods.never_negative_forgetting(A) == pytest.approx((0.3 + 0.1) / 2)
    assert plain_methods.first_minus_last(A) == pytest.approx((0.3 + 0.1) / 2)
    assert plain_methods.backward_transfer(A) == pytest.approx(-(0.3 + 0.1) / 2)
    better = [[0.5], [0.7, 0.9]]
    assert plain_methods.average_forgetting(better) == pytest.approx(-0.2)
    assert plain_methods.never_negative_forgetting(better) == 0
    assert plain_methods.first_minus_last(better) == pytest.approx(-0.2)
    assert math.isnan(plain_methods.average_forgetting([[0.5]]))


def test_class_balanced_accuracy():
    assert plain_methods.class_balanced_accuracy([0, 0, 0, 1], [0, 0, 1, 1]) == pytest.approx(0.75)
    assert plain_methods.class_balanced_accuracy([0, 0, 0, 0], [0, 0, 0, 7]) == pytest.approx(0.5)
