"""Grad-CAM maps against finite differences of the logits, and their distillation against finite differences of it.

The reference works in float64, from the logits of the plain heads alone: no derivative is taken but by
differences. Shapes: B clips, L time slices, S tokens, D channels, C classes.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.data.batch import Batch
from avcil.incremental.model.grad_cam import grad_cam_distance, grad_cam_maps
from avcil.incremental.model.heads import Heads, Widths
from avcil.tests.incremental.replay import plain_heads
from torch import Tensor


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """The products here are small: threads would only wait for each other."""


CLIPS, SLICES, TOKENS, CHANNELS, AUDIO, CLASSES = 3, 2, 3, 5, 4, 4
STEP = 1e-4


def heads_of(seed: int) -> Heads:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heads = Heads(Widths(audio=AUDIO, visual=CHANNELS), "audio-visual")
        heads.classifier.widen(CLASSES)
    return heads


def batch_of(seed: int) -> Batch:
    """Rows of a larger store, in another order and with a repeat."""
    draw = torch.Generator().manual_seed(seed)
    store = torch.randn(5, SLICES, TOKENS, CHANNELS, generator=draw)
    return Batch(
        numbers=torch.arange(CLIPS),
        labels=torch.tensor([2, 0, 3]),
        audio=torch.randn(CLIPS, AUDIO, generator=draw),
        store=store,
        rows=torch.tensor([4, 1, 4]),
    )


def in_double(heads: Heads) -> plain.PlainHeads:
    return plain_heads({f"heads.{name}": tensor for name, tensor in heads.state_dict().items()}).double()


@torch.no_grad()
def maps_by_differences(heads: plain.PlainHeads, batch: Batch) -> Tensor:
    """Central differences of each clip's own logit in every number of its tokens. (B, L, S) of unit length."""
    assert batch.store is not None
    visual, audio = batch.store[batch.rows].double(), batch.audio.double()
    gradient = torch.zeros_like(visual)
    for place in range(visual[0].numel()):
        nudge = torch.zeros_like(visual[0]).flatten()
        nudge[place] = STEP
        nudge = nudge.view_as(visual[0])
        up, down = (heads(visual + sign * nudge, audio)[0] for sign in (1, -1))
        own = (up - down).gather(1, batch.labels[:, None])[:, 0] / (2 * STEP)  # (B,)
        gradient.flatten(1)[:, place] = own
    weights = gradient.mean(dim=(1, 2))  # (B, D)
    maps = torch.einsum("bd,blsd->bls", weights, visual).relu()
    return F.normalize(maps.flatten(1), dim=1).view_as(maps)


@pytest.mark.parametrize("seed", range(4))
def test_maps_equal_those_of_finite_differences(seed: int):
    heads, clips = heads_of(seed), batch_of(seed)
    maps = grad_cam_maps(heads, clips)
    assert maps.shape == (CLIPS, SLICES, TOKENS)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    expected = maps_by_differences(in_double(heads), clips)
    torch.testing.assert_close(maps.double(), expected, rtol=1e-4, atol=1e-5)
    assert (expected > 0).any()


def test_maps_are_asked_for_without_gradients_too():
    heads, clips = heads_of(0), batch_of(0)
    with torch.no_grad():
        inside = grad_cam_maps(heads, clips)
    assert torch.equal(inside, grad_cam_maps(heads, clips))
    assert all(weight.grad is None for weight in heads.parameters())


def test_frozen_heads_have_maps():
    heads, clips = heads_of(0), batch_of(0)
    expected = grad_cam_maps(heads, clips)
    assert torch.equal(grad_cam_maps(copy.deepcopy(heads).requires_grad_(False), clips), expected)


def test_distance_by_hand():
    student = torch.tensor([[[0.6, 0.8]], [[1.0, 0.0]]])
    teacher = torch.tensor([[[0.8, 0.6]], [[0.0, 1.0]]])
    assert grad_cam_distance(student, teacher).item() == pytest.approx((0.4 + 2.0) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_distillation_has_the_gradient_of_finite_differences(seed: int):
    """Second derivatives: the slope of the loss along a random direction of every weight of the heads."""
    heads, teacher, clips = heads_of(seed), heads_of(seed + 50), batch_of(seed)
    target = grad_cam_maps(teacher, clips)
    loss = grad_cam_distance(grad_cam_maps(heads, clips, create_graph=True), target)
    loss.backward()
    gradients = plain_heads({f"heads.{n}": _gradient(w) for n, w in heads.named_parameters()}).double().state_dict()

    def distance(along: dict[str, Tensor], step: float) -> float:
        moved = in_double(heads)
        with torch.no_grad():
            for name, weight in moved.named_parameters():
                weight.add_(step * along[name])
        return float(grad_cam_distance(maps_by_differences(moved, clips), target.double()))

    assert loss.item() == pytest.approx(distance({n: torch.zeros_like(g) for n, g in gradients.items()}, 0), rel=1e-4)
    draw = torch.Generator().manual_seed(seed)
    for only in ("audio_projection", "visual_projection", "attention_audio", "attention_visual", "classifier.weight"):
        along = {
            name: torch.randn(gradient.shape, generator=draw, dtype=torch.float64) * name.startswith(only)
            for name, gradient in gradients.items()
        }
        slope = (distance(along, 1e-4) - distance(along, -1e-4)) / 2e-4
        expected = sum(float((along[name] * gradient).sum()) for name, gradient in gradients.items())
        assert slope == pytest.approx(expected, rel=2e-3, abs=2e-4), only
    assert (gradients["classifier.bias"] == 0).all()


def _gradient(weight: Tensor) -> Tensor:
    """The classifier's bias moves no logit's slope, so it has none."""
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def test_a_map_that_relu_cuts_to_nothing_is_zero_with_finite_gradients():
    """Without weights in the classifier no token matters; unit length must not divide by zero."""
    heads, clips = heads_of(0), batch_of(0)
    with torch.no_grad():
        heads.classifier.get_parameter("weight").zero_()
    maps = grad_cam_maps(heads, clips, create_graph=True)
    assert (maps == 0).all()
    grad_cam_distance(maps, grad_cam_maps(heads_of(1), clips)).backward()
    assert all(torch.isfinite(weight.grad).all() for weight in heads.parameters() if weight.grad is not None)
