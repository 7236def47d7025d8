"""The methods: each file here, each entry point of the group "avcil.methods", and each --plugin file.

Adding a method is adding a file: a subclass of `avcil.incremental.Method`, or of `StatisticsMethod`, with a `name`.
"""

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import get_args

from ...errors import InputError, unknown
from ..config import MODALITIES, RunConfig
from ..learning.method import BaseMethod, Replay, Settings

GROUP = "avcil.methods"
"""Entry points by which installed packages offer methods."""


def methods_in(module: ModuleType) -> dict[str, type[BaseMethod]]:
    """The methods that a module defines itself, by name."""
    return {
        kind.name: kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, BaseMethod)
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
    sys.modules[module.__name__] = module  # dataclasses look up their own module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"--plugin {path}{_line_of(error, path)}: {_in_one_line(error)}") from error
    if not methods_in(module):
        raise InputError(
            f"--plugin {path}: defines no subclass of avcil.incremental.Method or StatisticsMethod with a name"
        )
    return module


def _line_of(error: BaseException, path: Path) -> str:
    """ ", line 12" where the error came up in file `path`, as far as that is known."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    return f", line {lines[-1]}" if lines else ""


def _in_one_line(error: BaseException) -> str:
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(words.split())}"


def _load_entry_point(point: EntryPoint) -> type[BaseMethod]:
    """The method that an installed package offers."""
    where = f"entry point {point.name} = {point.value} of the group {GROUP}"
    try:
        kind = point.load()
    except (Exception, SystemExit) as error:
        raise InputError(f"{where} cannot be loaded: {_in_one_line(error)}") from error
    if not (isinstance(kind, type) and issubclass(kind, BaseMethod) and "name" in vars(kind)):
        raise InputError(f"{where} is no subclass of avcil.incremental.Method or StatisticsMethod with a name")
    return kind


def all_methods(plugins: Iterable[Path] = ()) -> dict[str, type[BaseMethod]]:
    """Every method by name. InputError where two share a name."""
    modules = [importlib.import_module(f".{found.name}", __name__) for found in pkgutil.iter_modules(__path__)]
    modules += [load_plugin(path) for path in plugins]
    found: dict[str, type[BaseMethod]] = {}
    given = [kind for module in modules for kind in methods_in(module).values()]
    given += [_load_entry_point(point) for point in entry_points(group=GROUP)]
    for kind in given:
        _check(kind)
        if kind.name in found:
            raise InputError(
                f"two methods are called '{kind.name}': {found[kind.name].__module__} and {kind.__module__}"
            )
        found[kind.name] = kind
    return dict(sorted(found.items()))


def _check(kind: type[BaseMethod]) -> None:
    """InputError where a method's own words are missing or none of those that there are."""
    where = f"{kind.__module__}.{kind.__qualname__}"
    for name in ("name", "paper"):
        if not isinstance(getattr(kind, name, None), str) or not getattr(kind, name).strip():
            raise InputError(f"method {where}: '{name}' has to be a text")
    if kind.replay not in get_args(Replay):
        raise unknown(f"replay of method {where}:", str(kind.replay), get_args(Replay))
    for modality in kind.modalities:
        if modality not in MODALITIES:
            raise unknown(f"modality of method {where}:", str(modality), MODALITIES)
    if not (isinstance(kind.Settings, type) and issubclass(kind.Settings, Settings) and is_dataclass(kind.Settings)):
        raise InputError(f"method {where}: 'Settings' has to be a dataclass that extends avcil.incremental.Settings")
    shadowed = {field.name for field in fields(kind.Settings)} & {field.name for field in fields(RunConfig)}
    if shadowed:
        raise InputError(
            f"method {where}: its setting '{min(shadowed)}' has the name of a setting of every run: call it otherwise"
        )
    if kind.way == "statistics" and kind.replay != "none":
        raise InputError(
            f"method {where}: replay '{kind.replay}' is for methods that are learnt by gradient; a StatisticsMethod "
            "sees the new clips alone"
        )


def find_method(name: str, plugins: Iterable[Path] = ()) -> type[BaseMethod]:
    """The method called `name`; InputError with the nearest name where there is none."""
    methods = all_methods(plugins)
    if name not in methods:
        raise unknown("method", name, methods)
    return methods[name]
