"""The heads: parity values, the plain rendering on random shapes, and widening.

Shapes: B clips, N clips in the store, L time slices, S tokens, D channels, C classes.
"""

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.incremental.data.batch import Batch
from avcil.incremental.data.tasks import Task
from avcil.incremental.methods.av_cil import AvCil
from avcil.incremental.methods.fine_tuning import FineTuning
from avcil.incremental.model.heads import HeadOutputs, Heads, LinearClassifier, Widths
from avcil.tests.incremental import parity_methods
from avcil.tests.incremental.parity import NEW_CLIPS
from avcil.tests.incremental.parity_methods import agrees
from avcil.tests.incremental.problems import gradient_of
from avcil.tests.incremental.replay import plain_heads
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """The products here are small: threads would only wait for each other."""


quick = settings(deadline=None, max_examples=30, derandomize=True)


# ------------------------------------------------------------------------------------------------- parity


def test_forward_is_the_released_one():
    outputs: HeadOutputs = parity_methods.student(AvCil).heads(parity_methods.clips(), maps_from=0)
    assert outputs.audio is not None and outputs.visual is not None
    assert outputs.log_spatial is not None and outputs.log_temporal is not None
    agrees(outputs.logits, "forward", "logits")
    agrees(outputs.fused.norm(dim=1), "forward", "fused_norms")
    agrees(F.normalize(outputs.audio)[:, :5], "forward", "audio_normalised_first_5")
    agrees(F.normalize(outputs.visual)[:, :5], "forward", "visual_normalised_first_5")
    spatial = outputs.log_spatial.exp()
    agrees(spatial[0, 0, :, :5], "forward", "spatial_clip_0_slice_0_channels_0_to_4")
    agrees(outputs.log_temporal.exp()[0, :, :5], "forward", "temporal_clip_0_channels_0_to_4")
    agrees(spatial.sum(), "forward", "spatial_sum")


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_one_modality_is_the_released_one(modality):
    method = parity_methods.student(FineTuning, modality)
    agrees(method.scores(parity_methods.clips()), f"{modality}_only_logits")
    assert not hasattr(method.heads, "visual_attention")
    outputs = method.heads(parity_methods.clips())
    assert (outputs.audio is None) == (modality == "visual")
    assert (outputs.visual is None) == (modality == "audio")
    assert outputs.log_temporal is None


def test_maps_are_given_for_the_clips_asked_for():
    method = parity_methods.student(AvCil)
    every = method.heads(parity_methods.clips(), maps_from=0)
    some = method.heads(parity_methods.clips(), maps_from=NEW_CLIPS)
    assert torch.equal(some.log_spatial, every.log_spatial[NEW_CLIPS:])
    assert torch.equal(some.log_temporal, every.log_temporal)
    assert method.heads(parity_methods.clips()).log_spatial is None


# -------------------------------------------------------------------------------- the plain rendering, random


def random_heads(widths: Widths, modality, classes: int, seed: int) -> Heads:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heads = Heads(widths, modality)
        heads.classifier.widen(classes)
    return heads


def random_clips(shape: tuple[int, int, int, int, int], batch: int, seed: int) -> tuple[Batch, Tensor, Tensor]:
    """A batch from a store of `shape` (N, L, S, D, D_audio), in any order and with repeats, and its features."""
    held, slices, tokens, channels, audio_channels = shape
    draw = torch.Generator().manual_seed(seed)
    store = torch.randn(held, slices, tokens, channels, generator=draw)
    rows = torch.randint(held, (batch,), generator=draw)
    audio = torch.randn(batch, audio_channels, generator=draw)
    labels = torch.zeros(batch, dtype=torch.int64)
    clips = Batch(torch.arange(batch), labels, audio, store, rows, store[rows].mean(dim=(1, 2)), new=batch)
    return clips, store[rows], audio


SHAPES = st.tuples(*[st.integers(1, 5)] * 3, st.integers(2, 9), st.integers(2, 9))


@quick
@given(SHAPES, st.integers(1, 7), st.integers(1, 6), st.integers(0, 999))
def test_outputs_and_gradients_equal_the_plain_ones(shape, batch: int, classes: int, seed: int):
    """Through all five outputs at once, each weighed by random numbers."""
    clips, visual, audio = random_clips(shape, batch, seed)
    heads = random_heads(Widths(audio=shape[4], visual=shape[3]), "audio-visual", classes, seed)
    reference = plain_heads({f"heads.{name}": tensor for name, tensor in heads.state_dict().items()})
    outputs = heads(clips, maps_from=batch // 2)
    logits, features = reference(visual, audio)
    pairs = [
        (outputs.logits, logits),
        (outputs.fused, features.fused),
        (outputs.audio, features.audio),
        (outputs.visual, features.visual),
        (outputs.pooled, features.pooled),
        (outputs.log_temporal, features.temporal.log()),
        (outputs.log_spatial, features.spatial[batch // 2 :].log()),
    ]
    draw = torch.Generator().manual_seed(seed)
    sums = [torch.zeros(()), torch.zeros(())]
    for pair in pairs:
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)
        weights = torch.randn(pair[0].shape, generator=draw)
        sums = [total + (weights * each).sum() for total, each in zip(sums, pair, strict=True)]
    for total in sums:
        total.backward()
    ours = plain_heads({f"heads.{name}": gradient_of(weight) for name, weight in heads.named_parameters()}).state_dict()
    for name, weight in reference.named_parameters():
        torch.testing.assert_close(ours[name], weight.grad, rtol=1e-3, atol=1e-4)


@quick
@given(SHAPES, st.integers(1, 7), st.sampled_from(["audio", "visual"]), st.integers(0, 999))
def test_one_modality_equals_the_plain_one(shape, batch: int, modality, seed: int):
    clips, visual, audio = random_clips(shape, batch, seed)
    heads = random_heads(Widths(audio=shape[4], visual=shape[3]), modality, 3, seed)
    reference = plain_heads({f"heads.{name}": tensor for name, tensor in heads.state_dict().items()})
    outputs = heads(clips)
    expected = reference.audio_feature(audio) if modality == "audio" else reference.visual_feature(visual)
    torch.testing.assert_close(outputs.fused, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outputs.logits, reference.classifier(expected), rtol=1e-4, atol=1e-5)


def test_attention_maps_are_distributions():
    clips, _, _ = random_clips((3, 2, 4, 6, 5), 4, 0)
    outputs = random_heads(Widths(5, 6), "audio-visual", 2, 0)(clips, maps_from=0)
    torch.testing.assert_close(outputs.log_spatial.exp().sum(dim=2), torch.ones(4, 2, 6))
    torch.testing.assert_close(outputs.log_temporal.exp().sum(dim=1), torch.ones(4, 6))


def test_a_silent_gate_attends_evenly():
    """With a gate of zero both softmaxes are even, and the pooling is the mean of all raw tokens."""
    clips, visual, _ = random_clips((3, 2, 4, 6, 5), 4, 1)
    heads = random_heads(Widths(5, 6), "audio-visual", 2, 1)
    with torch.no_grad():
        heads.audio_attention.weight.zero_()
        heads.audio_attention.bias.zero_()
    torch.testing.assert_close(heads(clips).pooled, visual.mean(dim=(1, 2)))


# ------------------------------------------------------------------------------------------------ widening


@quick
@given(st.integers(1, 64), st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(0, 999))
def test_widening_keeps_old_rows_and_draws_new_ones_as_pytorch_does(channels: int, tasks: list[int], seed: int):
    classifier, classes = LinearClassifier(channels), 0
    for new in tasks:
        before = classifier.weight.detach().clone(), classifier.bias.detach().clone()
        classes += new
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            classifier.widen(classes)
            torch.manual_seed(seed)
            fresh = torch.nn.Linear(channels, classes)
        old = classes - new
        assert torch.equal(classifier.weight[:old], before[0])
        assert torch.equal(classifier.bias[:old], before[1])
        assert torch.equal(classifier.weight[old:], fresh.weight[old:])
        assert torch.equal(classifier.bias[old:], fresh.bias[old:])
        assert classifier.weight.abs().max() <= channels**-0.5
    assert all(weight.requires_grad for weight in classifier.parameters())


def test_a_new_task_widens_the_classifier_alone():
    method = FineTuning(FineTuning.Settings(), Widths(5, 6), "audio-visual")
    method.grow(Task(1, (0, 2)))
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    method.grow(Task(2, (0, 2, 3)))
    for name, tensor in method.state_dict().items():
        assert torch.equal(tensor[: len(before[name])], before[name])
        assert ("classifier" in name) == (len(tensor) != len(before[name]))


def test_every_linear_map_of_the_heads_has_a_bias_and_ends_at_the_visual_width():
    heads = random_heads(Widths(audio=5, visual=6), "audio-visual", 4, 0)
    shapes = {name: tuple(weight.shape) for name, weight in heads.named_parameters()}
    assert shapes == {
        "audio_projection.weight": (6, 5),
        "audio_projection.bias": (6,),
        "visual_projection.weight": (6, 6),
        "visual_projection.bias": (6,),
        "audio_attention.weight": (6, 5),
        "audio_attention.bias": (6,),
        "visual_attention.weight": (6, 6),
        "visual_attention.bias": (6,),
        "classifier.weight": (4, 6),
        "classifier.bias": (4,),
    }


def test_plain_heads_take_every_weight():
    """The comparisons above would be empty if weights were left behind."""
    heads = random_heads(Widths(5, 6), "audio-visual", 4, 0)
    reference = plain_heads({f"heads.{name}": tensor for name, tensor in heads.state_dict().items()})
    assert isinstance(reference, plain.PlainHeads)
    assert sum(w.numel() for w in heads.parameters()) == sum(w.numel() for w in reference.parameters())
    for ours, theirs in zip(
        [heads.audio_attention, heads.visual_attention],
        [reference.attention_audio, reference.attention_visual],
        strict=True,
    ):
        assert torch.equal(ours.weight, theirs.weight)
