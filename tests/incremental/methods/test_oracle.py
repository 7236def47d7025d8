"""The oracle against the plain rendering: new weights in every task, all clips seen so far."""

import torch
from avcil.incremental.methods.oracle import Oracle
from avcil.tests.incremental.cases import Case, cases, check_linear_readout, check_run, quick
from avcil.tests.incremental.methods.test_fine_tuning import cross_entropy
from avcil.tests.incremental.problems import make_problem, run
from avcil.tests.incremental.replay import replay
from hypothesis import given


@quick
@given(cases())
def test_every_step_is_the_plain_one(case: Case):
    finished = case.run(Oracle)
    replay(finished, cross_entropy, afresh=True)
    check_run(finished)
    check_linear_readout(finished)


def test_every_task_starts_from_weights_of_its_own():
    finished = run(Oracle, make_problem([2, 1, 2]))
    for before, after in zip(finished.tasks, finished.tasks[1:], strict=False):
        for name, tensor in after.initial.items():
            for earlier in (before.initial, before.chosen):
                common = min(len(tensor), len(earlier[name]))
                assert not torch.equal(tensor[:common], earlier[name][:common]), name


def test_old_clips_are_trained_on_as_if_they_were_new():
    finished = run(Oracle, make_problem([2, 1, 2], train=4), batch_size=4, epochs=1)
    labels = finished.problem.table.labels
    for recorded, classes in zip(finished.tasks, (2, 3, 5), strict=True):
        (steps,) = recorded.steps
        assert all(step.new == len(step.numbers) for step in steps)
        assert {int(label) for step in steps for label in labels[step.numbers]} == set(range(classes))
