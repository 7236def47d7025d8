"""Whether each group of pictures of a stream can be decoded without those before it, proved from its packets.

The flag of a key frame is no proof: in an open group the pictures shown before the key frame refer to the group
before. What counts is what the packets hold. H.264 and HEVC in MP4 and Matroska: every key frame an IDR picture
(ITU-T H.264 7.4.1.2.4, H.265 8.1), and no parameter sets but those of the header or the same ones in every key frame,
so that a group that is left out takes none with it. VP8 and VP9: key frames forget all that was before (RFC 6386 9,
VP9 specification 8.2). Of every other codec nothing is claimed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NalCodec:
    """How a codec whose packets are made of NAL units writes them, and which of their types matter here."""

    length_at: int
    """Byte of the header whose last two bits are the size of a unit's length field, less one."""
    shift: int
    mask: int
    """The type of a unit: its first byte, shifted, masked."""
    pictures: frozenset[int]
    openers: frozenset[int]
    """Of the pictures those that open a closed group."""
    sets: frozenset[int]
    """Parameter sets."""


NAL_CODECS = {
    "h264": NalCodec(4, 0, 31, frozenset(range(1, 6)), frozenset({5}), frozenset({7, 8, 13, 15})),
    "hevc": NalCodec(21, 1, 63, frozenset(range(32)), frozenset({19, 20}), frozenset({32, 33, 34})),
}


class ClosedGroups:
    """Give each packet of a stream the number of its group, and watch for what breaks the proof.

    Args:
        stream: PyAV's video stream.
    """

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self._name = "" if context is None else context.name
        self._codec = NAL_CODECS.get(self._name)
        self._length_size = 0
        if self._codec is not None:
            header = bytes(context.extradata or b"")
            if header[:1] == b"\1" and len(header) > self._codec.length_at:
                self._length_size = (header[self._codec.length_at] & 3) + 1
        self._sets: bytes | None = None
        self._stamps: set[int] = set()
        self._group = -1
        self.holds = self._name in ("vp8", "vp9") or self._length_size > 0
        """Whether every packet so far bears out that the groups are closed."""

    def of(self, packet: Any) -> int:
        """The number of the packet's group; packets come in the order of decoding."""
        if packet.is_keyframe:
            self._group += 1
        if self.holds:
            self.holds = self._bears_out(packet)
        return self._group

    def _bears_out(self, packet: Any) -> bool:
        if packet.pts is None or packet.pts in self._stamps or packet.is_discard or self._group < 0:
            return False
        self._stamps.add(packet.pts)
        if packet.has_sidedata("new_extradata"):
            return False
        if self._codec is None:
            first = memoryview(packet)[0]
            shown = self._name == "vp9" or first >> 4 & 1  # some packets of VP8 hold pictures that are not shown
            return bool(shown) and (not packet.is_keyframe or forgets(self._name, first))
        carried = []
        for kind, unit in self._units(bytes(packet), self._codec):
            if kind in self._codec.pictures and packet.is_keyframe and kind not in self._codec.openers:
                return False
            if kind in self._codec.sets:
                carried.append(unit)
        if not packet.is_keyframe:
            return not carried
        if self._sets is None:
            self._sets = b"".join(carried)
        return self._sets == b"".join(carried)

    def _units(self, data: bytes, codec: NalCodec) -> Iterator[tuple[int, bytes]]:
        """The types of a packet's NAL units, and the units, each of which stands behind its length."""
        at = 0
        while at + self._length_size < len(data):
            size = int.from_bytes(data[at : at + self._length_size], "big")
            at += self._length_size
            yield data[at] >> codec.shift & codec.mask, data[at : at + size]
            at += size


def forgets(codec: str, first: int) -> bool:
    """Whether a VP8 or VP9 packet that begins with this byte is a key frame's."""
    if codec == "vp8":
        return first & 1 == 0
    # VP9: marker 10; profile below 3, whose next bits are others; no frame shown again; frame type 0.
    return first >> 6 == 0b10 and first >> 4 & 0b11 != 0b11 and first >> 2 & 0b11 == 0
