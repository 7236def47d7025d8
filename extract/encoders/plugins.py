"""Find the user's encoders: in files given by --plugin, and in installed packages.

A file is read once, and the bytes that were hashed are those that are run. Modules that it imports are not hashed.
"""

import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import InputError
from .own import Found, FrameEncoder, SoundEncoder

GROUP = "avcil.encoders"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
KINDS = "avcil.extract.encoders.FrameEncoder or SoundEncoder"


def own_encoders(plugins: Iterable[Path] = ()) -> dict[str, Found]:
    """Every encoder of the user's by name; running the files.

    Raises:
        InputError: a file or an entry point cannot be run or offers no encoder, or two share a name.
    """
    given = [found for path in plugins for found in _of_file(Path(path))]
    given += [_of_entry_point(point) for point in entry_points(group=GROUP)]
    encoders: dict[str, Found] = {}
    for found in given:
        name = getattr(found.kind, "name", None)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(
                f"{found.where}: class {found.kind.__name__} needs a name such as 'my-encoder', not {name!r}"
            )
        if name in encoders:
            raise InputError(f"two encoders are called '{name}': {encoders[name].where} and {found.where}")
        encoders[name] = found
    return encoders


def _of_file(path: Path) -> list[Found]:
    where = f"--plugin {path}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from error
    module = ModuleType(f"avcil_encoder_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look up their own module
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        if isinstance(error, SyntaxError):
            lines.append(error.lineno)
        words = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        line = f", line {lines[-1]}" if lines else ""
        raise InputError(f"{where}{line}: {type(error).__name__}: {words}") from error
    kinds = [kind for kind in vars(module).values() if _is_encoder(kind) and kind.__module__ == module.__name__]
    if not kinds:
        raise InputError(f"{where}: defines no subclass of {KINDS}")
    digest = hashlib.sha256(content).hexdigest()
    return [Found(kind, where, path, digest) for kind in kinds]


def _of_entry_point(point: Any) -> Found:
    where = f"entry point {point.name} = {point.value} of the group {GROUP}"
    try:
        kind = point.load()
    except (Exception, SystemExit) as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{where} cannot be loaded: {words}") from error
    if not _is_encoder(kind):
        raise InputError(f"{where} is no subclass of {KINDS}")
    file = Path(inspect.getfile(kind))
    return Found(kind, where, file, hashlib.sha256(file.read_bytes()).hexdigest())


def _is_encoder(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, FrameEncoder | SoundEncoder) and "name" in vars(kind)
