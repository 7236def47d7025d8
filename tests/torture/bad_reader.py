"""A decoding function with real faults, told by the clip's name which one; and changes that put faults into a program.

Functions without arguments are `Circumstances.change`: they are called in a command's process before it begins.
"""

import ctypes
import functools
import os
import signal
import time
from pathlib import Path

from avcil.extract.decoding.decode import read_clip
from avcil.extract.decoding.faults import UNREADABLE, ClipError
from avcil.extract.preparation.encoder_input import PreparedClip
from avcil.extract.preparation.recipes import ClipPreparation

NAMES = ("hang-with-lock", "hang-at-ease", "stop", "exit", "segfault", "killed", "leak", "flood", "refused")
REFUSE_ALL = "AVCIL_TORTURE_REFUSE"
"""Environment variable: refuse at once what would have a fault, for a run to compare with."""
NOTES = "AVCIL_TORTURE_NOTES"
"""Environment variable: folder in which a fault that met no bound leaves a note."""
LEAK = 3 * 2**30
FLOOD = 256 * 2**20
MEBIBYTE = 2**20


def read(path: Path, preparation: ClipPreparation, decoder: str) -> PreparedClip:
    """As `decode.read_clip`, but for clips named after a fault."""
    name = next((name for name in NAMES if path.name.startswith(name)), None)
    if name is not None and REFUSE_ALL in os.environ:
        raise ClipError(UNREADABLE, "refused")
    if name is not None:
        _fault(name)
    return read_clip(path, preparation, decoder)


def _fault(name: str) -> None:
    if name == "hang-with-lock":
        ctypes.PyDLL(None).pause()  # never gives the interpreter's lock back
    elif name == "hang-at-ease":
        time.sleep(3600)
    elif name == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)  # deaf to everything but SIGKILL
    elif name == "exit":
        os._exit(3)
    elif name == "segfault":
        ctypes.string_at(0)
    elif name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does where memory runs out
    elif name == "leak":
        _leak()
    elif name == "flood":
        _flood()
    elif name == "refused":
        raise ClipError(UNREADABLE, "refused")


def _leak() -> None:
    held = []
    for _ in range(LEAK // (16 * MEBIBYTE)):
        held.append(bytearray(16 * MEBIBYTE))
        held[-1][::4096] = b"x" * len(held[-1][::4096])  # touched, so that it is really taken
    _note("leak", f"{LEAK} bytes of memory were to be had")


def _flood() -> None:
    for _ in range(FLOOD // MEBIBYTE):
        os.write(2, b"x" * (MEBIBYTE - 1) + b"\n")
    _note("flood", f"{FLOOD} bytes of standard error were written")


def _note(name: str, words: str) -> None:
    # A new file, as large as a file may still be.
    (Path(os.environ[NOTES]) / f"{name}-{os.getpid()}").write_text(words)


def read_badly() -> None:
    """Extraction decodes by `read`."""
    from avcil.extract import run

    vars(run)["extract"] = functools.partial(vars(run)["extract"], reader=f"{__name__}:read")


def memory_for_one() -> None:
    """The encoders' device has memory for one clip at a time."""
    _memory_for(1)


def memory_for_none() -> None:
    """The encoders' device has memory for no clip."""
    _memory_for(0)


def _memory_for(clips: int) -> None:
    import torch
    from avcil.extract.encoders.videomae import VideoMAE

    encode = VideoMAE.encode

    def bounded(self: VideoMAE, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > clips:
            raise torch.OutOfMemoryError("a stand-in for a GPU that is full")
        return encode(self, pixels)

    VideoMAE.encode = bounded  # type: ignore[method-assign]


def memory_for_five_steps() -> None:
    """In training the device's memory is full at the sixth step."""
    import torch
    from avcil.incremental.learning.gradient import GradientLearning

    step, done = GradientLearning._step, list[None]()

    def bounded(self, *given, **named):
        done.append(None)
        if len(done) > 5:
            raise torch.OutOfMemoryError("a stand-in for a GPU that is full")
        return step(self, *given, **named)

    GradientLearning._step = bounded  # type: ignore[method-assign]
