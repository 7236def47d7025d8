"""Means over blocks of tokens, by hand and by a plain formula; and what cannot be derived."""

from typing import Any

import pytest
import torch
from avcil.cache import Fingerprint
from avcil.cache.derived import Derivation, derivation, derivation_of, grid_of, source_of
from avcil.errors import InputError

from .conftest import one_line

FACTS: dict[str, Any] = {"visual_encoder": {"name": "v"}, "storage": "float16"}


def averaging(grid: tuple[int, int], tokens: tuple[int, int], storage: str = "float32") -> Derivation:
    return Derivation("0" * 64, "float32", storage, grid, tokens)


def test_neighbours_are_averaged():
    """Tokens 0..7 in two rows of four: of the left block 0, 1, 4, 5 the mean is 2.5, of the right one 4.5."""
    visual = torch.arange(8.0)[None, :, None]
    assert averaging((2, 4), (1, 2)).pooled(visual).tolist() == [[[2.5], [4.5]]]
    assert averaging((2, 4), (2, 2)).pooled(visual).tolist() == [[[0.5], [2.5], [4.5], [6.5]]]
    assert averaging((2, 4), (1, 1)).pooled(visual).tolist() == [[[3.5]]]


def test_by_the_formula():
    visual = torch.randn(3, 2, 36, 5, generator=torch.Generator().manual_seed(0))
    found = averaging((6, 6), (3, 2)).pooled(visual)
    expected = visual.double().reshape(3, 2, 3, 2, 2, 3, 5).mean(dim=(3, 5)).reshape(3, 2, 6, 5)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)
    for clip, alone in zip(visual, found, strict=True):
        assert torch.equal(averaging((6, 6), (3, 2)).pooled(clip), alone)


def test_all_tokens_stay_as_they_are():
    visual = torch.randn(2, 4, 3).half()
    assert torch.equal(averaging((2, 2), (2, 2)).pooled(visual), visual.float())


def test_sums_are_made_in_float32():
    visual = torch.full((1, 4, 1), 60_000.0).half()
    assert averaging((2, 2), (1, 1)).pooled(visual).item() == visual[0, 0, 0].item()


def test_the_grid_is_told_by_the_encoder_or_is_a_square():
    wide = {"visual_encoder": {"architecture": {"image_size": [128, 288], "patch_size": 16}}}
    assert grid_of(wide, 144) == (8, 18)
    assert grid_of(FACTS, 144) == (12, 12)
    assert grid_of(wide, 196) == (14, 14)  # tokens that are not the patches
    with pytest.raises(InputError) as error:
        grid_of(FACTS, 12)
    assert "12 tokens a time slice are no square grid" in one_line(error)


@pytest.mark.parametrize("tokens", ["7x7", "mean", "14x7", "1x1"])
def test_what_the_facts_say_is_read_back(tokens: str):
    source = Fingerprint(FACTS)
    asked = derivation(source, (8, 196, 768), tokens, "int8")
    derived = asked.fingerprint(source)
    assert derived.facts["visual_encoder"] == FACTS["visual_encoder"]
    assert derived.facts["storage"] == "int8"
    assert derivation_of(derived.facts) == asked
    assert source_of(derived.facts) == source
    assert derivation_of(FACTS) is None


def test_every_choice_is_another_cache():
    source, other = Fingerprint(FACTS), Fingerprint({**FACTS, "more": 1})
    made = [
        derivation(begin, (8, 196, 768), tokens, storage).fingerprint(begin)
        for begin in (source, other)
        for tokens in ("7x7", "mean", "14x14")
        for storage in ("int8", "bfloat16")
    ]
    assert len({fingerprint.digest for fingerprint in (source, other, *made)}) == 14


@pytest.mark.parametrize(
    ("tokens", "storage", "words"),
    [
        ("8x8", None, "8x8 tokens cannot be made of 14x14: possible are 14x14, 7x7, 2x2, 1x1, mean"),
        ("0x7", None, "no grid of tokens: '0x7'; possible are 14x14, 7x7"),
        ("seven", None, "no grid of tokens: 'seven'"),
        ("14x14", None, "holds 14x14 tokens as float16 already"),
        ("14x14", "float16", "holds 14x14 tokens as float16 already"),
        ("7x7", "float61", "'float61'"),
    ],
)
def test_what_cannot_be_derived(tokens: str, storage: str | None, words: str):
    with pytest.raises(InputError) as error:
        derivation(Fingerprint(FACTS), (8, 196, 768), tokens, storage)
    assert words in one_line(error)


def test_from_a_derived_cache_nothing_is_derived():
    source = Fingerprint(FACTS)
    derived = derivation(source, (8, 196, 768), "7x7", None).fingerprint(source)
    with pytest.raises(InputError, match="derived itself"):
        derivation(derived, (8, 49, 768), "mean", None)


@pytest.mark.parametrize("made", [{}, [], "x", {"from": "0" * 64, "storage": "float16", "grid": [2], "tokens": [1, 1]}])
def test_facts_that_cannot_be(made: object):
    with pytest.raises(InputError, match="do not say how it was derived"):
        derivation_of({**FACTS, "derived": made})


def test_facts_of_another_source():
    facts = averaging((2, 2), (1, 1)).fingerprint(Fingerprint({"storage": "float32"})).facts
    with pytest.raises(InputError, match="not those of the cache"):
        derivation_of(facts)


def test_in_words():
    assert str(averaging((14, 14), (7, 7), "int8")) == "7x7 of 14x14 tokens, averaged, int8 from float32"
    assert str(averaging((14, 14), (14, 14), "int8")) == "all 14x14 tokens, int8 from float32"
