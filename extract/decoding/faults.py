"""Why a clip cannot be used: a short reason to count by, and the decoder's own words."""

NO_AUDIO = "no audio"
NO_VIDEO = "no video"
UNREADABLE = "cannot be decoded"
TIMED_OUT = "decoder took too long"
DIED = "decoder died"
OUT_OF_MEMORY = "too much memory"
NOT_FINITE = "features not finite"
KILLS_WORKERS = "kills its worker"

# A decoder that answers is believed: what it refuses as damaged, another one might conceal.
ANOTHER_MAY_HELP = frozenset({TIMED_OUT, DIED})


class ClipError(Exception):
    """A clip cannot be used; the run continues without it."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(reason, words)
        self.reason = reason
        """One of the reasons above."""
        self.words = words
        """What the decoder said, in one line."""


def in_one_line(error: BaseException) -> str:
    """What an exception says, on one line; its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
