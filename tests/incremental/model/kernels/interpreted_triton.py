"""The Triton kernels against the plain way in float64: run by `test_triton.py` in a process of its own.

With TRITON_INTERPRET=1 they run on a CPU through Triton's interpreter, without it on a card.
Shapes: B clips, L time slices, S tokens, D channels; N resident clips.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from avcil.incremental.model.attention import AttentionPool, TeacherMaps, attention_pool
from avcil.incremental.model.kernels import choose
from avcil.incremental.model.kernels import triton as kernels
from torch import Tensor

DEVICE = "cpu" if kernels.INTERPRETED else "cuda"
# Rounding averages out less over few tokens than over a full clip's: twice what is allowed there.
WITHIN = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-2}
SHAPES = [
    # resident, rows, (L, S, D), maps_from: tokens and channels fill blocks, spill over them, or do not fill one
    (3, (2, 0, 2), (2, 19, 24), 1),
    (2, (1, 0), (3, 5, 17), 0),
    (5, (4, 4, 1), (5, 33, 16), 3),
    (1, (0,), (1, 16, 32), None),
    (2, (1,), (1, 1, 3), 0),
]
if not kernels.INTERPRETED:
    SHAPES.append((6, (5, 0, 3), (8, 196, 768), 1))
    SHAPES.append((2, (1, 0), (2, 300, 96), 1))


class Case(NamedTuple):
    store: Tensor
    rows: Tensor
    gate: Tensor
    weight: Tensor
    bias: Tensor


def make_case(resident: int, rows: Sequence[int], shape: tuple[int, ...], dtype: torch.dtype) -> Case:
    torch.manual_seed(len(rows))
    channels = shape[-1]
    return Case(
        torch.randn(resident, *shape, device=DEVICE).to(dtype),
        torch.tensor(rows, device=DEVICE),
        torch.tanh(torch.randn(len(rows), channels, device=DEVICE)).requires_grad_(),
        (torch.randn(channels, channels, device=DEVICE) * channels**-0.5).requires_grad_(),
        (torch.randn(channels, device=DEVICE) * 0.1).requires_grad_(),
    )


def outputs(pool: AttentionPool) -> list[Tensor]:
    return [output for output in pool if output is not None]


def assert_close(found: Sequence[Tensor], right: Sequence[Tensor], within: float) -> None:
    for one, other in zip(found, right, strict=True):
        if other.numel():
            # Attention over one token or slice is certain and its logarithm zero: hence the absolute part.
            assert (one.double() - other).norm() <= within * other.norm() + 1e-6 * other.numel() ** 0.5


@pytest.mark.parametrize("dtype", WITHIN)
@pytest.mark.parametrize(("resident", "rows", "shape", "maps_from"), SHAPES)
def test_outputs_and_gradients_equal_the_plain_way(dtype, resident, rows, shape, maps_from):
    case = make_case(resident, rows, shape, dtype)
    exact = [tensor.detach().double().requires_grad_() for tensor in case[2:]]
    found = attention_pool(*case, maps_from=maps_from, implementation="triton")
    right = attention_pool(case.store.double(), case.rows, *exact, maps_from=maps_from, implementation="plain")
    assert (found.log_spatial is None) == (maps_from is None)
    ours, theirs = outputs(found), outputs(right)
    assert_close(ours, theirs, WITHIN[dtype])
    incoming = [torch.randn_like(output) for output in ours]
    assert_close(
        torch.autograd.grad(ours, case[2:], incoming),
        torch.autograd.grad(theirs, exact, [tensor.double() for tensor in incoming]),
        WITHIN[dtype],
    )


@pytest.mark.parametrize("dtype", WITHIN)
@pytest.mark.parametrize(
    ("resident", "rows", "shape", "maps_from"), [shape for shape in SHAPES if shape[3] is not None]
)
def test_the_cross_entropy_with_a_teacher_equals_the_plain_way(dtype, resident, rows, shape, maps_from):
    case = make_case(resident, rows, shape, dtype)
    exact = [tensor.detach().double().requires_grad_() for tensor in case[2:]]
    held = len(rows) - maps_from
    maps = torch.randn(held + 2, *shape, device=DEVICE).softmax(2).to(dtype)
    teacher = TeacherMaps(maps, torch.arange(held, device=DEVICE).flip(0) + 1)
    found = attention_pool(*case, maps_from=maps_from, teacher=teacher, implementation="triton")
    right = attention_pool(
        case.store.double(), case.rows, *exact, maps_from=maps_from, teacher=teacher, implementation="plain"
    )
    assert found.log_spatial is None
    ours, theirs = outputs(found), outputs(right)
    assert_close(ours, theirs, WITHIN[dtype])
    for used in (slice(0, 3), slice(2, 3)):
        incoming = [torch.randn_like(output) for output in ours[used]]
        assert_close(
            torch.autograd.grad(ours[used], case[2:], incoming, retain_graph=True),
            torch.autograd.grad(theirs[used], exact, [tensor.double() for tensor in incoming], retain_graph=True),
            WITHIN[dtype],
        )


@pytest.mark.parametrize("used", [0, 1, 2])
def test_a_loss_may_use_one_output(used):
    case = make_case(3, (2, 0, 2), (2, 19, 24), torch.float32)
    ours = outputs(attention_pool(*case, maps_from=1, implementation="triton"))[used]
    theirs = outputs(attention_pool(*case, maps_from=1, implementation="plain"))[used]
    incoming = torch.randn_like(theirs)
    found = torch.autograd.grad(ours, case[2:], incoming)
    assert_close(found, torch.autograd.grad(theirs, case[2:], incoming), 1e-5)


def test_evaluation_equals_training():
    case = make_case(3, (2, 0, 2), (2, 19, 24), torch.bfloat16)
    training = attention_pool(*case, maps_from=1, implementation="triton")
    with torch.no_grad():
        evaluation = attention_pool(*case, maps_from=1, implementation="triton")
    for trained, evaluated in zip(outputs(training), outputs(evaluation), strict=True):
        assert torch.equal(trained, evaluated)


def test_a_clip_does_not_depend_on_its_batch():
    case = make_case(3, (2, 0, 2), (2, 19, 24), torch.float32)
    together = attention_pool(*case, maps_from=0, implementation="triton")
    for clip in range(3):
        one = slice(clip, clip + 1)
        alone = attention_pool(
            case.store, case.rows[one], case.gate[one], case.weight, case.bias, maps_from=0, implementation="triton"
        )
        for batched, single in zip(outputs(together), outputs(alone), strict=True):
            assert torch.equal(batched[one], single)


def test_frozen_weights_and_empty_batches():
    case = make_case(3, (2, 0), (2, 7, 8), torch.float32)
    right = torch.autograd.grad(attention_pool(*case, implementation="plain").pooled.sum(), case.gate)
    frozen = attention_pool(*case[:3], case.weight.detach(), case.bias.detach(), implementation="triton")
    assert_close(torch.autograd.grad(frozen.pooled.sum(), case.gate), right, 1e-5)

    empty = attention_pool(case.store, case.rows[:0], case.gate[:0], *case[3:], maps_from=0, implementation="triton")
    assert [tuple(output.shape) for output in outputs(empty)] == [(0, 8), (0, 2, 8), (0, 2, 7, 8)]
    teacher = TeacherMaps(case.store[:1].softmax(2), case.rows[:0])
    apart = attention_pool(*case, maps_from=2, teacher=teacher, implementation="triton")
    assert apart.spatial_cross_entropy is not None
    assert apart.spatial_cross_entropy.shape == (0,)
    assert_close(torch.autograd.grad(apart.pooled.sum(), case.gate), right, 1e-5)
    for gradient in torch.autograd.grad(empty.pooled.sum(), case[3:]):
        assert not gradient.any()


@pytest.mark.skipif(kernels.INTERPRETED, reason="the interpreter has no card")
def test_steps_can_be_captured_in_a_cuda_graph():
    case = make_case(6, (5, 0, 3), (4, 49, 64), torch.bfloat16)

    maps = torch.randn(3, *case.store.shape[1:], device=DEVICE).softmax(2).bfloat16()
    teacher = TeacherMaps(maps, torch.tensor([2, 0], device=DEVICE))

    def step() -> tuple[Tensor, ...]:
        pool = attention_pool(*case, maps_from=1, teacher=teacher, implementation="triton")
        ours = outputs(pool)
        return torch.autograd.grad(ours, case[2:], [torch.ones_like(output) for output in ours])

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    case.rows.copy_(torch.tensor([1, 2, 4]))
    graph.replay()
    assert all(torch.equal(one, other) for one, other in zip(captured, step(), strict=True))


def test_it_is_chosen_where_it_belongs():
    assert choose("triton", make_case(1, (0,), (1, 2, 3), torch.float32).store) == "triton"
    assert choose("auto", make_case(1, (0,), (1, 2, 3), torch.float32).store) == (
        "cpu" if kernels.INTERPRETED else "triton"
    )
