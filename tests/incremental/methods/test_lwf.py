"""LwF against the plain rendering: no memory, cross-entropy over the new classes, and TKD on the new clips."""

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.methods.lwf import LwF
from avcil.tests.incremental import parity_methods
from avcil.tests.incremental.cases import Case, cases, check_carried, check_linear_readout, check_run, quick
from avcil.tests.incremental.methods.test_fine_tuning import cross_entropy
from avcil.tests.incremental.parity_methods import agrees
from avcil.tests.incremental.problems import make_problem, nudged, run
from avcil.tests.incremental.replay import PlainBatch, replay
from hypothesis import given
from torch import Tensor


def lwf(batch: PlainBatch) -> Tensor:
    if batch.task == 1:
        return cross_entropy(batch)
    return plain.lwf_loss(batch.logits(batch.student), batch.teacher_logits, batch.labels, batch.old_tasks)


def test_the_loss_is_the_released_one():
    six = parity_methods.taught(parity_methods.clips(6), parity_methods.teacher(LwF))
    terms = parity_methods.student(LwF).loss(six)
    agrees(torch.stack(list(terms.values())).sum(), "lwf_first_six_clips")


@quick
@given(cases(fewest_new=2))
def test_every_step_is_the_plain_one(case: Case):
    finished = case.run(nudged(LwF))
    replay(finished, lwf, afresh=True)
    check_run(finished)
    check_linear_readout(finished)


def test_the_next_task_begins_with_the_chosen_weights():
    finished = run(LwF, make_problem([2, 3, 2]))
    replay(finished, lwf)
    check_carried(finished)


def test_all_classes_may_compete_and_the_temperature_and_direction_be_others():
    def loss(batch: PlainBatch) -> Tensor:
        if batch.task == 1:
            return cross_entropy(batch)
        logits = batch.logits(batch.student)
        distilled = plain.task_knowledge_distillation(logits, batch.teacher_logits, batch.old_tasks, 3.0, True)
        return F.cross_entropy(logits, batch.labels) + distilled

    settings = {"temperature": 3.0, "cross_entropy_over": "all-classes", "kl_direction": "student-teacher"}
    finished = run(LwF, make_problem([2, 3, 1]), settings)
    replay(finished, loss)
    assert finished.tasks[2].steps[0][0].loss != pytest.approx(0, abs=0.1)


def test_a_task_of_one_class_has_nothing_to_compete_with():
    """As the published LwF is: cross-entropy over one logit is zero, so such a task is not learnt at all."""
    finished = run(LwF, make_problem([2, 1]), epochs=1, batch_size=5)
    ((step,),) = finished.tasks[1].steps
    assert step.terms["cross_entropy"] == 0
    assert step.terms["task_knowledge_distillation"] == pytest.approx(0, abs=1e-6)
