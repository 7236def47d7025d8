"""Plugins, files of the user's own code: read and compiled first, run when they are needed.

What is wrong with a file can be told before anything heavy is imported, and the bytes that were hashed are those that
are run. Modules that a plugin imports are not hashed.
"""

import hashlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class PluginFile:
    """The bytes of a plugin that are to be run."""

    path: Path
    code: CodeType
    sha256: str
    """Of the bytes that `code` was made of, in hexadecimal."""

    def run(self) -> ModuleType:
        """The module, executed. InputError, with the line, for whatever it raises.

        It is named by place and content too: two files of one name, or two versions of one file, are two modules.
        """
        mark = hashlib.sha256(f"{self.path.resolve()} {self.sha256}".encode()).hexdigest()[:12]
        spec = importlib.util.spec_from_file_location(f"avcil_plugin_{self.path.stem}_{mark}", self.path)
        assert spec is not None  # as it is for every name that ends in .py
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module  # dataclasses look up their own module
        try:
            exec(self.code, vars(module))
        except (Exception, SystemExit) as error:
            raise plugin_error(self.path, error) from error
        return module


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
    """The one line for what a plugin raised (returned)."""
    return InputError(f"--plugin {path}{line_of(path, error)}: {in_one_line(error)}")


def line_of(path: Path, error: BaseException) -> str:
    """ ", line 12" where the error came up in file `path`; empty where that is not known."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    return f", line {lines[-1]}" if lines else ""


def in_one_line(error: BaseException) -> str:
    """An exception's kind and words."""
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(words.split())}"


def loaded(point: EntryPoint) -> tuple[Any, str]:
    """What an installed package offers by this entry point, and the words that name the entry point. InputError where
    it cannot be imported."""
    where = f"entry point {point.name} = {point.value} of the group {point.group}"
    try:
        return point.load(), where
    except (Exception, SystemExit) as error:
        raise InputError(f"{where} cannot be loaded: {in_one_line(error)}") from error
