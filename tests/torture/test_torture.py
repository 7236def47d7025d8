"""The short form of `make torture`: the same code with small numbers, the same choices each time."""

from pathlib import Path

import pytest
from avcil.tests.torture import disks, parts, workers
from avcil.tests.torture.outcome import Outcome, Row, markdown_of, tally
from avcil.tests.torture.workspace import Workspace, other_files, other_results

NOT_HERE = (disks.NO_COMPILER, workers.NO_GPU)
"""The only reasons for which the short form may leave something out."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return parts.prepare(tmp_path_factory.mktemp("torture"), seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("part", parts.short(), ids=lambda part: part.name)
def test_nothing_is_lost(workspace: Workspace, part: parts.Part):
    rows = list(parts.run_part(workspace, part))
    assert rows
    assert [row.cells() for row in rows if row.outcome.lost] == []
    assert [row.cells() for row in rows if not row.outcome.tries and row.outcome.note not in NOT_HERE] == []


def test_a_part_that_fails_is_a_row_that_is_lost(workspace: Workspace, capsys: pytest.CaptureFixture[str]):
    def fails(workspace: Workspace):
        yield Outcome("first", 3)
        raise ValueError("no such thing")

    first, second = parts.run_part(workspace, parts.Part("odd", fails, 1))
    assert first.cells() == ("odd", "first", "3", "0", "")
    assert second.cells() == ("odd", "the part itself", "1", "1 NOT MET", "ValueError: no such thing")
    assert "Traceback" in capsys.readouterr().err


def test_attempts_add_up_to_a_line():
    assert tally("x", [(2, []), (3, [])], "fine") == Outcome("x", 5, 0, "fine")
    assert tally("x", [(2, ["a", "b"]), (3, []), (1, ["a"])], "fine") == Outcome("x", 6, 2, "a; b")
    assert tally("x", [], "fine") == Outcome("x", 0, 0, "no time was left")


def test_the_table_says_what_is_not_met_and_what_was_not_tried():
    assert Row("p", Outcome("w", 3, 1, "n")).cells() == ("p", "w", "3", "1 NOT MET", "n")
    assert markdown_of([Row("p", Outcome("a|b", 0, note="why"))]).splitlines()[2] == (
        "| p | a\\|b | - | not tried here | why |"
    )


def test_a_kill_that_loses_something_is_seen(workspace: Workspace, tmp_path: Path):
    """The comparison itself: a file more, a byte changed, a run that is not finished."""
    assert other_files(workspace.cache, workspace.cache) == []
    copy = workspace.copy_of_cache()
    (copy / "x.part").write_text("")
    assert other_files(workspace.cache, copy) == ["x.part"]
    assert other_results(workspace.trained, workspace.trained) == []
    assert other_results(workspace.trained, tmp_path) == ["metrics.json"]
