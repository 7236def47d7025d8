from collections import Counter

import pytest
from avcil.errors import InputError
from avcil.manifests import Clip
from avcil.manifests.dividing import Shares, divide
from avcil.manifests.sources import source_in_name
from hypothesis import given, settings
from hypothesis import strategies as st


def clips(**counts: int) -> list[Clip]:
    return [Clip(f"{label}{number}", label, "train") for label, count in counts.items() for number in range(count)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.8/0.1/0.1", {"train": 0.8, "val": 0.1, "test": 0.1}),
        ("80/10/10", {"train": 0.8, "val": 0.1, "test": 0.1}),
        ("0.75/0.25", {"train": 0.75, "test": 0.25}),
        ("0.5/0/0.5", {"train": 0.5, "test": 0.5}),
    ],
)
def test_shares_are_read(text, parts):
    assert Shares.of(text).parts == pytest.approx(parts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is no division into splits"),
        ("0.8", "has 1 part:"),
        ("1", "has 1 part:"),
        ("a/b", "'a/b' is no division"),
        ("0.8/0.1/0.2", "adds up to 1.1, not to 1 or 100"),
        ("0.25/0.25/0.25/0.25", "has 4 parts"),
        ("1/0/0", "'1/0/0' leaves no training or no test clips"),
        ("0/0.5/0.5", "leaves no training or no test clips"),
        ("1.2/-0.4/0.2", "or less than none"),
        ("nan/0.5/0.5", "adds up to nan"),
        ("inf/0", "adds up to inf"),
    ],
)
def test_other_shares_are_refused(text, words):
    with pytest.raises(InputError) as error:
        Shares.of(text)
    assert words in str(error.value)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 12), min_size=1, max_size=30), min_size=1),
    st.sampled_from(["0.8/0.1/0.1", "0.6/0.4", "0.34/0.33/0.33"]),
    st.integers(0, 3),
)
def test_no_source_video_is_in_two_splits_and_no_split_of_a_class_is_empty(classes, text, seed):
    """Source videos may give clips to several classes."""
    listed, sources = [], {}
    for label, numbers in classes.items():
        for place, source in enumerate(numbers):
            listed.append(Clip(f"{label}{place}", label, "train"))
            sources[f"{label}{place}"] = str(source)
    shares = Shares.of(text)
    try:
        divided = divide(listed, sources, shares, seed)
    except InputError:
        return
    assert [(clip.id, clip.label) for clip in divided] == [(clip.id, clip.label) for clip in listed]
    placed: dict[str, str] = {}
    for clip in divided:
        assert placed.setdefault(sources[clip.id], clip.split) == clip.split
    for label in classes:
        assert {clip.split for clip in divided if clip.label == label} == set(shares.parts)
    again = {clip.id: clip.split for clip in divide(listed[::-1], sources, shares, seed)}
    assert again == {clip.id: clip.split for clip in divided}


def test_a_large_source_video_does_not_take_the_last_split():
    listed = clips(a=10)
    sources = {clip.id: "x" if number < 4 else "y" if number < 8 else "z" for number, clip in enumerate(listed)}
    counts = Counter(clip.split for clip in divide(listed, sources, Shares.of("0.8/0.1/0.1"), 0))
    assert counts == {"train": 4, "val": 4, "test": 2}


def test_a_class_that_is_too_small_is_named():
    listed = clips(a=5, b=4)
    sources = {clip.id: clip.id for clip in listed} | {clip.id: "b" for clip in listed if clip.label == "b"}
    with pytest.raises(InputError, match="class 'b' has 4 clips of 1 source videos, too few for 3 splits: add some"):
        divide(listed, sources, Shares.of("0.8/0.1/0.1"), 0)


@pytest.mark.parametrize(
    ("stem", "source"),
    [
        ("X5p1pQzHKE0_000145", "X5p1pQzHKE0"),
        ("X5p1pQzHKE0_145", "X5p1pQzHKE0"),
        ("-De_GTVNO-o_000012_000022", "-De_GTVNO-o"),
        ("walk_0_10", "walk"),
        ("P01_2_30000_40000", "P01_2"),
        ("v_ApplyEyeMakeup_g01_c02", "v_ApplyEyeMakeup_g01"),
        ("playing_dog_3", None),
        ("dog_1", None),
        ("dog_10_2", None),
        ("000017", None),
        ("X5p1pQzHKE0", None),
    ],
)
def test_names_that_tell_the_source_video(stem, source):
    assert source_in_name(stem) == source
