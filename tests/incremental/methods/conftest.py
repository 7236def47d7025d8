"""What the tests of all methods share."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Every test here: its products are small, and threads only wait for each other where the machine is busy."""
