"""Attention pooling against its formulas written out in loops, finite differences, and float64 at full size.

Shapes: B clips, L time slices, S tokens, D channels; N resident clips.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.model.attention import AttentionPool, TeacherMaps, attention_pool
from avcil.incremental.model.kernels.buffers import reusable_empty
from avcil.incremental.model.kernels.products import product_type
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

pytestmark = pytest.mark.usefixtures("two_threads")

WAYS = ["plain", "cpu"]
FULL = (8, 196, 768)  # VideoMAE's slices, tokens and channels


class Problem(NamedTuple):
    store: Tensor
    rows: Tensor
    gate: Tensor
    weight: Tensor
    bias: Tensor

    def parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.gate, self.weight, self.bias

    def double(self) -> "Problem":
        """The same numbers in float64, with gradients of their own."""
        parameters = [tensor.detach().double().requires_grad_() for tensor in self.parameters()]
        return Problem(self.store.double(), self.rows, *parameters)


def make_problem(
    shape: tuple[int, int, int],
    rows: Sequence[int],
    *,
    resident: int | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Problem:
    random = torch.Generator().manual_seed(seed)
    channels = shape[-1]
    parameters = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*size: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*size, generator=random, dtype=torch.float64) * scale).to(parameters)

    return Problem(
        normal(resident or max(rows, default=0) + 1, *shape).to(dtype),
        torch.tensor(rows, dtype=torch.int64),
        torch.tanh(normal(len(rows), channels)).requires_grad_(),
        normal(channels, channels, scale=channels**-0.5).requires_grad_(),
        normal(channels, scale=0.1).requires_grad_(),
    )


def outputs(pool: AttentionPool) -> list[Tensor]:
    return [output for output in pool if output is not None]


def gradients(problem: Problem, of: Sequence[Tensor], incoming: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(of, problem.parameters(), [tensor.to(of[0].dtype) for tensor in incoming])


def relative_error(found: Tensor, right: Tensor) -> float:
    right = right.detach()
    return float((found.detach().double() - right).norm() / right.norm())


def by_loops(problem: Problem, maps_from: int | None) -> AttentionPool:
    """The formulas, one number at a time."""
    store, rows, gate, weight, bias = (tensor.tolist() for tensor in problem)
    clips, (_, slices, tokens, channels) = len(rows), problem.store.shape
    pooled = torch.zeros(clips, channels, dtype=torch.float64)
    log_temporal = torch.zeros(clips, slices, channels, dtype=torch.float64)
    log_spatial = torch.zeros(clips, slices, tokens, channels, dtype=torch.float64)
    for clip, row in enumerate(rows):
        for d in range(channels):
            scores, slice_pooled = [], []
            for time, frame in enumerate(store[row]):
                projected = [
                    math.tanh(math.fsum(map(math.prod, zip(x, weight[d], strict=True))) + bias[d]) for x in frame
                ]
                raised = [math.exp(p * gate[clip][d]) for p in projected]
                attention = [e / math.fsum(raised) for e in raised]
                for token, w in enumerate(attention):
                    log_spatial[clip, time, token, d] = math.log(w)
                scores.append(gate[clip][d] * math.fsum(map(math.prod, zip(attention, projected, strict=True))))
                slice_pooled.append(math.fsum(w * x[d] for w, x in zip(attention, frame, strict=True)))
            for time, score in enumerate(scores):
                u = math.exp(score) / math.fsum(map(math.exp, scores))
                log_temporal[clip, time, d] = math.log(u)
                pooled[clip, d] += u * slice_pooled[time]
    return AttentionPool(pooled, log_temporal, None if maps_from is None else log_spatial[maps_from:])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("maps_from", [None, 0, 2, 3])
def test_equals_its_formulas(way, maps_from):
    problem = make_problem((3, 5, 4), [1, 3, 1])
    found = attention_pool(*problem, maps_from=maps_from, implementation=way)
    right = by_loops(problem, maps_from)
    assert (found.log_spatial is None) == (maps_from is None)
    for output, expected in zip(outputs(found), outputs(right), strict=True):
        torch.testing.assert_close(output.detach(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("maps_from", [None, 0, 1, 2])
def test_gradients_equal_finite_differences(way, maps_from):
    problem = make_problem((2, 4, 3), [2, 0])

    def pool(*parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            outputs(attention_pool(problem.store, problem.rows, *parameters, maps_from=maps_from, implementation=way))
        )

    assert torch.autograd.gradcheck(pool, problem.parameters())


def test_the_plain_way_gives_the_store_its_gradient():
    problem = make_problem((2, 3, 3), [1, 0, 1])

    def pooled(store: Tensor) -> Tensor:
        return attention_pool(store, *problem[1:]).pooled  # "auto" takes the way that can

    assert torch.autograd.gradcheck(pooled, problem.store.requires_grad_())


def test_fused_ways_refuse_a_store_that_wants_a_gradient():
    problem = make_problem((2, 3, 3), [1, 0])
    with pytest.raises(ValueError, match="gives the store no gradient"):
        attention_pool(problem.store.requires_grad_(), *problem[1:], implementation="cpu")


@given(
    slices=st.integers(1, 4),
    tokens=st.integers(1, 9),
    channels=st.integers(1, 17),
    rows=st.lists(st.integers(0, 4), max_size=5),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_fused_equals_plain_on_any_shape(slices, tokens, channels, rows, data):
    maps_from = data.draw(st.none() | st.integers(0, len(rows)))
    problem = make_problem((slices, tokens, channels), rows, resident=5, seed=channels)
    fused = outputs(attention_pool(*problem, maps_from=maps_from, implementation="cpu"))
    plain = outputs(attention_pool(*problem, maps_from=maps_from, implementation="plain"))
    incoming = [torch.randn_like(output) for output in plain]
    for found, right in zip(fused, plain, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-9)
    for found, right in zip(gradients(problem, fused, incoming), gradients(problem, plain, incoming), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("dtype", "outputs_within", "gradients_within"),
    [(torch.float32, 1e-6, 1e-5), (torch.bfloat16, 3e-3, 1e-2), (torch.float16, 3e-3, 1e-2)],
)
def test_relative_error_at_full_size(dtype, outputs_within, gradients_within):
    problem = make_problem(FULL, [2, 0, 1], dtype=dtype)
    exact = problem.double()
    found = outputs(attention_pool(*problem, maps_from=1, implementation="cpu"))
    right = outputs(attention_pool(*exact, maps_from=1, implementation="plain"))
    assert [output.dtype for output in found] == [torch.float32] * 3
    incoming = [torch.randn(output.shape, generator=torch.Generator().manual_seed(1)) for output in found]
    for output, expected in zip(found, right, strict=True):
        assert relative_error(output, expected) < outputs_within
    for gradient, expected in zip(gradients(problem, found, incoming), gradients(exact, right, incoming), strict=True):
        assert relative_error(gradient, expected) < gradients_within


def test_weight_gradient_stays_exact_over_many_clips():
    """Partial sums of a hundred clips in bfloat16 would leave the gradient of the weight percents off."""
    problem = make_problem((2, 49, 96), [clip % 8 for clip in range(120)], dtype=torch.bfloat16)
    exact = problem.double()
    found = attention_pool(*problem, implementation="cpu").pooled
    right = attention_pool(*exact, implementation="plain").pooled
    incoming = torch.ones(found.shape)
    for gradient, expected in zip(
        gradients(problem, [found], [incoming]), gradients(exact, [right], [incoming]), strict=True
    ):
        assert relative_error(gradient, expected) < 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(3, 49, 96), (2, 5, 7)])
def test_a_clip_does_not_depend_on_its_batch(dtype, shape):
    rows = [4, 1, 1, 3, 0, 4]
    problem = make_problem(shape, rows, dtype=dtype)
    together = attention_pool(*problem, maps_from=0, implementation="cpu")
    for clip, row in enumerate(rows):
        alone = attention_pool(
            problem.store,
            torch.tensor([row]),
            problem.gate[clip : clip + 1],
            problem.weight,
            problem.bias,
            maps_from=0,
            implementation="cpu",
        )
        for batched, single in zip(outputs(together), outputs(alone), strict=True):
            assert torch.equal(batched[clip], single[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(8, 4, 768), (2, 3, 64), (5, 1, 192)])
def test_a_small_clip_does_not_depend_on_those_it_is_gathered_with(dtype, shape):
    """Nor do its own gradients on the batch that it is in."""
    rows = [clip % 11 for clip in range(43)]
    problem = make_problem(shape, rows, dtype=dtype)
    maps = torch.rand(5, *shape, generator=torch.Generator().manual_seed(2))
    watched = torch.arange(len(rows)) % 5
    random = torch.Generator().manual_seed(3)
    towards = [torch.randn(len(rows), *size, generator=random) for size in (shape[-1:], (shape[0], shape[-1]), ())]

    def part(clips: slice, *, teacher: bool) -> list[Tensor]:
        gate = problem.gate[clips].detach().requires_grad_()
        held = TeacherMaps(maps, watched[clips]) if teacher else None
        given = problem.store, problem.rows[clips], gate, problem.weight, problem.bias
        found = outputs(attention_pool(*given, maps_from=0, teacher=held, implementation="cpu"))
        if not teacher:
            return found
        return [*found, *torch.autograd.grad(found, [gate], [one[clips] for one in towards])]

    for teacher in (False, True):
        together = part(slice(None), teacher=teacher)
        for begin, end in ((0, 1), (1, 4), (4, 20), (20, 41), (41, 43)):
            for whole, some in zip(together, part(slice(begin, end), teacher=teacher), strict=True):
                assert torch.equal(whole[begin:end], some)


@pytest.mark.parametrize("maps_from", [None, 0, 17, 42, 43])
@pytest.mark.parametrize("with_teacher", [False, True])
def test_gathered_clips_equal_plain(maps_from, with_teacher):
    """Groups are of 32 clips in float64: the second is not full, and maps begin within one."""
    if maps_from is None and with_teacher:
        return
    problem = make_problem((2, 3, 64), [clip % 11 for clip in range(43)])
    teacher = None
    if with_teacher:
        maps = torch.rand(5, 2, 3, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        teacher = TeacherMaps(maps, torch.arange(43 - maps_from) % 5)
    fused = outputs(attention_pool(*problem, maps_from=maps_from, teacher=teacher, implementation="cpu"))
    plain = outputs(attention_pool(*problem, maps_from=maps_from, teacher=teacher, implementation="plain"))
    incoming = [torch.randn_like(output) for output in plain]
    for found, right in zip(fused, plain, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-10)
    for found, right in zip(gradients(problem, fused, incoming), gradients(problem, plain, incoming), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_evaluation_equals_training_and_keeps_nothing(dtype, monkeypatch):
    problem = make_problem((3, 49, 96), [0, 2, 1], dtype=dtype)
    training = attention_pool(*problem, maps_from=2, implementation="cpu")
    assert training.pooled.grad_fn is not None

    allocated = []

    def recorded(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        allocated.append(shape)
        return reusable_empty(shape, dtype)

    monkeypatch.setattr("avcil.incremental.model.kernels.cpu.reusable_empty", recorded)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            evaluation = attention_pool(*problem, maps_from=2, implementation="cpu")
        assert allocated.pop() == (1, 3, 49, 96)  # the map asked for
        assert not allocated
        for evaluated, trained in zip(outputs(evaluation), outputs(training), strict=True):
            assert evaluated.grad_fn is None
            assert torch.equal(evaluated, trained)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_a_loss_may_use_some_of_the_outputs(way, used):
    problem = make_problem((2, 5, 4), [1, 0, 1])
    pool = outputs(attention_pool(*problem, maps_from=1, implementation=way))
    reference = outputs(attention_pool(*problem, maps_from=1, implementation="plain"))
    incoming = [torch.randn_like(pool[output]) for output in used]
    found = gradients(problem, [pool[output] for output in used], incoming)
    right = gradients(problem, [reference[output] for output in used], incoming)
    for gradient, expected in zip(found, right, strict=True):
        torch.testing.assert_close(gradient, expected)


def test_frozen_parameters_get_no_gradient():
    problem = make_problem((2, 5, 4), [1, 0])
    whole = attention_pool(*problem, implementation="cpu").pooled.sum()
    right = torch.autograd.grad(whole, problem.gate)[0]
    frozen = attention_pool(
        problem.store,
        problem.rows,
        problem.gate,
        problem.weight.detach(),
        problem.bias.detach(),
        implementation="cpu",
    )
    frozen.pooled.sum().backward()
    torch.testing.assert_close(problem.gate.grad, right)
    assert problem.weight.grad is None


def test_backward_can_be_repeated():
    problem = make_problem((2, 5, 4), [1, 0], dtype=torch.float32)
    loss = attention_pool(*problem, implementation="cpu").pooled.square().sum()
    first = torch.autograd.grad(loss, problem.parameters(), retain_graph=True)
    second = torch.autograd.grad(loss, problem.parameters())
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_store_overwritten_before_backward_is_noticed():
    problem = make_problem((2, 5, 4), [1, 0], dtype=torch.bfloat16)
    loss = attention_pool(*problem, implementation="cpu").pooled.sum()
    problem.store[0] = 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_bfloat16_tokens_are_multiplied_in_float32_where_that_is_faster(monkeypatch):
    monkeypatch.setattr("avcil.incremental.model.kernels.products.multiplies_bfloat16_fast", lambda device: False)
    assert product_type(torch.bfloat16) == product_type(torch.float16) == torch.float32
    problem = make_problem((3, 49, 96), [0, 2, 1], dtype=torch.float16)
    exact = problem.double()
    found = attention_pool(*problem, implementation="cpu").pooled
    right = attention_pool(*exact, implementation="plain").pooled
    assert relative_error(found, right) < 1e-6
    for gradient, expected in zip(
        gradients(problem, [found], [torch.ones(3, 96)]),
        gradients(exact, [right], [torch.ones(3, 96)]),
        strict=True,
    ):
        assert relative_error(gradient, expected) < 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"store": torch.zeros(2, 5, 4)}, "store must be contiguous"),
        ({"store": torch.zeros(2, 4, 5, 2).transpose(1, 3)}, "store must be contiguous"),
        ({"rows": torch.tensor([0, 1], dtype=torch.int32)}, "rows must be"),
        ({"rows": torch.tensor([0, 2])}, "rows must lie in 0..1, they reach from 0 to 2"),
        ({"rows": torch.tensor([-1, 0])}, "rows must lie in 0..1, they reach from -1 to 0"),
        ({"gate": torch.zeros(3, 4)}, r"gate must be \(2, 4\) torch.float32, it is \(3, 4\)"),
        ({"weight": torch.zeros(4, 4, dtype=torch.float64)}, "weight must be"),
        ({"bias": torch.zeros(5)}, "bias must be"),
        ({"bias": torch.zeros(4, device="meta")}, "bias must be on cpu"),
        ({"maps_from": 3}, r"maps_from must lie in 0..2, it is 3"),
        ({"maps_from": -1}, "maps_from must lie in"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    fitting: dict[str, Any] = {
        "store": torch.zeros(2, 3, 5, 4),
        "rows": torch.tensor([0, 1]),
        "gate": torch.zeros(2, 4),
        "weight": torch.zeros(4, 4),
        "bias": torch.zeros(4),
    }
    attention_pool(**fitting)
    with pytest.raises(ValueError, match=message):
        attention_pool(**(fitting | change))


def test_an_unknown_implementation_is_refused():
    with pytest.raises(InputError, match="unknown implementation 'tritn': did you mean 'triton'"):
        attention_pool(*make_problem((1, 2, 3), [0]), implementation="tritn")  # type: ignore[arg-type]
