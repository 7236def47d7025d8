"""AnaCP: spread means and classifier against their definitions, joint training but for what is drawn."""

from typing import Any

import numpy as np
import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.config import checked
from avcil.incremental.data.tasks import Task
from avcil.incremental.methods.anacp import FLOOR, AnaCpSettings, spread_means
from avcil.tests.incremental.methods.heads import TEST, TRAIN, Asked, head, learn, task_of
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL: dict[str, Any] = {"width": 70, "penalty": 0.5, "pseudo_clips": 7}


def all_clips() -> tuple[Tensor, Tensor]:
    rows, labels = (torch.cat(part) for part in zip(*TRAIN, strict=True))
    return rows, labels


def test_two_means_are_drawn_apart_along_their_difference():
    """With a covariance of the identity a half distance d of the means becomes d + 1 / 2^.5, before unit length."""
    centre, towards = torch.tensor([3.0, 0, 4], dtype=torch.float64), torch.tensor([0.0, 2, 0], dtype=torch.float64)
    means = torch.stack([centre + towards, centre - towards])
    found = spread_means(means, torch.eye(3, dtype=torch.float64))
    half = 2 + 0.5**0.5  # the singular value is 2^.5 times the half distance
    expected = torch.stack([centre + towards * half / 2, centre - towards * half / 2])
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=1), rtol=1e-7, atol=1e-7)


def test_spread_means_written_out_by_numpy():
    draw = np.random.RandomState(3)
    means, factor = draw.randn(4, 6), draw.randn(6, 6)
    covariance = factor @ factor.T / 6
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors @ np.diag((values + 1e-8) ** -0.5) @ vectors.T
    left, lengths, right = np.linalg.svd((means - means.mean(axis=0)) @ whitening, full_matrices=False)
    assert lengths[3] < 1e-10 < lengths[2]
    spread = sum((lengths[i] + 1) * np.outer(left[:, i], right[i]) for i in range(3)) @ whitening + means.mean(axis=0)
    expected = spread / np.linalg.norm(spread, axis=1, keepdims=True)
    found = spread_means(torch.from_numpy(means), torch.from_numpy(covariance))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_one_class_alone_is_its_own_target():
    mean = torch.tensor([[0.0, 3.0, 4.0]], dtype=torch.float64)
    assert spread_means(mean, torch.eye(3, dtype=torch.float64)).tolist() == [[0, 0.6, 0.8]]


@pytest.mark.parametrize("features", ["raw", "standardised"])
def test_after_the_last_task_it_is_what_all_clips_at_once_give(features: str):
    """With what the third task draws."""
    one, joint = head("anacp", **SMALL, features=features), head("anacp", **SMALL, features=features)
    for number, (rows, labels) in enumerate(TRAIN, start=1):
        learn(one, task_of(number), rows, labels)
    joint.grow(Task(1, (0, 6)))
    joint.inputs.freeze(*TRAIN[0])
    rows, labels = all_clips()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    joint.gather(joint.inputs(rows[order]), labels[order])
    asked: Any = Asked(task_of(3))
    joint.fit(rows, labels, asked)
    scores = one.answer(one.inputs(TEST))
    torch.testing.assert_close(joint.answer(joint.inputs(TEST)), scores, rtol=1e-8, atol=1e-8)


def test_the_pooled_covariance_is_that_within_classes_of_unit_vectors():
    one = head("anacp", **SMALL)
    for number, (rows, labels) in enumerate(TRAIN, start=1):
        learn(one, task_of(number), rows, labels)
    rows, labels = all_clips()
    units = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    of_class = [units[(labels == label).numpy()] for label in range(6)]
    expected = sum(np.cov(some.T, ddof=0) * len(some) for some in of_class) / len(units) + FLOOR * np.eye(32)
    np.testing.assert_allclose(one.covariance().numpy(), expected, rtol=1e-10, atol=1e-14)
    assert one.shared.numel() == 0


def test_what_is_saved_goes_on_to_the_same_bits():
    for covariance in ("pooled", "released"):
        one = head("anacp", **SMALL, covariance=covariance)
        learn(one, task_of(1), *TRAIN[0])
        torch.manual_seed(5)
        other = head("anacp", **SMALL, covariance=covariance)
        other.grow(task_of(1))
        other.load_state_dict({name: tensor.clone() for name, tensor in one.state_dict().items()})
        for head_of_two in (one, other):
            learn(head_of_two, task_of(2), *TRAIN[1])
        assert torch.equal(one.answer(TEST), other.answer(TEST))


@pytest.mark.parametrize("given", [{"penalty": 0}, {"projections": 0}, {"pseudo_clips": 0}, {"covariance": "poled"}])
def test_settings_out_of_range(given: dict[str, Any]):
    with pytest.raises(InputError):
        checked(AnaCpSettings, given)
