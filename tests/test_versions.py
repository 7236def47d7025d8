"""Versions in the records."""

import platform
from importlib import metadata

import avcil
from avcil.versions import versions


def test_own_version_and_pythons_come_first_and_what_is_not_installed_is_said():
    assert list(versions(("click", "no-such-library")).items()) == [
        ("avcil", avcil.__version__),
        ("python", platform.python_version()),
        ("click", metadata.version("click")),
        ("no-such-library", "not installed"),
    ]
