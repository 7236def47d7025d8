"""SS-IL against the plain rendering: separated softmax (eq. 12) and task distillation (eq. 13)."""

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.data.batch import Recalled
from avcil.incremental.methods.ss_il import SsIl
from avcil.tests.incremental import parity, parity_methods
from avcil.tests.incremental.cases import Case, cases, check_carried, check_linear_readout, check_run, quick
from avcil.tests.incremental.methods.test_fine_tuning import cross_entropy
from avcil.tests.incremental.parity_methods import agrees
from avcil.tests.incremental.problems import make_problem, nudged, run
from avcil.tests.incremental.replay import PlainBatch, replay
from hypothesis import given
from torch import Tensor


def ss_il(batch: PlainBatch, temperature: float = 2.0, student_first: bool = False) -> Tensor:
    if batch.task == 1:
        return cross_entropy(batch)
    logits = batch.logits(batch.student)
    separated = plain.separated_softmax_cross_entropy(logits, batch.labels, batch.new, batch.old_classes)
    return separated + plain.task_knowledge_distillation(
        logits, batch.teacher_logits, batch.old_tasks, temperature, student_first
    )


def test_the_terms_are_the_released_ones():
    clips = parity_methods.taught(parity_methods.clips(), parity_methods.teacher(SsIl))
    terms = parity_methods.student(SsIl).loss(clips)
    agrees(terms["separated_softmax_cross_entropy"], "av_cil", "separated_softmax_cross_entropy")
    distilled = torch.tensor(sum(parity.VALUES["av_cil"]["task_distillation"]))
    torch.testing.assert_close(terms["task_knowledge_distillation"], distilled, rtol=1e-4, atol=0)
    assert len(terms) == 2


@quick
@given(cases(fewest_new=2))
def test_every_step_is_the_plain_one(case: Case):
    finished = case.run(nudged(SsIl))
    replay(finished, ss_il, afresh=True)
    check_run(finished)
    check_linear_readout(finished)


def test_the_next_task_begins_with_the_chosen_weights():
    finished = run(SsIl, make_problem([2, 3, 2]))
    replay(finished, ss_il)
    check_carried(finished)


def test_temperature_and_direction():
    finished = run(SsIl, make_problem([2, 3, 2]), {"temperature": 1.5, "kl_direction": "student-teacher"})
    replay(finished, lambda batch: ss_il(batch, 1.5, True))


def test_the_released_four_by_seven_setting_swaps_the_second_tasks_loss_alone():
    def loss(batch: PlainBatch) -> Tensor:
        if batch.task != 2:
            return ss_il(batch)
        logits = batch.logits(batch.student)
        return F.cross_entropy(logits, batch.labels) + plain.task_knowledge_distillation(
            logits, batch.teacher_logits, batch.old_tasks
        )

    problem = make_problem([2, 2, 2])
    finished = run(SsIl, problem, {"second_task_loss": "plain"})
    replay(finished, loss)
    with pytest.raises(AssertionError, match="task 2"):
        replay(finished, ss_il)


def test_new_clips_do_not_move_old_classes_rows_but_by_distillation():
    """The first step's gradient: teacher and student agree, so SS-CE alone moves, each part in its own rows."""
    clips = parity_methods.clips(6)
    method = parity_methods.student(SsIl)
    same = Recalled({"logits": method.scores(clips).detach()[:, :4]})
    torch.stack(list(method.loss(clips._replace(teacher=same)).values())).sum().backward()
    gradient = method.heads.classifier.get_parameter("weight").grad
    assert gradient is not None
    assert gradient[:4].abs().max() < 1e-5 < gradient[4:].abs().max()
