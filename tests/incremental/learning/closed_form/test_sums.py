"""Sums in parts, in any order and by several workers are those of all clips at once."""

import pytest
import torch
from avcil.incremental.learning.closed_form.sums import ClassSums
from torch import Tensor

DRAW = torch.Generator().manual_seed(0)
ROWS = 100 + torch.randn(30, 5, generator=DRAW, dtype=torch.float64)
LABELS = torch.randint(0, 3, (30,), generator=DRAW)


def summed(rows: Tensor, labels: Tensor, *, centred: bool, part: int = 30, classes: int = 4) -> ClassSums:
    sums = ClassSums(5, centred=centred)
    sums.grow(classes)
    for begin in range(0, len(rows), part):
        sums.add(rows[begin : begin + part], labels[begin : begin + part])
    return sums


def same(one: ClassSums, other: ClassSums) -> None:
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name], rtol=1e-12, atol=1e-12)


def test_they_are_what_they_say():
    sums = summed(ROWS, LABELS, centred=False, part=7)
    torch.testing.assert_close(sums.matrix.dense(), ROWS.T @ ROWS, rtol=1e-13, atol=0)
    scatter = summed(ROWS, LABELS, centred=True, part=7)
    means = torch.stack([ROWS[label == LABELS].mean(dim=0) for label in range(3)])
    inner = ROWS - means[LABELS]
    torch.testing.assert_close(scatter.matrix.dense(), inner.T @ inner, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(scatter.means[:3], means, rtol=1e-13, atol=0)
    assert scatter.means[3].tolist() == [0.0] * 5  # a class without clips
    assert sums.clips == 30
    assert sums.counts.tolist() == [*torch.bincount(LABELS).tolist(), 0]


@pytest.mark.parametrize("centred", [False, True])
def test_parts_order_and_workers_change_nothing(centred: bool):
    whole = summed(ROWS, LABELS, centred=centred)
    order = torch.randperm(30, generator=DRAW)
    same(summed(ROWS[order], LABELS[order], centred=centred, part=1), whole)
    parts = [summed(ROWS[n::3], LABELS[n::3], centred=centred, part=4) for n in range(3)]
    same(parts[0] + parts[1] + parts[2], whole)
    same(parts[2] + (parts[1] + parts[0]), whole)


def test_weights_are_of_second_moments_alone_and_of_whole_classes():
    weights = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)[LABELS]
    sums = ClassSums(5)
    sums.grow(3)
    sums.add(ROWS, LABELS, weights)
    torch.testing.assert_close(sums.matrix.dense(), ROWS.T @ (weights[:, None] * ROWS), rtol=1e-12, atol=0)
    assert sums.clips == 30
    scatter = summed(ROWS, LABELS, centred=True)
    with pytest.raises(ValueError, match="has to come whole"):
        scatter.add(ROWS, LABELS, weights)


def test_sums_of_other_features_cannot_be_added():
    with pytest.raises(ValueError, match="cannot be added"):
        summed(ROWS, LABELS, centred=True) + summed(ROWS, LABELS, centred=False)
