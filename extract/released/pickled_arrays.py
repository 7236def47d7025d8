"""Read a dictionary of arrays that `np.save` pickled, without unpickling it and without holding it in memory.

`np.save(path, {id: array, ...})` writes a NumPy header and then a pickle. A pickle is a program for a small stack
machine, and loading one may run anything. Here the program is followed by a machine that knows the few
instructions such a dictionary consists of and calls nothing: the names it may mention stand for arrays and
number types only, any other name ends the reading. The arrays' bytes are passed over; what is kept of an array
is where in the file it lies, so that memory grows with the number of arrays and not with their size.

Instructions as documented in CPython's Lib/pickletools.py; an array's state as in NumPy's ndarray.__setstate__.
"""

import io
import math
import pickle
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import InputError

LONGEST_TEXT = 65536  # bytes of one string: ids are far shorter
MOST_AXES = 32
# An array takes some 35 instructions, and those of features kilobytes of data: one in 16 bytes are more than enough,
# besides a million, which take a second.
INSTRUCTIONS, BYTES_AN_INSTRUCTION = 1_000_000, 16
# NumPy moved its modules in version 2; files of both generations are around.
RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
NDARRAY, DTYPE = ("numpy", "ndarray"), ("numpy", "dtype")
ALLOWED = RECONSTRUCT | {NDARRAY, DTYPE}


@dataclass(frozen=True)
class StoredArray:
    """An array of numbers that still lies in its file."""

    dtype: np.dtype[Any]
    """Its type, with its byte order."""
    shape: tuple[int, ...]
    """Its shape."""
    fortran: bool
    """Whether the first axis is the one that varies fastest."""
    offset: int
    """Where its bytes begin."""

    def read(self, file: BinaryIO) -> npt.NDArray[Any]:
        """Its values, from the open file, in the machine's byte order."""
        file.seek(self.offset)
        values = np.fromfile(file, self.dtype, math.prod(self.shape))
        if values.size != math.prod(self.shape):
            raise InputError(f"{file.name} became shorter while it was read")
        array = values.reshape(self.shape, order="F" if self.fortran else "C")
        return array.astype(self.dtype.newbyteorder("="), copy=False)


def read_index(path: Path) -> dict[str, StoredArray] | None:
    """Where each array of the dictionary in a .npy file lies; None where the file holds something else.

    Something else is a plain array, or a dictionary whose keys are not strings or whose values are not arrays
    of floating-point numbers. Raises InputError for a file that is damaged, or that names anything but arrays
    and their types.
    """
    with path.open("rb") as file:
        try:
            if not _holds_one_object(file):
                return None
            return _features(_Machine(file, path.stat().st_size).run())
        except _Refusal as refusal:
            raise InputError(f"{path}: {refusal}") from refusal
        except (EOFError, LookupError, ValueError, TypeError, tokenize.TokenError) as error:
            raise InputError(f"{path} is damaged: it holds no dictionary that np.save wrote") from error


def _features(content: Any) -> dict[str, StoredArray] | None:
    """The arrays of what a pickle built, if it is a dictionary of them."""
    items = content.data if isinstance(content, _Array) else None
    table = items[0] if isinstance(items, list) and len(items) == 1 else None
    if not isinstance(table, dict) or not table:
        return None
    arrays = {key: value.stored() for key, value in table.items() if isinstance(value, _Array)}
    if len(arrays) < len(table) or not all(isinstance(key, str) for key in arrays):
        return None
    found = {key: array for key, array in arrays.items() if array is not None}
    return found if len(found) == len(arrays) else None


def _holds_one_object(file: BinaryIO) -> bool:
    """Read the NumPy header; whether a pickled object of no dimensions follows."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        return False
    shape, _, dtype = read_header(file)
    return shape == () and dtype == np.dtype(object)


class _Refusal(Exception):  # noqa: N818 - a decision, not a fault
    """The file is not followed any further."""


@dataclass
class _Bytes:
    """Bytes passed over."""

    offset: int
    length: int


@dataclass
class _Type:
    """A NumPy type in the making."""

    code: str
    order: str = "|"

    def set_state(self, state: Any) -> None:
        _, self.order, *rest = state
        if self.order not in ("<", ">", "|", "=") or rest[:3] != [None, None, None]:
            raise _Refusal("it holds arrays of a compound type")

    def dtype(self) -> np.dtype[Any] | None:
        """None for types other than floating point."""
        return np.dtype(self.order.strip("|=") + self.code) if re.fullmatch(r"f[248]", self.code) else None


@dataclass
class _Array:
    """An array in the making."""

    shape: tuple[int, ...] = ()
    type: _Type | None = None
    fortran: bool = False
    data: Any = None

    def set_state(self, state: Any) -> None:
        _, self.shape, self.type, self.fortran, self.data = state
        if not isinstance(self.type, _Type) or not isinstance(self.shape, tuple):
            raise _Refusal("it holds an array without a type or a shape")
        if len(self.shape) > MOST_AXES or not all(isinstance(n, int) and n >= 0 for n in self.shape):
            raise _Refusal("it holds an array of an impossible shape")

    def stored(self) -> StoredArray | None:
        """None for an array that is not of floating-point numbers."""
        dtype = self.type.dtype() if self.type is not None else None
        if dtype is None:
            return None
        if not isinstance(self.data, _Bytes) or self.data.length != math.prod(self.shape) * dtype.itemsize:
            raise ValueError("an array's bytes do not fill its shape")
        return StoredArray(dtype, self.shape, bool(self.fortran), self.data.offset)


class _Name(NamedTuple):
    """A name of a module that the pickle mentions."""

    module: str
    name: str


class _Machine:
    """Follows a pickle up to its end. Nothing outside this class is called on the file's behalf."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle would build, with arrays and types as the stand-ins above."""
        left = INSTRUCTIONS + self._size // BYTES_AN_INSTRUCTION
        while (code := self._read(1)) != pickle.STOP:
            left -= 1
            if left < 0:
                raise _Refusal("it holds far more instructions than a dictionary of features has")
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise _Refusal(f"it is no dictionary of arrays (pickle instruction {code!r})")
            instruction(self)
        return self._stack.pop()

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def _number(self, width: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._read(width), "little", signed=signed)

    def _line(self) -> str:
        return self._file.readline(LONGEST_TEXT).decode("ascii").rstrip("\n")

    def _push_text(self, width: int) -> None:
        length = self._number(width)
        if length > LONGEST_TEXT:
            raise _Refusal(f"it holds a text of {length} bytes")
        self._stack.append(self._read(length).decode("utf-8"))

    def _push_bytes(self, width: int) -> None:
        length, offset = self._number(width), self._file.tell()
        if offset + length > self._size:
            raise EOFError
        self._file.seek(length, io.SEEK_CUR)
        self._stack.append(_Bytes(offset, length))

    def _push_name(self, module: str, name: str) -> None:
        if (module, name) not in ALLOWED:
            asked = ascii(f"{module}.{name}"[:100])  # the file chose these letters: no line breaks, no escapes
            raise _Refusal(f"it asks for {asked}, which is no array of numbers; nothing was run")
        self._stack.append(_Name(module, name))

    def _stack_name(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self._push_name(module, name)

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _push_tuple(self, count: int | None) -> None:
        items = self._since_mark() if count is None else [self._stack.pop() for _ in range(count)][::-1]
        self._stack.append(tuple(items))

    def _reduce(self) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        # Nested tuples, which a pickle makes of few instructions, would take for ever to be hashed.
        known = isinstance(name, _Name)
        if known and name in RECONSTRUCT and arguments[0] == NDARRAY:
            self._stack.append(_Array())
        elif known and name == DTYPE and isinstance(arguments[0], str):
            self._stack.append(_Type(arguments[0]))
        else:
            raise _Refusal("it builds something else than arrays of numbers; nothing was run")

    def _build(self) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], _Array | _Type):
            raise _Refusal("it builds something else than arrays of numbers; nothing was run")
        self._stack[-1].set_state(state)

    def _set_items(self, items: list[Any]) -> None:
        table = self._stack[-1]
        if not isinstance(table, dict):
            raise TypeError("items for what is no dictionary")
        if any(isinstance(key, tuple) for key in items[::2]):  # likewise
            raise _Refusal("it is no dictionary of arrays by name")
        table.update(zip(items[::2], items[1::2], strict=True))

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise TypeError("elements for what is no list")
        target.extend(items)

    def _remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _recall(self, width: int) -> None:
        self._stack.append(self._memo[self._number(width)])

    def _pop_two(self) -> list[Any]:
        value, key = self._stack.pop(), self._stack.pop()
        return [key, value]


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    pickle.PROTO: lambda m: _ignore(m._number(1)),
    pickle.FRAME: lambda m: _ignore(m._number(8)),  # a hint for reading ahead: instructions follow it
    pickle.MARK: lambda m: m._marks.append(len(m._stack)),
    pickle.GLOBAL: lambda m: m._push_name(m._line(), m._line()),
    pickle.STACK_GLOBAL: _Machine._stack_name,
    pickle.REDUCE: _Machine._reduce,
    pickle.BUILD: _Machine._build,
    pickle.SHORT_BINUNICODE: lambda m: m._push_text(1),
    pickle.BINUNICODE: lambda m: m._push_text(4),
    pickle.SHORT_BINBYTES: lambda m: m._push_bytes(1),
    pickle.BINBYTES: lambda m: m._push_bytes(4),
    pickle.BINBYTES8: lambda m: m._push_bytes(8),
    pickle.BININT1: lambda m: m._stack.append(m._number(1)),
    pickle.BININT2: lambda m: m._stack.append(m._number(2)),
    pickle.BININT: lambda m: m._stack.append(m._number(4, signed=True)),
    pickle.NONE: lambda m: m._stack.append(None),
    pickle.NEWTRUE: lambda m: m._stack.append(True),
    pickle.NEWFALSE: lambda m: m._stack.append(False),
    pickle.EMPTY_TUPLE: lambda m: m._stack.append(()),
    pickle.TUPLE: lambda m: m._push_tuple(None),
    pickle.TUPLE1: lambda m: m._push_tuple(1),
    pickle.TUPLE2: lambda m: m._push_tuple(2),
    pickle.TUPLE3: lambda m: m._push_tuple(3),
    pickle.EMPTY_LIST: lambda m: m._stack.append([]),
    pickle.APPEND: lambda m: m._extend([m._stack.pop()]),
    pickle.APPENDS: lambda m: m._extend(m._since_mark()),
    pickle.EMPTY_DICT: lambda m: m._stack.append({}),
    pickle.SETITEM: lambda m: m._set_items(m._pop_two()),
    pickle.SETITEMS: lambda m: m._set_items(m._since_mark()),
    pickle.MEMOIZE: lambda m: m._remember(len(m._memo)),
    pickle.BINPUT: lambda m: m._remember(m._number(1)),
    pickle.LONG_BINPUT: lambda m: m._remember(m._number(4)),
    pickle.BINGET: lambda m: m._recall(1),
    pickle.LONG_BINGET: lambda m: m._recall(4),
}


def _ignore(_: object) -> None:
    """An instruction that is read and has no effect."""
