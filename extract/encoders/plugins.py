"""Find the user's encoders: in files given by --plugin, and in installed packages."""

import hashlib
import inspect
import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...plugins import loaded, read_plugin
from .own import Found, FrameEncoder, OwnEncoder, SoundEncoder

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
    file = read_plugin(path)
    module = file.run()
    kinds = [kind for kind in vars(module).values() if _is_encoder(kind) and kind.__module__ == module.__name__]
    if not kinds:
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, OwnEncoder) and kind.__module__ == module.__name__:
                raise InputError(f"--plugin {path}: class {kind.__name__} has no name: name = 'my-encoder'")
        raise InputError(f"--plugin {path}: defines no subclass of {KINDS}")
    return [Found(kind, f"--plugin {path}", path, file.sha256) for kind in kinds]


def _of_entry_point(point: EntryPoint) -> Found:
    kind, where = loaded(point)
    if not _is_encoder(kind):
        raise InputError(f"{where} is no subclass of {KINDS}")
    file = Path(inspect.getfile(kind))
    return Found(kind, where, file, hashlib.sha256(file.read_bytes()).hexdigest())


def _is_encoder(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, FrameEncoder | SoundEncoder) and "name" in vars(kind)
