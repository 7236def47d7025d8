"""Memory is used again once the last tensor in it has gone, and not before."""

import pytest
import torch
from avcil.incremental.model.attention import attention_pool
from avcil.incremental.model.kernels import buffers
from avcil.incremental.model.kernels.buffers import ALIGNMENT, SMALL, reusable_empty

LARGE = (SMALL // 4 + 3,)  # in float32, and no multiple of anything


@pytest.fixture(autouse=True)
def _nothing_spare():
    buffers._spare.clear()
    yield
    buffers._spare.clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 3), (3, SMALL), (1, 7, SMALL // 2 + 1)])
def test_gives_what_was_asked_for(shape, dtype):
    tensor = reusable_empty(shape, dtype)
    assert (tensor.shape, tensor.dtype) == (shape, dtype)
    assert tensor.is_contiguous()
    assert tensor.numel() == 0 or tensor.data_ptr() % ALIGNMENT == 0
    assert bool((tensor.fill_(3) == 3).all())


def test_memory_is_used_again_when_its_last_tensor_has_gone():
    first = reusable_empty(LARGE, torch.float32)
    place = first.data_ptr()
    view = first[5:]
    del first
    second = reusable_empty(LARGE, torch.float32)
    assert second.data_ptr() != place  # the view still lies there
    view.fill_(1)
    second.fill_(2)
    assert bool((view == 1).all())
    del view
    assert reusable_empty(LARGE, torch.float32).data_ptr() == place


def test_memory_kept_for_backward_is_not_used_again_before_it():
    weight = torch.ones(LARGE, requires_grad=True)
    factor = reusable_empty(LARGE, torch.float32).fill_(2)
    place = factor.data_ptr()
    product = (weight * factor).sum()
    del factor
    other = reusable_empty(LARGE, torch.float32)
    assert other.data_ptr() != place
    product.backward()
    assert weight.grad is not None
    assert bool((weight.grad == 2).all())
    assert reusable_empty(LARGE, torch.float32).data_ptr() == place


def test_memory_of_sizes_no_longer_asked_for_is_let_go():
    del_soon = reusable_empty(LARGE, torch.float32)
    del del_soon
    assert len(buffers._spare) == 1
    larger = reusable_empty((2 * SMALL,), torch.float32)
    assert not buffers._spare
    del larger
    assert [memory.nbytes for memory in buffers._spare] == [8 * SMALL + ALIGNMENT]


def test_steps_use_the_same_memory():
    store = torch.randn(2, 4, 300, 256)
    gate = torch.rand(2, 256, requires_grad=True)
    weight, bias = torch.randn(256, 256) / 16, torch.zeros(256)
    sizes = []
    for _ in range(4):
        pool = attention_pool(store, torch.tensor([0, 1]), gate, weight, bias, maps_from=1)
        assert pool.log_spatial is not None
        (pool.pooled.sum() + pool.log_spatial.sum()).backward()
        del pool
        sizes.append(sorted(memory.nbytes for memory in buffers._spare))
    clip = 4 * 300 * 256 * 4
    assert sizes == [[clip + ALIGNMENT, 2 * clip + ALIGNMENT]] * 4
