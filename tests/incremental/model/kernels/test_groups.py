"""Clips in groups: every clip once, in groups of a size that the batch has no say in."""

import pytest
from avcil.incremental.model.kernels.groups import ROWS, Group, groups_of, size_of_groups

MEGABYTES = 2560 * 1024


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((8, 196, 768), 1),  # a clip of true size is a group
        ((8, 4, 768), 16),  # 512 rows in all
        ((8, 4, 2048), 10),  # of 262,144 bytes each
        ((8, 49, 192), 1),
        ((1, 1, 64), ROWS),
        ((8, 4, 100), 1),  # no multiple of a vector
    ],
)
def test_small_clips_are_gathered_and_large_ones_are_not(shape, size):
    slices, tokens, channels = shape
    assert size_of_groups(slices, tokens, channels, MEGABYTES, 4) == size


def test_a_batch_is_divided_in_order_and_its_last_group_may_be_short():
    assert list(groups_of(range(3), 2, 5, 4)) == [
        Group(slice(0, 2), slice(0, 8)),
        Group(slice(2, 4), slice(8, 16)),
        Group(slice(4, 5), slice(16, 20)),
    ]
    assert [len(group) for group in groups_of(range(0, 3, 2), 2, 5, 4)] == [2, 1]
    assert list(groups_of(range(0), 2, 0, 4)) == []
