"""What several tests of stage 2 share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import Made


def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Products as small as those of the tests lose time when several threads share them."""
    yield from _threads(1)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Clips are shared among threads, whatever number this process would take by itself."""
    yield from _threads(2)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Six classes of 5 to 8 training clips, so that batches and blocks do not come out even."""
    return synthetic.make(
        tmp_path_factory.mktemp("made"), counts=lambda label: {"train": 5 + label % 4, "val": 2, "test": 3}
    )


@pytest.fixture(scope="session")
def reference(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a method's run on `made` with `synthetic.SETTINGS` that was never stopped, run once a session."""
    runs: dict[str, Path] = {}

    def run(method: str) -> Path:
        if method not in runs:
            out = tmp_path_factory.mktemp("reference") / method
            synthetic.run(made, method, out)
            runs[method] = out
        return runs[method]

    return run
