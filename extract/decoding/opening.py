"""Open a media file so that nothing but that file is read.

libavformat takes a name for a URL ("concat:a.mp4", "12:30.mp4"), and knows file formats that name other files: a
playlist or script that is called x.mp4 would give a neighbour's pictures. So the name goes in as an absolute path
behind "file:", no other protocol is allowed, and only containers that hold their media themselves are read.
"""

from pathlib import Path
from typing import Any

import av

from .faults import UNREADABLE, ClipError

# libavformat's names of containers of one file. Not among them: hls, concat, dash, imf, sdp, rtsp, vobsub, image2 and
# whatever else opens further files, lavfi and other devices, text and single images.
CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut", "gxf", "wtv", "rm", "ivr", "dv"),
    *("live_flv", "kux", "nsv", "nuv", "pva", "ty", "pmp", "dhav", "lmlm4", "mtv", "vivo", "r3d", "mlv", "cine", "ser"),
    *("mpegvideo", "h264", "hevc", "vvc", "m4v", "h263", "h261", "vc1", "vc1test", "obu", "av1", "ivf", "mjpeg"),
    *("dirac", "cavsvideo", "avs2", "avs3", "dnxhd", "evc", "yuv4mpegpipe", "gif", "apng", "swf", "roq", "smjpeg"),
    # sound alone: such a file is said to have no video
    *("aac", "ac3", "aiff", "amr", "au", "caf", "dts", "eac3", "flac", "mp3", "w64", "wav"),
)
ONLY_ITSELF = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}


def open_media(path: Path) -> Any:
    """An open `av.container.InputContainer` of this one file, to be used as a context manager.

    Raises:
        ClipError: a playlist, a script, or another format that is not one of `CONTAINERS`.
        Exception: whatever PyAV says of a file that it cannot read.
    """
    try:
        return av.open(url_of(path), container_options=ONLY_ITSELF)
    except av.error.ArgumentError as error:
        words = "not a container of video and sound (playlists, scripts and images are not read)"
        raise ClipError(UNREADABLE, words) from error


def url_of(path: Path) -> str:
    """A path as libavformat takes it, whatever characters it holds."""
    return f"file:{path.absolute()}"
