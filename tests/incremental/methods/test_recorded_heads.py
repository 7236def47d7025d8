"""Closed-form heads give the scores that their authors' implementations were recorded to give, random draws given."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.config import checked
from avcil.incremental.data.tasks import Task
from avcil.incremental.learning.closed_form.maps import RandomFeatures
from avcil.incremental.learning.closed_form.packed import penalised
from avcil.incremental.learning.closed_form.penalties import ABSOLUTE, best, held_out_errors, ridge_weights
from avcil.incremental.learning.closed_form.sums import ClassSums
from avcil.incremental.methods.fecam import Fecam
from avcil.tests.incremental.methods.heads import (
    NORMAL,
    TEST,
    TRAIN,
    UNIFORM,
    drawn,
    head,
    learn,
    scores_after,
    task_of,
)
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

RECORDED: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "data" / "analytic.json").read_text()
)["heads"]


def agree(name: str, scores: Sequence[Tensor], tolerance: float = 1e-8) -> None:
    """Scores after each task are those recorded, to a part of the largest."""
    for found, expected in zip(scores, RECORDED[name], strict=True):
        first = np.array(expected["scores_first_rows"])
        np.testing.assert_allclose(found[:5].numpy(), first, rtol=tolerance, atol=tolerance * np.abs(first).max())
        assert float(found.norm()) == pytest.approx(expected["scores_norm"], rel=tolerance)
        assert found.argmax(dim=1).tolist() == expected["predictions"]


def test_ncm():
    agree("ncm_cosine", scores_after(head("ncm")))


@pytest.mark.parametrize(("name", "width"), [("ridge_float64", 32), ("ranpac_float64", 64)])
def test_ridge_and_ranpac_with_the_held_out_rule(name: str, width: int):
    """Clips in their order of arrival, which the released code takes and a run shuffles."""
    projection = RandomFeatures(32, 64, "normal")
    projection.use(NORMAL)

    def features(rows: Tensor, columns: slice = slice(None)) -> Tensor:
        return projection(rows, columns) if width == 64 else rows[:, columns]

    sums, scores = ClassSums(width), []
    for number, ((rows, labels), expected) in enumerate(zip(TRAIN, RECORDED[name], strict=True), start=1):
        sums.grow(2 * number)
        sums.add(features(rows), labels)
        targets = torch.nn.functional.one_hot(labels, 6).double()
        errors = held_out_errors(features, width, rows, targets, ABSOLUTE)
        # The recorded ones lose digits at the smallest penalties, where fewer clips are fitted than there are features.
        np.testing.assert_allclose(errors[4:], expected["validation_mse"][4:], rtol=1e-7)
        np.testing.assert_allclose(errors[:4], expected["validation_mse"][:4], rtol=1e-3)
        ridge, _ = best(ABSOLUTE, errors)
        assert ridge == expected["ridge"]
        scores.append(features(TEST[: 20 * number]) @ ridge_weights(sums.matrix, sums.totals.T, ridge))
    agree(name, scores)


@pytest.mark.parametrize(("name", "recorded"), [("acil", "acil"), ("acil", "acil_batches_of_16"), ("air", "air")])
def test_acil_and_air(name: str, recorded: str):
    one = head(name, width=64)
    one.map.use(UNIFORM)
    agree(recorded, scores_after(one))


def test_ds_al():
    one = head("ds-al", width=64)
    one.map.use(UNIFORM)
    agree("dsal", scores_after(one))


def test_loranpac():
    """64 features of 37, 72 and 112 clips, a quarter of the directions cut after each task."""
    one = head("loranpac", width=64)
    one.map.use(NORMAL)
    scores = []
    for number, ((rows, labels), expected) in enumerate(zip(TRAIN, RECORDED["loranpac_float64"], strict=True), start=1):
        assert learn(one, task_of(number), rows, labels) == {"directions": expected["kept"]}
        scores.append(one.answer(TEST[: 20 * number]))
        lengths = one.lengths
        found = float(lengths[0]), float(lengths[-1]), float(lengths.sum())
        assert found == pytest.approx([expected[f"singular_{which}"] for which in ("first", "last", "sum")], rel=1e-9)
    agree("loranpac_float64", scores)


def normal_numbers_of(draws: np.random.RandomState) -> Callable[..., Tensor]:
    return lambda count, context: torch.from_numpy(draws.randn(count, 32))


def test_anacp(monkeypatch: pytest.MonkeyPatch):
    """With the released running covariance; 20 pseudo-clips a class."""
    one = head("anacp", width=64, penalty=1, pseudo_clips=20, covariance="released")
    for lift, numbers in zip(one.maps, drawn(5).randn(3, 64, 32), strict=True):
        lift.use(torch.from_numpy(numbers.T.copy()))
    one.last_map.use(NORMAL)
    scores = []
    for number, ((rows, labels), expected) in enumerate(
        zip(TRAIN, RECORDED["anacp_float64_null_dropped"], strict=True), start=1
    ):
        draws = drawn(19 + number)
        monkeypatch.setattr(one, "normal_numbers", normal_numbers_of(draws))
        learn(one, task_of(number), rows, labels)
        scores.append(one.answer(TEST[: 20 * number]))
        norms = [float(theta.norm()) for theta in one.projecting]
        assert norms == pytest.approx(expected["head_theta_norms"], rel=1e-9)
        assert float(one.shared.trace()) == pytest.approx(expected["shared_covariance_trace"], rel=1e-12)
        assert float(one.weights.norm()) == pytest.approx(expected["theta_norm"], rel=1e-9)
    agree("anacp_float64_null_dropped", scores)


def test_gkeal_with_the_released_centres_and_sigma():
    agree("gkeal", scores_after(head("gkeal", width=24, centres="first", sigma=10.0)))


def test_slda():
    agree("slda_exact", scores_after(head("slda")))
    agree("slda_released_float64", scores_after(head("slda", covariance="released")))


def randumb_draws() -> tuple[Tensor, Tensor]:
    draw = drawn(6)
    omega = draw.normal(size=(32, 64))
    return torch.from_numpy(omega), torch.from_numpy(draw.uniform(0, 2 * np.pi, size=64))


def as_scikit_learn(scores: Tensor) -> Tensor:
    """With two classes it has one column, their difference d: recorded as (-d, d)."""
    difference = scores[:, 1] - scores[:, 0]
    return torch.stack([-difference, difference], dim=1) if scores.shape[1] == 2 else scores


def test_randumb_on_all_clips_at_once_as_released():
    """The kernel's width is then that of all clips."""
    scores = []
    for number in (1, 2, 3):
        rows, labels = (torch.cat(part) for part in zip(*TRAIN[:number], strict=True))
        one = head("randumb", width=64)
        one.map.use(*randumb_draws())
        learn(one, Task(1, (0, 2 * number)), rows, labels)
        assert float(one.map.gamma) == pytest.approx(RECORDED["randumb_joint"][number - 1]["embedding_gamma"], rel=1e-9)
        scores.append(as_scikit_learn(one.answer(TEST[: 20 * number])))
    agree("randumb_joint", scores)


def test_randumb_with_the_kernel_of_the_first_task():
    one = head("randumb", width=64)
    one.map.use(*randumb_draws())
    scores = scores_after(one)
    agree("randumb_gamma_of_task_1", [as_scikit_learn(scores[0]), *scores[1:]])


@pytest.mark.parametrize(
    ("name", "width", "offsets", "ridge"),
    [("klda_ridge_float64", 64, (7, 8), 1e-3), ("klda_float64", 32, (3, 4), 0.0)],
)
def test_klda(name: str, width: int, offsets: tuple[int, int], ridge: float):
    """The recorded distances, of which a head leaves out h^T P h, the same for all classes."""
    one = head("klda", width=width, kernel_gamma=0.003, scatter="sum", ridge=ridge)
    omega, phase = drawn(offsets[0]).randn(32, width), 2 * np.pi * drawn(offsets[1]).rand(width)
    one.map.use(torch.from_numpy(omega), torch.from_numpy(phase))
    scores = []
    for number, linear in enumerate(scores_after(one), start=1):
        sums = ClassSums(width, centred=True)
        sums.grow(6)
        for rows, labels in TRAIN[:number]:
            sums.add(one.map(rows), labels)
        lengths = penalised(sums.matrix, ridge, "").half_solve(one.map(TEST[: 20 * number]).T).square().sum(dim=0)
        scores.append(2 * linear - lengths[:, None])
    agree(name, scores, 1e-6)


def test_klda_as_first_released_cannot_be_solved_with_fewer_clips_than_features():
    one = head("klda", width=64, scatter="sum", ridge=0.0)
    with pytest.raises(InputError, match=r"penalty 0: the condition number is .*; raise it"):
        scores_after(one)


def test_fecam():
    agree("fecam_vit", scores_after(head("fecam", dimensions=None)), 1e-8)
    absolute = [(rows.abs(), labels) for rows, labels in TRAIN]
    one = head("fecam", dimensions=None, form="resnet")
    agree("fecam_resnet_abs", scores_after(one, absolute, TEST.abs()), 1e-5)


def test_fecam_where_it_cannot_be_had():
    with pytest.raises(InputError, match="some are negative: take form=vit"):
        scores_after(head("fecam", dimensions=None, form="resnet"))
    with pytest.raises(InputError, match="needs features=raw and dimensions=none"):
        checked(Fecam.Settings, {"form": "resnet"})
    one = head("fecam")
    with pytest.raises(InputError, match="class number 1 has one"):
        learn(one, task_of(1), TEST[:3], torch.tensor([0, 0, 1]))
