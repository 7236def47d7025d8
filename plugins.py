"""A plugin's file, read and compiled but not run: what is wrong with it can be told before PyTorch is imported."""

import hashlib
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from ..errors import InputError


@dataclass(frozen=True)
class PluginFile:
    """The bytes of a plugin that are to be run."""

    path: Path
    code: CodeType
    sha256: str
    """Of the bytes that `code` was made of, in hexadecimal."""


def read_plugin(path: Path) -> PluginFile:
    """The plugin in file `path`. InputError where there is none, where it is no Python file, or has no valid syntax."""
    if not path.is_file():
        raise InputError(f"--plugin {path}: no such file")
    if path.suffix != ".py":
        raise InputError(f"--plugin {path}: not a Python file")
    try:
        content = path.read_bytes()
        code = compile(content, str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise InputError(f"--plugin {path} cannot be read ({error.strerror or error})") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise plugin_error(path, error) from error
    return PluginFile(path, code, hashlib.sha256(content).hexdigest())


def plugin_error(path: Path, error: BaseException) -> InputError:
    """The one line for what a plugin raised, with the line of it that did, as far as that is known (returned)."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    return InputError(f"--plugin {path}{f', line {lines[-1]}' if lines else ''}: {in_one_line(error)}")


def in_one_line(error: BaseException) -> str:
    """An exception's kind and words."""
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(words.split())}"
