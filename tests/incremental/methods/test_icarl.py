"""iCaRL against the plain rendering: memory mixed in, old logits distilled, herding, and both readouts."""

import torch
from avcil.benchmarks import plain
from avcil.incremental.methods.icarl import IcarlFc, IcarlNme
from avcil.tests.incremental import parity_methods
from avcil.tests.incremental.cases import Case, cases, check_carried, check_linear_readout, check_run, quick
from avcil.tests.incremental.herded import check_herding, check_nearest_means
from avcil.tests.incremental.parity_methods import agrees
from avcil.tests.incremental.problems import make_problem, nudged, run
from avcil.tests.incremental.replay import PlainBatch, replay
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor


def icarl(batch: PlainBatch, doubled: bool = True) -> Tensor:
    teacher = batch.teacher_logits if batch.task > 1 else None
    return plain.icarl_loss(batch.logits(batch.student), teacher, batch.labels, doubled)


def test_the_losses_are_the_released_ones():
    clips = parity_methods.clips()
    method = parity_methods.student(IcarlFc)
    terms = method.loss(parity_methods.taught(clips, parity_methods.teacher(IcarlFc)))
    agrees(torch.stack(list(terms.values())).sum(), "icarl", "doubled_sigmoid")
    method.task = parity_methods.TASKS[0]
    terms = method.loss(clips)
    assert list(terms) == ["cross_entropy"]
    agrees(terms["cross_entropy"], "icarl", "first_task")


@quick
@given(cases(), st.booleans(), st.booleans())
def test_every_step_is_the_plain_one_with_the_classifier_readout(case: Case, doubled: bool, repeats: bool):
    settings = {"distillation": "doubled-sigmoid" if doubled else "single-sigmoid", "herding_repeats": repeats}
    finished = case.run(nudged(IcarlFc), settings)
    replay(finished, lambda batch: icarl(batch, doubled), afresh=True)
    check_run(finished)
    check_linear_readout(finished)
    check_herding(finished, repeats)


@quick
@given(cases(), st.booleans(), st.booleans())
def test_every_step_is_the_plain_one_with_the_nearest_mean_readout(case: Case, unit: bool, repeats: bool):
    finished = case.run(IcarlNme, {"normalise_means": unit, "herding_repeats": repeats})
    replay(finished, icarl)
    check_carried(finished)
    check_run(finished)
    check_herding(finished, repeats)
    check_nearest_means(finished, unit)


def test_both_readouts_learn_the_same_weights_from_the_same_memory():
    problem = make_problem([2, 2, 1], noise=0.5)
    first, second = (run(kind, problem, model_choice="last", memory_size=10) for kind in (IcarlFc, IcarlNme))
    assert first.progress.memories == second.progress.memories
    for name, tensor in first.tasks[-1].chosen.items():
        assert torch.equal(tensor, second.tasks[-1].chosen[name])


def test_distillation_reaches_the_old_logits_alone_and_none_in_the_first_task():
    finished = run(IcarlFc, make_problem([2, 2]))
    assert all(list(step.terms) == ["cross_entropy"] for steps in finished.tasks[0].steps for step in steps)
    assert all(
        set(step.terms) == {"cross_entropy", "distillation"} for steps in finished.tasks[1].steps for step in steps
    )
