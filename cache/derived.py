"""A smaller cache made from another one: neighbouring tokens averaged, the storage type changed.

A token stands for a patch of the picture. Those of a time slice lie in a grid, row by row; h x w of H x W tokens are
the means over blocks of H/h rows and W/w columns. A derived cache has the facts of its source, beside them what became
of the tokens, and so everything that is known of the encoders is known of it too.

L time slices, S tokens, D channels.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .fingerprint import Fingerprint
from .storage import StorageType, as_read, storage_type

Grid = tuple[int, int]
"""Rows and columns of a time slice's tokens."""

MEAN = "mean"
DERIVED = "derived"  # the fact's name


@dataclass(frozen=True)
class Derivation:
    """What becomes of each clip's features.

    Raises:
        InputError: the tokens do not divide the grid, or a storage type is unknown.
    """

    source: str
    """Digest of the fingerprint of the cache that it starts from."""
    source_storage: str
    """Storage type of that cache."""
    storage: str
    """Storage type of the derived one."""
    grid: Grid
    """Of a time slice's tokens in the source."""
    tokens: Grid
    """Of those in the derived cache."""

    def __post_init__(self) -> None:
        storage_type(self.source_storage)
        storage_type(self.storage)
        whole, part = self.grid, self.tokens
        if min(*whole, *part) < 1 or any(all_ % some for all_, some in zip(whole, part, strict=True)):
            raise InputError(
                f"{in_words(part)} tokens cannot be made of {in_words(whole)}: possible are {_possible(whole)}"
            )

    @property
    def kind(self) -> StorageType:
        """How the derived features are kept."""
        return storage_type(self.storage)

    def pooled(self, visual: Tensor) -> Tensor:
        """The means over blocks of tokens.

        Args:
            visual: (L, S, D) or (N, L, S, D) with S = H * W, any float dtype.

        Returns:
            float32, (..., h * w, D). Added up in one order, so that the number of threads changes no bit.
        """
        (height, width), (rows, columns) = self.grid, self.tokens
        down, across = height // rows, width // columns
        blocks = visual.unflatten(-2, (rows, down, columns, across))  # (..., h, H/h, w, W/w, D)
        total = torch.zeros_like(blocks[..., 0, :, 0, :], dtype=torch.float32)
        for row in range(down):
            for column in range(across):
                total += blocks[..., row, :, column, :]
        return (total / (down * across)).flatten(-3, -2)

    def as_read(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """A clip's features as a reader of the derived cache gets them, from those that the source gives.

        Args:
            visual: (L, S, D).
            audio: (D,).

        Raises:
            NotStorable: the storage type cannot keep them.
        """
        return as_read(self.pooled(visual), self.kind), as_read(audio.float(), self.kind)

    def fingerprint(self, source: Fingerprint) -> Fingerprint:
        """The derived cache's fingerprint, from its source's."""
        made = {"from": self.source, "storage": self.source_storage, "grid": self.grid, "tokens": self.tokens}
        return Fingerprint({**source.facts, "storage": self.storage, DERIVED: made})

    def __str__(self) -> str:
        if self.grid == self.tokens:
            return f"all {in_words(self.grid)} tokens, {self.storage} from {self.source_storage}"
        return (
            f"{in_words(self.tokens)} of {in_words(self.grid)} tokens, averaged, "
            f"{self.storage} from {self.source_storage}"
        )


def derivation_of(facts: Mapping[str, Any]) -> Derivation | None:
    """How a cache with these facts was derived; None where it was not.

    Raises:
        InputError: what the facts say of it cannot be.
    """
    made = facts.get(DERIVED)
    if made is None:
        return None
    try:
        found = Derivation(made["from"], made["storage"], facts["storage"], _pair(made["grid"]), _pair(made["tokens"]))
    except (KeyError, TypeError, ValueError, InputError):
        raise InputError("its facts do not say how it was derived: derive it again") from None
    if source_of(facts).digest != found.source:
        raise InputError("its facts are not those of the cache that it says it was derived from: derive it again")
    return found


def source_of(facts: Mapping[str, Any]) -> Fingerprint:
    """The fingerprint of the cache that one with these facts was derived from."""
    kept = {name: fact for name, fact in facts.items() if name != DERIVED}
    return Fingerprint({**kept, "storage": facts[DERIVED]["storage"]})


def derivation(source: Fingerprint, visual_shape: tuple[int, ...], tokens: str, storage: str | None) -> Derivation:
    """The derivation that a user asks for.

    Args:
        source: fingerprint of the cache to start from.
        visual_shape: (L, S, D) of its clips.
        tokens: "7x7", or "mean" for one token a time slice.
        storage: storage type of the derived cache; None: as it is.

    Raises:
        InputError: the source is derived itself; its tokens are no grid; they cannot be brought into the one asked for
            (the possible ones are named); or there is nothing to be done.
    """
    if DERIVED in source.facts:
        raise InputError("it is derived itself: derive from the cache that it was derived from")
    grid, kept = grid_of(source.facts, visual_shape[1]), str(source.facts.get("storage", ""))
    match = re.fullmatch(r"0*([1-9]\d{0,5})x0*([1-9]\d{0,5})", tokens)
    if match is None and tokens != MEAN:
        raise InputError(f"no grid of tokens: '{tokens}'; possible are {_possible(grid)}")
    wanted = (1, 1) if match is None else (int(match[1]), int(match[2]))
    asked = Derivation(source.digest, kept, storage or kept, grid, wanted)
    if asked.grid == asked.tokens and asked.storage == kept:
        raise InputError(f"it holds {in_words(grid)} tokens as {kept} already: choose fewer tokens or another storage")
    return asked


def grid_of(facts: Mapping[str, Any], tokens: int) -> Grid:
    """The grid of so many tokens: by the sizes of picture and patches where the facts have them, else a square.

    Raises:
        InputError: neither gives that number.
    """
    encoder = facts.get("visual_encoder")
    architecture = encoder.get("architecture") if isinstance(encoder, Mapping) else None
    if isinstance(architecture, Mapping):
        try:
            size, patch = _pair(architecture["image_size"]), _pair(architecture["patch_size"])
            grid = size[0] // patch[0], size[1] // patch[1]
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            pass
        else:
            if grid[0] * grid[1] == tokens:
                return grid
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise InputError(f"{tokens} tokens a time slice are no square grid: which of them are neighbours is not known")
    return side, side


def in_words(grid: Grid) -> str:
    """ "7x7"."""
    return f"{grid[0]}x{grid[1]}"


def _pair(value: Any) -> Grid:
    if isinstance(value, int):
        return value, value
    first, second = value
    if not isinstance(first, int) or not isinstance(second, int):
        raise TypeError("no pair of whole numbers")
    return first, second


def _possible(grid: Grid) -> str:
    """The grids that can be made of one, coarser and coarser, in its own proportions."""
    common = math.gcd(*grid)
    parts = [part for part in range(1, common + 1) if common % part == 0]
    names = [in_words((grid[0] // part, grid[1] // part)) for part in parts]
    other = "" if grid[0] == grid[1] and common == 1 else f" (and others whose sides divide {in_words(grid)})"
    return ", ".join(dict.fromkeys([*names, MEAN])) + other
