"""Random choices depend on the seed and their purpose alone."""

import hashlib
import json

import torch
from avcil.incremental.learning.randomness import generator, seeded_initialisation, stream_seed
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

Purpose = tuple[str | int, ...]
PURPOSES = st.lists(st.one_of(st.text(max_size=8), st.integers(-5, 10**6)), max_size=4).map(tuple)


def drawn(seed: int, *purpose: str | int) -> list[int]:
    return torch.randperm(1000, generator=generator(seed, *purpose)).tolist()


def test_a_stream_is_the_same_however_much_was_drawn_before():
    first = drawn(3, "shuffle", 17)
    torch.rand(100)
    drawn(3, "shuffle", 16)
    assert drawn(3, "shuffle", 17) == first


def test_streams_differ_by_seed_and_by_every_word():
    streams = [drawn(0, "a", 1), drawn(1, "a", 1), drawn(0, "b", 1), drawn(0, "a", 2), drawn(0, "a"), drawn(0, 1, "a")]
    assert len({tuple(stream) for stream in streams}) == len(streams)


@given(st.integers(0, 2**40), PURPOSES, st.integers(0, 2**40), PURPOSES)
def test_two_purposes_share_a_stream_only_if_they_are_the_same(
    seed: int, one: Purpose, other_seed: int, other: Purpose
):
    equal = (seed, *one) == (other_seed, *other)
    assert (stream_seed(seed, *one) == stream_seed(other_seed, *other)) == equal


def test_a_number_and_its_word_are_two_purposes():
    assert stream_seed(0, 12) != stream_seed(0, "12")
    assert stream_seed(0, "a", "b") != stream_seed(0, "ab")


def test_the_seed_is_63_bits_of_sha256():
    digest = hashlib.sha256(json.dumps([5, "grow", 2]).encode()).hexdigest()
    low = int.from_bytes(bytes.fromhex(digest[:16]), "little")
    assert stream_seed(5, "grow", 2) == low // 2
    assert 0 <= stream_seed(5, "grow", 2) < 2**63


def test_initialisation_leaves_the_global_stream_alone():
    torch.manual_seed(11)
    expected = torch.rand(5)
    torch.manual_seed(11)
    with seeded_initialisation(0, "heads"):
        first = nn.Linear(3, 3).weight.detach().clone()
    assert torch.equal(torch.rand(5), expected)
    with seeded_initialisation(0, "heads"):
        assert torch.equal(nn.Linear(3, 3).weight, first)
    with seeded_initialisation(1, "heads"):
        assert not torch.equal(nn.Linear(3, 3).weight, first)
