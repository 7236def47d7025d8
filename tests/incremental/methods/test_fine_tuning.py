"""Fine-tuning against the plain rendering: cross-entropy over all classes so far, on the new clips alone."""

import torch.nn.functional as F
from avcil.incremental.methods.fine_tuning import FineTuning
from avcil.tests.incremental import parity_methods
from avcil.tests.incremental.cases import Case, cases, check_carried, check_linear_readout, check_run, quick
from avcil.tests.incremental.parity_methods import agrees
from avcil.tests.incremental.replay import PlainBatch, replay
from hypothesis import given
from torch import Tensor


def cross_entropy(batch: PlainBatch) -> Tensor:
    return F.cross_entropy(batch.logits(batch.student), batch.labels)


def test_the_loss_is_the_released_one():
    terms = parity_methods.student(FineTuning).loss(parity_methods.clips())
    assert list(terms) == ["cross_entropy"]
    agrees(terms["cross_entropy"], "fine_tuning")


@quick
@given(cases())
def test_every_step_is_the_plain_one(case: Case):
    finished = case.run(FineTuning)
    replay(finished, cross_entropy)
    check_run(finished)
    check_linear_readout(finished)
    check_carried(finished)
    assert all(recorded.teacher is None for recorded in finished.tasks)
