"""A small data set, written once for the tests of this folder."""

from pathlib import Path

import pytest
from avcil.demo.clips import DataSet, PlannedClip, plan, write_data_set


@pytest.fixture(scope="session")
def small_plan() -> tuple[PlannedClip, ...]:
    """A clip of each class for each split."""
    return plan(seed=7, clips_per_class={"train": 1, "val": 1, "test": 1})


@pytest.fixture(scope="session")
def small_set(small_plan: tuple[PlannedClip, ...], tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The same, written."""
    directory: Path = tmp_path_factory.mktemp("demo")
    return write_data_set(directory, small_plan, processes=1)
