"""After the last task a head is what it had become from all clips at once, whatever the order, parts and workers."""

import copy
from typing import Any

import pytest
import torch
from avcil.incremental.data.tasks import Task
from avcil.incremental.learning.closed_form import method, penalties
from avcil.tests.incremental.methods.heads import TEST, TRAIN, Asked, head, learn, scores_after, task_of
from avcil.tests.incremental.synthetic import SOLVED
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

ADDITIVE: dict[str, dict[str, Any]] = {
    "ncm": {},
    "slda": {},
    "ridge": {"penalty": 0.01},
    "ranpac": {"penalty": 0.01, "width": 70},
    "acil": {"width": 70},
    "air": {"width": 70},
    "gkeal": {"width": 20},
    "randumb": {"width": 70},
    "klda": {"width": 70},
    "fecam": {"dimensions": 12},
}
"""Every head but three, with what may be chosen by a task's own clips given: DS-AL corrects its second stream by its
first, LoRanPAC cuts after every task, and AnaCP draws anew in every task (`test_anacp.py`)."""


def test_every_head_is_here():
    assert {*ADDITIVE, "ds-al", "loranpac", "anacp"} == set(SOLVED)


def all_clips(seed: int | None = None) -> tuple[Tensor, Tensor]:
    rows, labels = (torch.cat(part) for part in zip(*TRAIN, strict=True))
    order = torch.arange(len(rows))
    if seed is not None:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return rows[order], labels[order]


def at_once(name: str, rows: Tensor, labels: Tensor, **given: Any) -> Any:
    """What the first task fixes is fixed by the first task; sums and solve see all clips together."""
    one = head(name, **given)
    asked: Any = Asked(task_of(1))
    one.grow(Task(1, (0, 6)))
    one.inputs.freeze(*TRAIN[0])
    one.freeze(one.inputs(TRAIN[0][0]), TRAIN[0][1], asked)
    one.gather(one.inputs(rows), labels)
    one.fit(one.inputs(rows), labels, asked)
    return one


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8 * float(other.abs().max()))


@pytest.mark.parametrize("features", ["raw", "standardised", "whitened"])
@pytest.mark.parametrize("name", ADDITIVE)
def test_tasks_are_joint_training(name: str, features: str):
    given = ADDITIVE[name] | {"features": features}
    incremental = head(name, **given)
    scores = scores_after(incremental)[-1]
    joint = at_once(name, *all_clips(seed=1), **given)
    close(scores, joint.answer(joint.inputs(TEST)))
    state = joint.state_dict()
    for key in ("weights", "bias", "means", "factors"):
        if key in state:
            close(incremental.state_dict()[key], state[key])


@pytest.mark.parametrize("name", ADDITIVE)
def test_parts_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch):
    whole = scores_after(head(name, **ADDITIVE[name]))[-1]
    for module in (method, penalties):
        monkeypatch.setattr(module, "ROWS", 3)
    monkeypatch.setattr("avcil.incremental.methods.air.ROWS", 3)
    close(scores_after(head(name, **ADDITIVE[name]))[-1], whole)


@pytest.mark.parametrize("name", [name for name in ADDITIVE if name != "fecam"])
def test_workers_add_their_sums(name: str):
    """Each of three sees a task's clips; AIR and RanDumb weigh a class as a whole, so that it has to be with one."""
    one = head(name, **ADDITIVE[name])
    scores = scores_after(one)[-1]
    shares, shifts = [], []
    for rows, labels in TRAIN:
        worker = head(name, **ADDITIVE[name])
        worker.grow(Task(1, (0, 6)))
        worker.map = copy.deepcopy(one.map)
        worker.gather(rows, labels)
        shares.append(worker.sums)
        shifts.append(getattr(worker, "shift", 0))
    joint = copy.deepcopy(one)
    joint.sums = shares[2] + shares[0] + shares[1]
    if name == "randumb":
        joint.shift = sum(shifts)
    asked: Any = Asked(task_of(3))
    joint.fit(*TRAIN[2], asked)
    close(joint.answer(TEST), scores)


def test_equal_classes_make_air_acil():
    """Same gamma, since the mean weight of classes is 1."""
    rows, labels = all_clips()
    some = torch.cat([torch.nonzero(labels == label).flatten()[:12] for label in range(6)])
    scores = [at_once(name, rows[some], labels[some], width=70).answer(TEST) for name in ("air", "acil")]
    close(*scores)


def test_ds_al_corrects_what_the_main_stream_leaves_of_new_classes():
    one = head("ds-al", width=70)
    scores_after(one)
    main = head("acil", width=70)
    scores_after(main)
    close(one.weights, main.weights)
    assert float(one.second_weights.norm()) > 0
    none = head("ds-al", width=70, compensation=0)
    close(scores_after(none)[-1], scores_after(head("acil", width=70))[-1])


def test_what_is_drawn_is_drawn_again_and_not_saved():
    one = head("ranpac", width=70, penalty=0.01)
    expected = scores_after(one)[-1]
    state = one.state_dict()
    assert state["map.seed"].numel() == 1
    assert not any(tensor.numel() == 32 * 70 for tensor in state.values())
    torch.manual_seed(5)
    other = head("ranpac", width=70, penalty=0.01)
    other.map.seed.fill_(7)
    for number in (1, 2, 3):
        other.grow(task_of(number))
    other.load_state_dict(state)
    assert torch.equal(other.answer(TEST), expected)


def test_more_centres_than_clips_are_left_out():
    few, many = head("gkeal", width=37), head("gkeal", width=60)
    close(scores_after(many)[-1], scores_after(few)[-1])
    assert int(many.map.used) == len(TRAIN[0][0]) == 37


def test_what_was_chosen_is_told():
    one = head("ranpac", width=70)
    figures = learn(one, task_of(1), *TRAIN[0])
    assert figures["absolute_penalty"] in penalties.ABSOLUTE
    assert 0 < figures["held_out_error"] < 1
    figures = learn(head("ranpac", width=70, penalty_choice="leave-one-out"), task_of(1), *TRAIN[0])
    assert figures["penalty"] in penalties.RELATIVE
    assert 0 < learn(head("slda"), task_of(1), *TRAIN[0])["shrinkage"] < 1
