"""What made a cache, as plain facts, and one number that changes when any of them does."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = "nothing"
DIFFERENCES_SHOWN = 4
NAMING = ("origin", "encoder", "name", "recipe", "storage", "reading")
"""Facts that say most to people."""
LONG = re.compile(r'"([^"]{12})[^"]{28,}"')  # a hash, most often


@dataclass(frozen=True)
class Fingerprint:
    """The facts a cache's features depend on: encoders and weights, preparation, storage type.

    Args:
        facts: nested plain JSON values, for example `{"visual_encoder": {...}, "audio_encoder": {...},
            "recipe": {...}, "storage": "float16"}`. Tuples become lists; NaN and infinity are refused.

    Raises:
        TypeError, ValueError: a fact is not a plain JSON value.
    """

    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        # Through JSON and back, so that facts given in Python and facts read from a file compare equal.
        object.__setattr__(self, "facts", json.loads(json.dumps(self.facts, allow_nan=False)))

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the facts as canonical JSON (sorted keys, no spaces, UTF-8)."""
        canonical = json.dumps(self.facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode("utf-8")).hexdigest()

    def differences(self, other: "Fingerprint") -> list[str]:
        """One line for each fact that differs: "recipe.sample_rate: 16000 here, 11430 there"."""
        here, there = dict(_leaves(self.facts)), dict(_leaves(other.facts))
        lines = []
        for name in sorted(here.keys() | there.keys()):
            mine, theirs = here.get(name, ABSENT), there.get(name, ABSENT)
            if mine != theirs:
                lines.append(f"{name}: {mine} here, {theirs} there")
        return lines

    def difference(self, other: "Fingerprint") -> str:
        """The differences for one line: names of things first, the first few, long values cut."""
        lines = sorted(self.differences(other), key=_importance)
        more = f"; and {len(lines) - DIFFERENCES_SHOWN} more" if len(lines) > DIFFERENCES_SHOWN else ""
        return "; ".join(LONG.sub(r'"\1…"', line) for line in lines[:DIFFERENCES_SHOWN]) + more

    @property
    def random_weights(self) -> bool:
        """Whether any encoder's weights were drawn at random rather than learnt.

        True when a fact named `random_weights`, however deep, holds a seed (0 is one) or true.
        """
        return any(
            name.rpartition(".")[2] == "random_weights" and value not in ("null", "false")
            for name, value in _leaves(self.facts)
        )

    @property
    def absent(self) -> tuple[str, ...]:
        """The modalities, of "visual" and "audio", of which the cache has a placeholder only."""
        made = {name: self.facts.get(f"{name}_encoder") for name in ("visual", "audio")}
        return tuple(name for name, by in made.items() if isinstance(by, Mapping) and by.get("encoder") == "none")

    def __hash__(self) -> int:
        return hash(self.digest)


def _importance(line: str) -> tuple[bool, int, str]:
    """Facts that name something come first, then those that stand highest."""
    fact = line.partition(": ")[0]
    return fact.rpartition(".")[2] not in NAMING, fact.count("."), fact


def _leaves(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every fact as (dotted name, value as JSON); lists count as one value, and so do empty tables."""
    for key, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, json.dumps(value, ensure_ascii=False, sort_keys=True)
