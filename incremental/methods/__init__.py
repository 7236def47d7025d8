"""The methods: each file here, each entry point of the group "avcil.methods", and each --plugin file.

Adding a method is adding a file: a subclass of `avcil.incremental.method.Method` that has a `name`.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from ...errors import InputError, unknown
from ..method import Method


def methods_in(module: ModuleType) -> dict[str, type[Method]]:
    """The methods that a module defines itself, by name."""
    return {
        kind.name: kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Method)
        and kind.__module__ == module.__name__
        and "name" in vars(kind)
    }


def load_plugin(path: Path) -> ModuleType:
    """The module in file `path`; InputError where it cannot be run or holds no method."""
    if not path.is_file():
        raise InputError(f"--plugin {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"avcil_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise InputError(f"--plugin {path}: {error}") from error
    if not methods_in(module):
        raise InputError(f"--plugin {path}: defines no subclass of avcil.incremental.Method with a name")
    return module


def all_methods(plugins: Iterable[Path] = ()) -> dict[str, type[Method]]:
    """Every method by name. InputError where two share a name."""
    modules = [importlib.import_module(f".{found.name}", __name__) for found in pkgutil.iter_modules(__path__)]
    modules += [load_plugin(path) for path in plugins]
    found: dict[str, type[Method]] = {}
    given = [kind for module in modules for kind in methods_in(module).values()]
    given += [point.load() for point in entry_points(group="avcil.methods")]
    for kind in given:
        if kind.name in found:
            raise InputError(
                f"two methods are called '{kind.name}': {found[kind.name].__module__} and {kind.__module__}"
            )
        found[kind.name] = kind
    return dict(sorted(found.items()))


def find_method(name: str, plugins: Iterable[Path] = ()) -> type[Method]:
    """The method called `name`; InputError with the nearest name where there is none."""
    methods = all_methods(plugins)
    if name not in methods:
        raise unknown("method", name, methods)
    return methods[name]
