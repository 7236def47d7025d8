"""The bare arithmetic that closed-form heads are timed against does what the heads do."""

import numpy as np
import pytest
import torch
from avcil.benchmarks import bare_heads
from avcil.benchmarks.closed_form import HEADS
from avcil.tests.incremental.methods.heads import CLIPS, TRAIN, head, scores_after

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def accuracies(name: str) -> list[float]:
    rows, labels = (torch.from_numpy(part) for part in CLIPS.test)
    tests = list(zip(rows.split(20), labels.split(20), strict=True))
    return bare_heads.run(name, [(rows.float(), labels) for rows, labels in TRAIN], tests, 30)


@pytest.mark.parametrize("name", ["ncm", "slda", "ridge", "fecam"])
def test_without_random_draws_accuracies_are_the_heads(name: str):
    labels = np.repeat(np.arange(6), 10)
    scores = scores_after(head(name, features="standardised"))
    expected = [np.mean(part.argmax(dim=1).numpy() == labels[: len(part)]) for part in scores]
    np.testing.assert_allclose(accuracies(name), expected)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns(name: str):
    assert all(accuracy > 1.5 / (2 * number) for number, accuracy in enumerate(accuracies(name)[1:], start=2))


def test_the_released_way_chooses_as_the_dual_form_does():
    rows, labels = TRAIN[2]
    mapped = bare_heads.features("ranpac", 64, rows)
    standardised = (rows - rows.mean(dim=0)) / rows.std(dim=0)
    targets = torch.nn.functional.one_hot(labels).double()
    assert bare_heads.direct(rows, labels, 64) == bare_heads.held_out(mapped(standardised), targets)
