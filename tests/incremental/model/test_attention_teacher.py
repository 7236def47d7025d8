"""Cross-entropy of the spatial attention with a teacher's maps: its formula, finite differences, float64.

Shapes: B clips, L time slices, S tokens, D channels.
"""

import math
from collections.abc import Sequence

import pytest
import torch
from avcil.incremental.model.attention import TeacherMaps, attention_pool
from avcil.tests.incremental.model.test_attention import (
    FULL,
    WAYS,
    Problem,
    by_loops,
    gradients,
    make_problem,
    outputs,
    relative_error,
)
from torch import Tensor

pytestmark = pytest.mark.usefixtures("two_threads")


def teacher_of(problem: Problem, rows: Sequence[int], maps: int = 4, dtype: torch.dtype | None = None) -> TeacherMaps:
    """Softmaxes over the tokens, and which of them the last clips are held to."""
    random = torch.Generator().manual_seed(5)
    scores = torch.randn(maps, *problem.store.shape[1:], generator=random, dtype=torch.float64)
    return TeacherMaps(scores.softmax(2).to(dtype or problem.gate.dtype), torch.tensor(rows, dtype=torch.int64))


@pytest.mark.parametrize("way", WAYS)
def test_the_cross_entropy_with_a_teacher_equals_its_formula(way):
    problem = make_problem((3, 5, 4), [1, 3, 1])
    teacher = teacher_of(problem, [3, 0])
    found = attention_pool(*problem, maps_from=1, teacher=teacher, implementation=way)
    right = by_loops(problem, 1)
    assert right.log_spatial is not None
    expected = [
        -math.fsum((teacher.maps[row] * log_w).flatten().tolist())
        for row, log_w in zip((3, 0), right.log_spatial, strict=True)
    ]
    assert found.log_spatial is None
    assert found.spatial_cross_entropy is not None
    assert found.spatial_cross_entropy.tolist() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(found.pooled.detach(), right.pooled)


@pytest.mark.parametrize("way", WAYS)
def test_gradients_of_the_cross_entropy_equal_finite_differences(way):
    problem = make_problem((2, 4, 3), [2, 0, 1])
    teacher = teacher_of(problem, [1, 1])

    def pool(*parameters: Tensor) -> tuple[Tensor, ...]:
        found = attention_pool(
            problem.store, problem.rows, *parameters, maps_from=1, teacher=teacher, implementation=way
        )
        return tuple(outputs(found))

    assert torch.autograd.gradcheck(pool, problem.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("kept", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("dtype", "outputs_within", "gradients_within"), [(torch.float32, 1e-6, 1e-5), (torch.bfloat16, 3e-3, 1e-2)]
)
def test_relative_error_of_the_cross_entropy_at_full_size(kept, dtype, outputs_within, gradients_within):
    problem = make_problem(FULL, [2, 0, 1], dtype=dtype)
    exact = problem.double()
    teacher = teacher_of(problem, [1, 0], maps=2, dtype=kept)
    found = outputs(attention_pool(*problem, maps_from=1, teacher=teacher, implementation="cpu"))
    right = outputs(attention_pool(*exact, maps_from=1, teacher=teacher, implementation="plain"))
    for output, expected in zip(found, right, strict=True):
        assert relative_error(output, expected) < outputs_within
    for used in (slice(0, 3), slice(2, 3)):
        incoming = [torch.full(output.shape, 0.5) for output in found[used]]
        wanted = [tensor.to(right[0].dtype) for tensor in incoming]
        for gradient, expected in zip(
            torch.autograd.grad(found[used], problem.parameters(), incoming, retain_graph=True),
            torch.autograd.grad(right[used], exact.parameters(), wanted, retain_graph=True),
            strict=True,
        ):
            assert relative_error(gradient, expected) < gradients_within


def test_no_clip_may_be_held_to_a_teacher():
    problem = make_problem((2, 5, 4), [1, 0])
    found = attention_pool(*problem, maps_from=2, teacher=teacher_of(problem, []), implementation="cpu")
    assert found.spatial_cross_entropy is not None
    assert found.spatial_cross_entropy.shape == (0,)
    bare = attention_pool(*problem, implementation="cpu")
    for one, other in zip(
        gradients(problem, [found.pooled], [torch.ones(2, 4)]),
        gradients(problem, [bare.pooled], [torch.ones(2, 4)]),
        strict=True,
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("maps_from", "teacher", "message"),
    [
        (None, TeacherMaps(torch.zeros(1, 2, 5, 4), torch.zeros(1, dtype=torch.int64)), "need maps_from"),
        (1, TeacherMaps(torch.zeros(1, 2, 5, 3), torch.zeros(1, dtype=torch.int64)), r"maps must be \(K, 2, 5, 4\)"),
        (1, TeacherMaps(torch.zeros(1, 2, 5, 4), torch.zeros(2, dtype=torch.int64)), r"rows must be \(1,\) int64"),
        (1, TeacherMaps(torch.zeros(1, 2, 5, 4), torch.zeros(1)), r"rows must be \(1,\) int64"),
        (1, TeacherMaps(torch.zeros(1, 2, 5, 4), torch.tensor([1])), r"teacher's rows must lie in 0\.\.0"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(maps_from, teacher, message):
    problem = make_problem((2, 5, 4), [1, 0])
    with pytest.raises(ValueError, match=message):
        attention_pool(*problem, maps_from=maps_from, teacher=teacher)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_clip_does_not_depend_on_its_batch(dtype):
    problem = make_problem((3, 49, 96), [4, 1, 1, 3], dtype=dtype)
    teacher = teacher_of(problem, [2, 0, 2, 1], dtype=dtype)
    together = attention_pool(*problem, maps_from=0, teacher=teacher, implementation="cpu")
    for clip in range(4):
        one = slice(clip, clip + 1)
        alone = attention_pool(
            *(problem.store, problem.rows[one], problem.gate[one], problem.weight, problem.bias),
            maps_from=0,
            teacher=TeacherMaps(teacher.maps, teacher.rows[one]),
            implementation="cpu",
        )
        for batched, single in zip(outputs(together), outputs(alone), strict=True):
            assert torch.equal(batched[clip], single[0])
