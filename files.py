"""Files that are either whole or not there: written aside, synced, renamed, and the folder synced too.

Nothing is written through a link, and nothing is removed that this package did not make: what is unfinished has an
unguessable name of its own, `NAME.avcil-0123456789abcdef.part`, which is made anew or not at all.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import filelock

from .errors import InputError

PART_SUFFIX = ".part"  # a name that ends so is never data, only what a killed writer left behind
LEFTOVER = re.compile(r"(?P<name>.+)\.avcil-[0-9a-f]{16}\.part", re.DOTALL)

ADVICE = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.ELOOP: "a link lies there, and nothing is written through links: remove it",
    errno.EISDIR: "a folder lies there: move it away",
    errno.ENOTDIR: "a file lies where a folder has to be: choose another place",
}
"""What to do about an error of the system, by its number."""


def cannot_write(path: Path, error: Exception) -> InputError:
    """The one line for an error of the system, or of a library that met one, in writing `path` (returned)."""
    number = error.errno if isinstance(error, OSError) else None
    said = " ".join(str(error).split())
    if number is None and (found := re.search(r"errno = (\d+)", said)):  # as HDF5 hides it in its own words
        number = int(found[1])
    if number is None:
        return InputError(f"{path} cannot be written: {said}")
    advice = f": {ADVICE[number]}" if number in ADVICE else ""
    return InputError(f"{path} cannot be written ({os.strerror(number)}){advice}")


def sync_directory(directory: Path) -> None:
    """Make renames inside `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_durably(source: Path, target: Path) -> None:
    """Give `source`, whose bytes are already synced, the name `target`, in one step that lasts."""
    source.replace(target)
    sync_directory(target.parent)


def aside(path: Path) -> Path:
    """A name beside `path`, for what is to become it; nobody can have put anything there beforehand."""
    return path.with_name(f"{path.name}.avcil-{secrets.token_hex(8)}{PART_SUFFIX}")


def leftovers(directory: Path) -> list[Path]:
    """What killed processes left unfinished in `directory`: files named as `aside` names them, and no others.

    Only a process that has the directory for itself may remove them: another one could be about to finish its own.
    """
    named = [path for path in sorted(directory.iterdir()) if LEFTOVER.fullmatch(path.name)]
    return [path for path in named if stat.S_ISREG(path.lstat().st_mode)]


@contextmanager
def written_aside(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Replace `path` by what is written to the open file that this yields: UTF-8 text as it is, or bytes.

    A reader sees the old file or the new one, never half of one, also after a power cut. A link at `path` is
    replaced, and what it leads to is left alone. Leaving the `with` block by an exception leaves the old file.

    Raises:
        InputError: the system refuses (no room, no permission, a file system that can only be read).
    """
    part = aside(path)
    try:
        # "x" makes a new file: it neither follows a link nor opens what lies there.
        new = part.open("xb") if mode == "wb" else part.open("x", encoding="utf-8", newline="")
        try:
            with new as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            rename_durably(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def appended(path: Path, text: str, *, make: bool = False) -> bool:
    """Add `text` to the end of a file in one step, never through a link; whether there was a file to add to.

    A reader, and a process that is killed, see whole lines; what a power cut may take is the end of the file. For files
    that can be made again, and not for data.

    Args:
        path: the file.
        text: UTF-8, as it is.
        make: whether a file that is not there is made.

    Raises:
        InputError: there is no room.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError:
        return False
    content = text.encode()
    try:
        written = os.write(descriptor, content)
        if written < len(content):  # a full disk takes what it has room for
            os.write(descriptor, content[written:])
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        os.close(descriptor)
    return True


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as JSON, as `written_aside` does."""
    with written_aside(path) as stream:
        stream.write(as_json(content))


def as_json(content: Any) -> str:
    """The text of a JSON file; `ValueError` for NaN and infinity, which JSON has not."""
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """The content of the JSON file `path`; `InputError` when it cannot be read as one."""
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"{path} cannot be read as JSON ({error.strerror or error})") from None
    except RecursionError:
        raise InputError(f"{path} cannot be read as JSON (it is nested too deeply)") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON ({error})") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


class BusyError(InputError):
    """Another process is at work there."""


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file `path`, which stays; a process that dies lets it go.

    Args:
        path: in a directory that exists.
        busy: the line to say where another process holds it.

    Raises:
        BusyError: another process holds it.
        InputError: the file system has no locks, or the file cannot be made.
    """
    lock = filelock.FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise BusyError(busy) from None
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise InputError(
                f"{path.parent} is on a file system without locks ({os.strerror(error.errno)}), which keep two writers "
                "apart: put it on another one, or have this one mounted with locks (for NFS, without 'nolock')"
            ) from None
        raise cannot_write(path, error) from None
    try:
        yield
    finally:
        lock.release()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; the file is streamed."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
