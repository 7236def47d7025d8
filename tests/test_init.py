"""`import avcil`."""

import subprocess
import sys

import avcil
import pytest


def test_names_are_listed_and_found():
    assert {"open_cache", "run", "results", "load", "__version__"} <= set(dir(avcil))
    for name in avcil.__all__:
        assert callable(getattr(avcil, name))
    with pytest.raises(AttributeError, match="module 'avcil' has no attribute 'opencache'"):
        avcil.opencache  # noqa: B018


def test_importing_costs_nothing_and_reading_results_no_torch():
    program = """
import sys
import avcil
dir(avcil)
assert [name for name in sys.modules if name.startswith("avcil.")] == ["avcil.versions"]
assert not {"torch", "numpy", "pandas", "click", "importlib.metadata"} & sys.modules.keys()
avcil.results
assert not {"torch", "h5py", "pandas"} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
