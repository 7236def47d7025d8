"""The versions that a result may depend on, for the records beside it."""

import platform
from collections.abc import Iterable
from importlib import metadata

from . import __version__


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of this package, of Python and of these distributions ("scikit-learn"), or "not installed"."""
    found = {"avcil": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
