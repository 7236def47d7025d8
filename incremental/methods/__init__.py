"""The methods: each file here, each entry point of the group "avcil.methods", and each --plugin file.

Adding a method is adding a file: a subclass of `avcil.incremental.Method`, or of `StatisticsMethod`, with a `name`.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import FunctionType, ModuleType
from typing import get_args

from ...errors import InputError, unknown
from ...plugins import loaded, read_plugin
from ..config import MODALITIES, RunConfig, names_of
from ..learning.method import BaseMethod, Replay, Settings

LEARNING = BaseMethod.__module__.rpartition(".")[0]
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


_EXECUTED: dict[str, str] = {}


def executed_plugins(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the bytes that each of these plugins was last executed from, which its file may not hold any more."""
    return {path: _EXECUTED[path] for path in paths}


def load_plugin(path: Path) -> ModuleType:
    """The module in file `path`; InputError where it cannot be run or holds no method."""
    file = read_plugin(path)
    module = file.run()
    if not methods_in(module):
        raise InputError(
            f"--plugin {path}: defines no subclass of avcil.incremental.Method or StatisticsMethod with a name"
        )
    _EXECUTED[str(path)] = file.sha256
    return module


def _load_entry_point(point: EntryPoint) -> type[BaseMethod]:
    """The method that an installed package offers."""
    kind, where = loaded(point)
    if not (isinstance(kind, type) and issubclass(kind, BaseMethod) and "name" in vars(kind)):
        raise InputError(f"{where} is no subclass of avcil.incremental.Method or StatisticsMethod with a name")
    return kind


def installed_by(kind: type[BaseMethod]) -> str | None:
    """Name and version of the distribution whose entry point offers a method; None for methods from elsewhere."""
    for point in entry_points(group=GROUP):
        if point.value == f"{kind.__module__}:{kind.__qualname__}":
            return f"{point.dist.name} {point.dist.version}" if point.dist else f"unknown distribution of {point.value}"
    return None


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
    where = f"method {kind.__module__}.{kind.__qualname__}"
    for name in ("name", "paper"):
        if not isinstance(getattr(kind, name, None), str) or not getattr(kind, name).strip():
            raise InputError(f"{where}: '{name}' has to be a text")
    if kind.replay not in get_args(Replay):
        raise unknown(f"replay of {where}:", str(kind.replay), get_args(Replay))
    if kind.way == "statistics" and kind.replay != "none":
        raise InputError(
            f"{where}: replay '{kind.replay}' is for methods that are learnt by gradient; a StatisticsMethod sees the "
            "new clips alone"
        )
    if not isinstance(kind.modalities, tuple | list):
        raise InputError(f"{where}: 'modalities' has to be a tuple, as in modalities = (\"audio\",)")
    for modality in kind.modalities:
        if modality not in MODALITIES:
            raise unknown(f"modality of {where}:", str(modality), MODALITIES)
    _check_names(kind, where)
    _check_settings(kind, where)


def _check_names(kind: type[BaseMethod], where: str) -> None:
    """InputError where a function's name is nearly one that training calls: it would be passed over in silence."""
    called, own = set[str](), set[str]()
    for base in kind.__mro__:
        names = {name for name, part in vars(base).items() if isinstance(part, FunctionType) and name[0] != "_"}
        if base.__module__.startswith(LEARNING):
            called |= names
        elif issubclass(base, BaseMethod):
            own |= names
    for name in sorted(own - called):
        if near := difflib.get_close_matches(name, sorted(called), n=1, cutoff=0.85):
            raise InputError(f"{where}: nothing calls its function '{name}': did you mean '{near[0]}'? (or rename it)")


def _check_settings(kind: type[BaseMethod], where: str) -> None:
    """InputError where a method's settings cannot be checked, hide one of the run, or lack what its bases read."""
    own = kind.Settings
    if not (isinstance(own, type) and issubclass(own, Settings) and "__pydantic_fields__" in vars(own)):
        raise InputError(
            f"{where}: 'Settings' has to be a dataclass that extends avcil.incremental.Settings, "
            "under @dataclass of pydantic.dataclasses"
        )
    for name in names_of(own):
        if name in (*names_of(RunConfig), "settings", "config_file"):
            raise InputError(f"{where}: its setting '{name}' has the name of a setting of every run: call it otherwise")
    for name in kind.reads_settings:
        if name not in names_of(own):
            reader = next(base.__name__ for base in kind.__mro__ if name in vars(base).get("reads_settings", ()))
            raise InputError(f"{where}: its Settings need a field '{name}', which {reader} reads")


def find_method(name: str, plugins: Iterable[Path] = ()) -> type[BaseMethod]:
    """The method called `name`; InputError with the nearest name where there is none."""
    methods = all_methods(plugins)
    if name not in methods:
        raise unknown("method", name, methods)
    return methods[name]
