"""Counts against formulas, for a step of AV-CIL's model and for a head that is solved."""

from pathlib import Path

import pytest
import torch
from avcil.cache import FeatureCache
from avcil.incremental.learning.closed_form.packed import Packed
from avcil.incremental.model.attention import attention_pool
from avcil.incremental.model.heads import LinearClassifier
from avcil.incremental.model.operations import counted
from avcil.manifests import read_manifest
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made

pytestmark = pytest.mark.usefixtures("one_thread")


def test_attention_counts_the_projection_and_its_gradient():
    """B L S tokens by a (D, D) weight: 2 B L S D^2; as much again for the weight's gradient, none for the store's."""
    store, rows = torch.randn(5, 2, 3, 4), torch.tensor([0, 4, 4])
    gate, weight, bias = torch.randn(3, 4), torch.randn(4, 4), torch.zeros(4)
    before = counted()
    attention_pool(store, rows, gate, weight, bias)
    assert counted() - before == 2 * 3 * 2 * 3 * 16
    before = counted()
    attention_pool(store, rows, gate, weight.requires_grad_(), bias)
    assert counted() - before == 2 * (2 * 3 * 2 * 3 * 16)
    before = counted()
    with torch.no_grad():
        attention_pool(store, rows, gate, weight, bias)
    assert counted() - before == 2 * 3 * 2 * 3 * 16


def test_a_classifier_counts_both_gradients():
    classifier = LinearClassifier(4)
    classifier.widen(3)
    before = counted()
    classifier(torch.randn(5, 4, requires_grad=True))
    assert counted() - before == 3 * (2 * 5 * 4 * 3)


def test_a_solve_by_its_formulas():
    """Gram n M^2, Cholesky M^3 / 3, two triangular solves of C columns."""
    matrix, before = Packed.zeros(6), counted()
    matrix.add_products(torch.randn(20, 6, dtype=torch.float64))
    factor = matrix.factorised()
    factor.solve(torch.randn(6, 2, dtype=torch.float64))
    assert counted() - before == 20 * 36 + 72 + 2 * 36 * 2


def test_a_run_of_one_task_and_one_epoch_by_hand(made: Made, tmp_path: Path):
    """Fine-tuning on sound alone, the last epoch: training clips thrice but for the frozen input's gradient of the
    projection, test clips once; sound of width A to D, D to C."""
    cache = FeatureCache(made.cache)
    cached = [clip for clip in read_manifest(made.manifest).clips if clip.id in cache]
    train, test = (sum(clip.split == split for clip in cached) for split in ("train", "test"))
    (audio,), width = cache.audio_shape, cache.visual_shape[-1]
    classes = 6
    metrics = synthetic.run(
        *(made, "fine-tuning", tmp_path / "out"),
        modality="audio",
        epochs=1,
        classes_per_task=classes,
        model_choice="last",
    )
    projection, classifier = audio * width, width * classes
    trained = train - train % synthetic.SETTINGS["batch_size"]  # an incomplete batch is dropped
    expected = trained * (2 * 2 * projection + 3 * 2 * classifier) + test * 2 * (projection + classifier)
    assert metrics["operations"] == expected
