"""What rows of a table are called: the method, and everything in which the row differs from others.

Settings that every method has are looked at over all rows of a table, a method's own settings among its own rows. What
all rows share is not named.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..config import OFF, GradientSettings, TrainingSettings, names_of
from .cause import FACTS

SHARED = frozenset((*names_of(TrainingSettings), *names_of(GradientSettings)))
"""Settings that mean the same whatever the method."""

OF_MEMORY = frozenset({"memory_batch_size"})
"""Settings that say nothing of a row whose method keeps no exemplars."""

OF_A_METHOD = frozenset({"plugins"})
"""Facts that say something of the rows of one method only."""

FOLLOWS = {"labels_sha256": ("clips_sha256",), "features_sha256": ("clips_sha256", "cache_fingerprint")}
"""Facts that are other ones wherever those named here are; there they are no news."""

Cause = Mapping[str, Mapping[str, Any]]
"""As `collect.FinishedRun.cause`."""


def row_words(causes: Sequence[Cause]) -> list[dict[str, str]]:
    """For each row the words of its name, in order, by the setting or fact they tell; the first is the method's name.

    Settings by name and value, facts by what FACTS calls them. Where two rows differ only in that one has no record of
    something, as older versions made them, the word says so.
    """
    methods = [str(cause["settings"]["method"]) for cause in causes]
    found = []
    for cause, method in zip(causes, methods, strict=True):
        peers = [other for other, its in zip(causes, methods, strict=True) if its == method]
        words = {"method": method}
        for name, value in cause["settings"].items():
            idle = name == "method" or (name in OF_MEMORY and "memory_size" not in cause["settings"])
            if not idle and differs(causes if name in SHARED else peers, name):
                words[name] = f"{name}={shortened(value)}"
        for name in FACTS:
            there = name in cause["facts"] and not follows(causes, name)
            if there and differs(peers if name in OF_A_METHOD else causes, name):
                words[name] = f"{FACTS[name][0]}={shortened(cause['facts'][name])}"
        found.append(words)
    by_name: dict[str, list[int]] = {}
    for number, words in enumerate(found):
        by_name.setdefault(" ".join(words.values()), []).append(number)
    for same in by_name.values():
        if len(same) > 1:
            _tell_apart([causes[number] for number in same], [found[number] for number in same])
    return found


def row_names(causes: Sequence[Cause]) -> list[str]:
    """`row_words` as one line each."""
    return [" ".join(words.values()) for words in row_words(causes)]


def _tell_apart(causes: Sequence[Cause], words: Sequence[dict[str, str]]) -> None:
    """Name what some of these rows have no record of."""
    for name in dict.fromkeys(name for cause in causes for part in cause.values() for name in part):
        values = [value_of(cause, name) for cause in causes]
        if len({_key(value) for value in values}) > 1:
            title = FACTS[name][0] if name in FACTS else name
            for of_row, value in zip(words, values, strict=True):
                of_row[name] = f"{title}={'unrecorded' if value is None else shortened(value)}"


def value_of(cause: Cause, name: str) -> Any:
    """A setting or fact by name; None where there is none."""
    return cause["settings"].get(name, cause["facts"].get(name))


def differs(causes: Iterable[Cause], name: str) -> bool:
    """Whether a setting or fact has several values among the rows that have it.

    A setting that shortens the work is off in a row that is learnt in epochs and does not name it, which is a value.
    """
    if name in OFF:
        return len({_key(value_of(cause, name)) for cause in causes if "epochs" in cause["settings"]}) > 1
    having = (cause for cause in causes if name not in OF_MEMORY or "memory_size" in cause["settings"])
    return len({_key(value_of(cause, name)) for cause in having} - {_key(None)}) > 1


def follows(causes: Sequence[Cause], name: str) -> bool:
    """Whether a fact differs only where those differ that it follows from."""
    values: dict[str, set[str]] = {}
    for cause in causes:
        sources = _key([value_of(cause, source) for source in FOLLOWS.get(name, ())])
        values.setdefault(sources, set()).add(_key(value_of(cause, name)))
    return name in FOLLOWS and all(len(found) == 1 for found in values.values())


def shortened(value: Any) -> str:
    """A value in a row's name: short ones as they are, a hash by its first eight letters, a list by those of a hash."""
    if isinstance(value, str):
        if len(value) >= 16 and not set(value) - set("0123456789abcdef"):
            return value[:8]
        text = value
    elif isinstance(value, list | tuple | dict):
        text = json.dumps(value).replace('"', "").replace(" ", "")
    else:
        return str(value)
    return text if len(text) <= 24 else hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
