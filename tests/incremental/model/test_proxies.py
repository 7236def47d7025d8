"""The proxy classifier and the NCA loss: parity values, values by hand, the plain rendering.

Shapes: B clips, D channels, C classes, K proxies a class.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.methods.afc import AfcLsc
from avcil.incremental.model.proxies import ProxyClassifier, nca_loss
from avcil.tests.incremental import parity_methods
from avcil.tests.incremental.parity import LABELS
from avcil.tests.incremental.parity_methods import agrees
from avcil.tests.incremental.problems import gradient_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """The products here are small: threads would only wait for each other."""


quick = settings(deadline=None, max_examples=40, derandomize=True)


def classifier(proxies: Tensor, old: int, per_class: int) -> ProxyClassifier:
    made = ProxyClassifier(proxies.shape[1], per_class)
    made.old_proxies.data, made.new_proxies.data = proxies[:old], proxies[old:]
    return made


# ------------------------------------------------------------------------------------------------- parity


def test_similarities_and_nca_are_the_released_ones():
    method = parity_methods.student(AfcLsc)
    assert isinstance(method, AfcLsc)
    similarities = method.scores(parity_methods.clips())
    agrees(similarities, "afc", "similarities")
    agrees(nca_loss(similarities, LABELS, method.classifier.scale), "afc", "nca")


# ------------------------------------------------------------------------------------------------- by hand


def test_similarity_of_one_proxy_is_minus_the_squared_distance_of_unit_vectors():
    proxies = torch.tensor([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    similarity = classifier(proxies, 1, 1)(torch.tensor([[3.0, 0.0], [1.0, 1.0]]))
    root = math.sqrt(2)
    torch.testing.assert_close(similarity, torch.tensor([[0.0, -2.0, -4.0], [root - 2, root - 2, -root - 2]]))


def test_a_class_sums_its_proxies_by_their_own_softmax():
    """Proxies at similarity 0 and -4: weights 1/(1 + e^-4) and e^-4/(1 + e^-4)."""
    similarity = classifier(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), 0, 2)(torch.tensor([[1.0, 0.0]]))
    assert similarity.item() == pytest.approx(-4 * math.exp(-4) / (1 + math.exp(-4)))


def test_nca_by_hand():
    """Scale 2: z = (0, -1, -4) for the first clip, of class 0, and for the second, of class 1."""
    similarities = torch.tensor([[-1.0, -1.5, -3.0]] * 2)
    loss = nca_loss(similarities, torch.tensor([0, 1]), 2.0)
    first = math.log(1 + math.exp(-1) + math.exp(-4))
    second = 1 + math.log(1 + 1 + math.exp(-4))
    assert loss.item() == pytest.approx((first + second) / 2)


def test_the_released_margin_cancels_and_the_papers_takes_from_the_target_alone():
    similarities, labels = torch.tensor([[1.0, 0.5]]), torch.tensor([0])
    assert nca_loss(similarities - 0.6, labels, 2.0).item() == pytest.approx(nca_loss(similarities, labels, 2.0).item())
    # z = 2 (0.4, 0.5) - 1.0 = (-0.2, 0).
    assert nca_loss(similarities, labels, 2.0, margin=0.6).item() == pytest.approx(0.2 + math.log(2))


def test_one_class_alone_has_finite_loss_and_gradient():
    similarities = torch.tensor([[-1.0], [-2.0]], requires_grad=True)
    loss = nca_loss(similarities, torch.tensor([0, 0]), torch.ones((), requires_grad=True))
    assert loss.item() == 0
    loss.backward()
    assert torch.isfinite(gradient_of(similarities)).all()


def test_a_zero_feature_has_finite_similarity_and_gradient():
    features = torch.zeros(1, 3, requires_grad=True)
    similarity = classifier(torch.eye(3), 0, 3)(features)
    assert similarity.item() == pytest.approx(-2)
    similarity.sum().backward()
    assert torch.isfinite(gradient_of(features)).all()


# -------------------------------------------------------------------------------- the plain rendering, random


@quick
@given(
    st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(2, 8), st.floats(0.1, 5), st.integers(0, 999)
)
def test_similarities_losses_and_gradients_equal_the_plain_ones(
    batch: int, classes: int, per_class: int, channels: int, scale: float, seed: int
):
    draw = torch.Generator().manual_seed(seed)
    proxies = torch.randn(classes * per_class, channels, generator=draw)
    features = torch.randn(batch, channels, generator=draw)
    labels = torch.randint(classes, (batch,), generator=draw)
    results = []
    for margin in (0.0, 0.6):
        for production in (True, False):
            leaf = features.clone().requires_grad_()
            weight = torch.tensor(scale, requires_grad=True)
            if production:
                similarities = classifier(proxies, classes // 2 * per_class, per_class)(leaf)
                loss = nca_loss(similarities, labels, weight, margin)
            else:
                similarities = plain.proxy_similarity(leaf, proxies, per_class)
                loss = plain.nca_loss(similarities, labels, weight, margin)
            loss.backward()
            results.append((similarities, loss, leaf.grad, weight.grad))
    for ours, theirs in (results[:2], results[2:]):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


# ------------------------------------------------------------------------------------------------ widening


def test_widening_freezes_what_there_is_and_starts_the_scale_anew():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = ProxyClassifier(6, 3)
        made.widen(2)
        assert made.old_proxies.shape == (0, 6)
        assert made.new_proxies.shape == (6, 6)
        first = made.new_proxies.detach().clone()
        made.scale.data.fill_(4.0)
        made.widen(5)
    assert torch.equal(made.old_proxies, first)
    assert made.new_proxies.shape == (9, 6)
    assert made.scale.item() == 1
    trained = {name for name, weight in made.named_parameters() if weight.requires_grad}
    assert trained == {"new_proxies", "scale"}
    made.new_proxies.data.fill_(0)
    assert torch.equal(made.old_proxies, first)  # no view of what is trained


def test_new_proxies_are_normal_with_variance_of_one_over_the_channels():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = ProxyClassifier(64, 10)
        made.widen(100)
    drawn = made.new_proxies.detach()
    assert drawn.mean().item() == pytest.approx(0, abs=0.002)
    assert drawn.std().item() == pytest.approx(1 / 8, rel=0.01)
    assert (F.normalize(drawn, dim=1).abs() > 0.45).any()  # not uniform


def test_a_frozen_copy_draws_proxies_of_its_own():
    """A teacher's fresh proxies are not the student's: they only serve to work out importances."""
    teacher, student = parity_methods.teacher(AfcLsc), parity_methods.student(AfcLsc)
    assert isinstance(teacher, AfcLsc) and isinstance(student, AfcLsc)
    assert teacher.classifier.proxies.shape == student.classifier.proxies.shape
    assert not torch.equal(teacher.classifier.new_proxies, student.classifier.new_proxies)
    assert not any(weight.requires_grad for weight in teacher.parameters())
