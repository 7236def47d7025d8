"""Trackers by name."""

import sys

import pytest
from avcil.errors import EXTRAS, InputError
from avcil.incremental.runs.trackers import TRACKERS, trackers
from avcil.incremental.runs.trackers.jsonl_ import JsonLines


def test_a_name_twice_is_one_tracker():
    (found,) = trackers(["jsonl", "jsonl"])
    assert isinstance(found, JsonLines)
    assert trackers([]) == []


def test_a_misspelt_one_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown tracker 'tensorbord': did you mean 'tensorboard'"):
        trackers(["jsonl", "tensorbord"])


@pytest.mark.parametrize("name", [name for name in TRACKERS if name != "jsonl"])
def test_what_is_missing_is_an_extra_of_that_name(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError) as error:
        trackers([name])
    assert EXTRAS[str(error.value.name).partition(".")[0]] == name
