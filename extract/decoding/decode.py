"""From a video file to the two encoders' inputs. Runs in worker processes only: what it calls can hang or crash."""

from pathlib import Path

import numpy as np
import transformers.audio_utils  # noqa: F401 - now, so that it does not count against the first clip's deadline

from ..preparation.encoder_input import PreparedClip, prepare_sound
from ..preparation.recipes import ClipPreparation
from .faults import NO_AUDIO, UNREADABLE, ClipError, in_one_line
from .frames import read_frames
from .sound import read_sound


def read_clip(path: Path, preparation: ClipPreparation, decoder: str) -> PreparedClip:
    """Decode and prepare one clip; the sound first, as it is the quicker to be refused.

    Args:
        path: the file.
        preparation: what is wanted of it.
        decoder: of the frames, one of `frames.READERS`.

    Raises:
        ClipError: with a reason to count by and the decoder's own words.
        MemoryError: it takes more than this process may use.
    """
    try:
        try:
            waveform = read_sound(path, preparation.recipe, preparation.audio)
        except ClipError as error:
            if error.reason != NO_AUDIO or preparation.missing_audio != "silence":
                raise
            waveform = np.zeros(preparation.audio.samples, np.float32)
        pixels = read_frames(path, preparation.recipe, preparation.visual, decoder)
        return PreparedClip(pixels, prepare_sound(waveform, preparation.audio))
    except (ClipError, MemoryError):
        raise
    except Exception as error:  # each library has its own kinds
        raise ClipError(UNREADABLE, in_one_line(error)) from error
