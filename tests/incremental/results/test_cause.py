"""What two runs must have in common to be the same experiment."""

from typing import Any

import pytest
from avcil import __version__
from avcil.incremental.config import OFF, ExecutionSettings, GradientSettings, ProblemSettings, RunConfig, names_of
from avcil.incremental.methods import find_method
from avcil.incremental.results.cause import (
    FACTS,
    WITHOUT_MEMORY,
    facts_of,
    other_facts,
    other_settings,
    settings_of,
)
from avcil.incremental.runs.provenance import LIBRARIES, ways_of
from avcil.tests.incremental.synthetic import METHODS, SOLVED
from avcil.versions import versions

RUN: dict[str, Any] = dict.fromkeys(names_of(RunConfig), 1) | {"settings": {"w": 1}}
PROVENANCE: dict[str, Any] = dict.fromkeys(FACTS, "a") | {"plugins": {"own.py": "1"}}


def content(run: dict[str, Any] | None = None, provenance: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"run": RUN | (run or {}), "provenance": PROVENANCE | (provenance or {})}


@pytest.mark.parametrize("name", names_of(RunConfig))
def test_settings_that_decide_results_belong_to_the_cause_and_no_others(name: str):
    here, there = content(), content({name: 2})
    indifferent = (*names_of(ProblemSettings), *names_of(ExecutionSettings))
    assert (other_settings(here, there) is None) == (name in indifferent)
    if name not in indifferent:
        assert other_settings(here, there) == f"{name} = 2, not 1"
    assert other_facts(here, there) is None


def test_a_methods_own_settings_belong_to_the_cause():
    assert other_settings(content(), content({"settings": {"w": 2}})) == "w = 2, not 1"


def test_a_method_that_is_solved_has_no_epochs_to_differ_in():
    solved = {"way": "statistics"}
    for name in names_of(GradientSettings):
        assert other_settings(content({}, solved), content({name: 2}, solved)) is None
    assert not set(names_of(GradientSettings)) & set(settings_of(content({}, solved)))


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_is_told_in_its_own_words(name: str):
    assert other_facts(content(), content({}, {name: {"own.py": "2"} if name == "plugins" else "b"})) == FACTS[name][1]


@pytest.mark.parametrize(
    ("entry", "name", "title"), [("provenance", "labels_sha256", "labels"), ("run", "seed", "seed")]
)
def test_what_an_older_version_did_not_record_counts_as_in_a_tables_rows(entry: str, name: str, title: str):
    """As another cause, but for a run that is resumed: from then on it is recorded."""
    older = content()
    del older[entry][name]
    other = other_facts if entry == "provenance" else other_settings
    assert other(content(), older) == f"no record of its {title}, as an older version made it"
    assert other(content(), older, resumed=True) is None
    assert (facts_of(content()), settings_of(content())) != (facts_of(older), settings_of(older))


def test_versions_are_recorded_and_no_cause():
    older = content({}, {"versions": {"avcil": "0.1.0", "torch": "2.6"}})
    assert other_facts(content({}, {"versions": {"avcil": "0.2.0", "torch": "2.8"}}), older) is None
    assert versions(LIBRARIES)["avcil"] == __version__


def test_plugins_count_by_content():
    assert facts_of(content())["plugins"] == ["1"]
    assert other_facts(content(), content({}, {"plugins": {"/elsewhere/own.py": "1"}})) is None


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("method", WITHOUT_MEMORY)
def test_a_memory_that_is_not_used_is_no_cause(method: str, older: bool):
    assert provenance_of(method)["memory"] is False
    recorded = {} if older else {"memory": False}
    here, there = (content({"method": method, "memory_size": size}, recorded) for size in (0, 340))
    assert other_settings(here, there) is None
    assert settings_of(here) == settings_of(there)


def test_a_memory_that_is_used_is_one():
    for method in (*METHODS, *SOLVED):
        assert provenance_of(method)["memory"] == (method not in (*WITHOUT_MEMORY, *SOLVED))
    used = content({"method": "fine-tuning", "memory_size": 0}, {"memory": True})  # a plugin's of that name
    assert settings_of(used)["memory_size"] == 0


def provenance_of(method: str) -> dict[str, Any]:
    return ways_of(find_method(method))


def without(run: dict[str, Any], *names: str) -> dict[str, Any]:
    return {"run": {name: value for name, value in run.items() if name not in names}, "provenance": PROVENANCE}


def test_runs_of_versions_without_a_setting_had_it_off():
    """They are of the same cause as new ones with it off, and of another one than those with it on."""
    off, older = content(dict(OFF)), without(RUN, *OFF)
    assert settings_of(off) == settings_of(older)
    for resumed in (True, False):
        assert other_settings(off, older, resumed=resumed) is None
        assert other_settings(content({**OFF, "patience": 7}), older, resumed=resumed) == "patience = None, not 7"
        assert (
            other_settings(content({**OFF, "validate_every": 5}), older, resumed=resumed) == "validate_every = 1, not 5"
        )
        assert other_settings(off, content({**OFF, "patience": 7}), resumed=resumed) == "patience = 7, not None"


def test_of_settings_that_were_not_given_nothing_is_known():
    """As where the command line looks at a folder before it has read everything."""
    there = content({"patience": 7, "validate_every": 5})
    given = {"run": {"patience": 7}, "provenance": PROVENANCE}
    assert other_settings(given, there, resumed=True) is None
    assert other_settings({"run": {}, "provenance": PROVENANCE}, there, resumed=True) is None
