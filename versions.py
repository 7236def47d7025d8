"""The versions that a result may depend on, for the records beside it."""

import platform
from collections.abc import Iterable

__version__ = "0.2.0"
"""Of this package."""


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of this package, of Python and of these distributions ("scikit-learn"), or "not installed"."""
    from importlib import metadata  # slow to import, and `import avcil` reads this file

    found = {"avcil": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
