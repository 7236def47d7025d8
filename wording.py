"""What people are told in more than one place: the warning of random weights, counts, durations, sizes.

Imports nothing.
"""

RANDOM_WEIGHTS = "the features come from encoders with RANDOM weights and say nothing about trained ones"
"""Said wherever `Fingerprint.random_weights` of the cache in use holds."""


def duration(seconds: float) -> str:
    """Seconds in words: "4.2 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def number_of(count: int, one: str, several: str | None = None) -> str:
    """A number of things: "1 clip", "3 clips", "2 classes" where the plural is given."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def size(count: float) -> str:
    """Bytes in words: "1.5 MB", "230 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
