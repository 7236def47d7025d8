"""Batches: which clips, in which order, with which features."""

import pytest
import torch
from avcil.incremental.data.batch import Batch
from avcil.incremental.data.reader import ClipReader, beside, shuffled_batches
from avcil.incremental.data.residence import Residence, Visual
from avcil.incremental.learning.randomness import generator
from avcil.tests.incremental.synthetic import TableSource
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

CPU = torch.device("cpu")


def reader(visual: Visual, clips: int = 9, gigabytes: float | None = None) -> tuple[ClipReader, TableSource]:
    source = TableSource(clips)
    residence = Residence(
        source, source.ids, device=CPU, dtype=torch.float32, visual=visual, largest_batch=2, gigabytes=gigabytes
    )
    return ClipReader(residence, torch.arange(clips) % 4), source


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5))
def test_shuffled_batches(clips: int, batch_size: int, seed: int):
    """Full batches only; a batch larger than the set is lowered to it; no clip comes twice."""
    numbers = torch.arange(clips) * 3 + 1
    batches = shuffled_batches(numbers, batch_size, generator(seed, "x"))
    size = min(batch_size, clips)
    assert [len(batch) for batch in batches] == [size] * (clips // size)
    together = torch.cat(batches).tolist()
    assert len(set(together)) == len(together)
    assert set(together) <= set(numbers.tolist())


def test_the_last_incomplete_batch_is_dropped_and_holds_other_clips_each_time():
    dropped = set()
    for epoch in range(20):
        batches = shuffled_batches(torch.arange(5), 2, generator(0, epoch))
        assert len(batches) == 2
        dropped |= set(range(5)) - set(torch.cat(batches).tolist())
    assert dropped == set(range(5))


def test_batches_are_shuffled_by_the_generator_alone():
    def order(seed: int) -> list[int]:
        return torch.cat(shuffled_batches(torch.arange(30), 7, generator(seed))).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != sorted(order(1))


def test_memory_batches_come_again_in_the_same_order():
    new = [torch.tensor([number, number + 100]) for number in range(5)]
    memory = [torch.tensor([7]), torch.tensor([8])]
    joined = [batch.tolist() for batch in beside(new, memory)]
    assert joined == [[0, 100, 7], [1, 101, 8], [2, 102, 7], [3, 103, 8], [4, 104, 7]]


def test_memory_batches_that_are_not_needed_are_left_out():
    assert [batch.tolist() for batch in beside([torch.tensor([0])], [torch.tensor([7]), torch.tensor([8])])] == [[0, 7]]


def test_without_memory_new_batches_stay_as_they_are():
    new = [torch.tensor([3, 1])]
    assert [batch.tolist() for batch in beside(new, [])] == [[3, 1]]


@pytest.mark.parametrize("gigabytes", [None, 6 * TableSource.CLIP_BYTES / 2**30])
def test_a_batch_has_its_clips_features_labels_and_count(gigabytes: float | None):
    read, source = reader("tokens", gigabytes=gigabytes)
    index = [torch.tensor([4, 8]), torch.tensor([8, 0])]
    seen = 0
    for batch, wanted, count in zip(read.batches(index, [1, 2]), index, (1, 2), strict=True):
        assert batch.numbers.tolist() == wanted.tolist()
        assert batch.labels.tolist() == (wanted % 4).tolist()
        assert batch.new == count
        assert torch.equal(batch.audio, source.audio[wanted])
        assert batch.store is not None and batch.rows is not None
        assert torch.equal(batch.store[batch.rows], source.visual[wanted])
        assert batch.visual_mean is None
        seen += 1
    assert seen == 2


def test_all_clips_are_new_unless_said():
    read, _ = reader("tokens")
    assert [batch.new for batch in read.batches([torch.tensor([1, 2]), torch.tensor([3])])] == [2, 1]


def test_one_modality_gets_only_what_it_needs():
    read, source = reader("mean")
    (batch,) = read.batches([torch.tensor([5, 2])])
    assert (batch.store, batch.rows) == (None, None)
    assert batch.visual_mean is not None
    assert torch.allclose(batch.visual_mean, source.visual[[5, 2]].mean(dim=(1, 2)))
    read, source = reader("none")
    (batch,) = read.batches([torch.tensor([5, 2])])
    assert (batch.store, batch.rows, batch.visual_mean) == (None, None, None)
    assert torch.equal(batch.audio, source.audio[[5, 2]])


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_over_joins_batches_in_order_without_gradients(batch_size: int):
    read, source = reader("none")
    weight = torch.ones(source.audio.shape[1], requires_grad=True)
    clips = torch.tensor([3, 8, 3, 0, 7])
    result = read.over(lambda batch: batch.audio * weight, clips, batch_size)
    assert torch.equal(result, source.audio[clips])
    assert not result.requires_grad


def test_batches_outside_training_are_no_larger_than_those_in_it():
    """Whether clips are held or streamed: results must not depend on that."""
    for gigabytes in (None, 3 * TableSource.CLIP_BYTES / 2**30):
        read, _ = reader("tokens", gigabytes=gigabytes)
        sizes: list[int] = []

        def counted(batch: Batch, sizes: list[int] = sizes) -> Tensor:
            sizes.append(len(batch.numbers))
            return batch.labels

        assert read.over(counted, torch.arange(5), batch_size=100).tolist() == [0, 1, 2, 3, 0]
        assert sizes == [2, 2, 1]
