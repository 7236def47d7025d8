"""How a feature value is kept in a file: float16, bfloat16, float32, or int8 with one scale a token.

L time slices, S tokens, D channels. A "token" is one row of D channels, whether of (L, S, D) or of (D,).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError, unknown

UNSPLIT = 32_704  # values that torch converts without calling on its other threads (fewer than 32,768)

Array = NDArray[Any]
INFINITY: Mapping[str, tuple[type[np.unsignedinteger[Any]], int]] = {
    "<f2": (np.uint16, 0x7C00),
    "<u2": (np.uint16, 0x7F80),
    "<f4": (np.uint32, 0x7F800000),
}
INT8_STEPS = 127  # symmetric: -128 is never used, so a value and its negative keep the same precision


@dataclass(frozen=True)
class StorageType:
    """One way of keeping features."""

    name: str
    """What the user and the fingerprint call it."""
    file_dtype: str
    """The numpy dtype of the file's data set, with its byte order; for bfloat16 its bits as uint16."""
    dtype: torch.dtype
    """What a reader gets when it asks for no type: the stored type itself; for int8, float32."""
    bits_dtype: torch.dtype
    """The torch dtype of the bytes in the file."""
    plain_dtype: str
    """The numpy dtype of the values before they are scaled: `file_dtype`, unless `scaled`."""
    advice: str
    """What to do about a value this type cannot hold."""
    scaled: bool = False
    """Whether each token has a float32 scale beside its values."""


STORAGE_TYPES: Mapping[str, StorageType] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            StorageType("float16", "<f2", torch.float16, torch.float16, "<f2", "store as bfloat16 or float32"),
            StorageType("bfloat16", "<u2", torch.bfloat16, torch.bfloat16, "<u2", "store as float32"),
            StorageType("float32", "<f4", torch.float32, torch.float32, "<f4", "check the encoder"),
            StorageType("int8", "|i1", torch.float32, torch.int8, "<f4", "check the encoder", scaled=True),
        )
    }
)
"""By name; the first is the default."""


class NotStorable(InputError):  # noqa: N818 - says what is so, as the reason of a quarantined clip does
    """A clip's features cannot be kept: not finite, or beyond the range of the storage type."""


class Stored(NamedTuple):
    """Values as they lie in the file."""

    values: Array
    """The shape of what was given, of the storage type's `file_dtype`."""
    scale: Array | None
    """float32, one a token (the shape without its last axis); None for types without a scale."""


def storage_type(name: str) -> StorageType:
    """The storage type of that name; `InputError` with the nearest name when there is none."""
    if name not in STORAGE_TYPES:
        raise unknown("storage type", name, STORAGE_TYPES)
    return STORAGE_TYPES[name]


def dtype_stored(name: str) -> torch.dtype:
    """The floating-point type that bounds the values of a storage type; `InputError` for an unknown name."""
    return storage_type(name).dtype


def bytes_per_clip(name: str, visual_shape: tuple[int, ...], audio_shape: tuple[int, ...]) -> int:
    """Bytes that one clip's features take in a shard, names and checksums aside."""
    kind = storage_type(name)
    total = 0
    for shape in (visual_shape, audio_shape):
        total += math.prod(shape) * np.dtype(kind.file_dtype).itemsize
        total += math.prod(shape[:-1]) * 4 if kind.scaled else 0
    return total


def to_stored(features: np.ndarray | torch.Tensor, kind: StorageType, what: str) -> Stored:
    """Turn features into the bytes that go to the file.

    Args:
        features: any float dtype and any device, shape (..., D); for bfloat16 also its bits as uint16.
        kind: the storage type.
        what: whose features these are, for the error message.

    Raises:
        NotStorable: a value is NaN or infinite, or would become so in this type.
    """
    given = _as_tensor(features, kind)
    kept = _converted(given, kind.dtype)
    bits = kept.view(torch.uint16) if kind.dtype == torch.bfloat16 else kept
    values = bits.numpy().astype(kind.plain_dtype, copy=False)
    if not all_finite(values):
        if not torch.isfinite(given).all():
            raise NotStorable(f"{what} hold values that are not finite")
        largest, limit = given.abs().max().item(), torch.finfo(kind.dtype).max
        raise NotStorable(f"{what} reach {largest:.6g}, beyond {kind.name}'s {limit:.6g}: {kind.advice}")
    return quantise(values) if kind.scaled else Stored(values, None)


def all_finite(values: Array) -> bool:
    """Whether no value, as it lies in a file, is NaN or infinite; integers never are, unless bfloat16's bits.

    Without its sign bit, a float of the standard formats is finite just if its bits, as a number, are below those of
    infinity: one pass over integers, on one core.
    """
    if values.dtype.kind == "i":
        return True
    unsigned, infinity = INFINITY[values.dtype.str]
    magnitude = values.view(unsigned) & unsigned(np.iinfo(unsigned).max >> 1)
    return bool(magnitude.max() < infinity)


def _converted(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The same values in another type, contiguous, worked out by this thread alone.

    torch would spread the work over all cores and wait for the slowest. While decoders keep the cores busy, that
    wait is a hundred times as long as the work.
    """
    if values.dtype == dtype:
        return values.contiguous()
    result = torch.empty(values.shape, dtype=dtype)
    parts = zip(result.view(-1).split(UNSPLIT), values.reshape(-1).split(UNSPLIT), strict=True)
    for target, source in parts:
        target.copy_(source)
    return result


def _as_tensor(features: np.ndarray | torch.Tensor, kind: StorageType) -> torch.Tensor:
    if isinstance(features, torch.Tensor):
        tensor = features.detach().cpu()
    else:
        array = np.ascontiguousarray(features)
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    if tensor.dtype == torch.uint16 and kind.dtype == torch.bfloat16:
        return tensor.view(torch.bfloat16)
    if not tensor.is_floating_point():
        raise TypeError(f"features have to be floating-point, not {tensor.dtype}")
    return tensor


def quantise(features: Array) -> Stored:
    """Symmetric int8 with one scale a token: features ~ values * scale[..., None].

    Args:
        features: (..., D) float32, finite.

    Returns:
        values (..., D) int8 in -127..127; scale (...) float32 = the token's largest magnitude / 127.
    """
    scale = np.abs(features).max(axis=-1) / np.float32(INT8_STEPS)
    # A scale so small that float32 keeps few digits of it would be wrong by large factors: such tokens are zeros.
    scale = np.where(scale >= np.finfo(np.float32).tiny, scale, np.float32(0))
    divisor = np.where(scale > 0, scale, np.float32(np.inf))
    values = np.rint(features / divisor[..., None]).clip(-INT8_STEPS, INT8_STEPS)
    return Stored(values.astype(np.int8), scale.astype(np.float32))


def from_stored(bits: torch.Tensor, scale: torch.Tensor | None, out: torch.Tensor, wide: torch.Tensor) -> None:
    """Write stored values into `out`, of any float dtype, converting on the way.

    Args:
        bits: the stored values, of the storage type's `bits_dtype`.
        scale: for scaled types, one a token; otherwise None.
        out: the shape of `bits`.
        wide: float32 scratch of the shape of `bits`; left with no particular content.
    """
    if scale is not None:
        # Measured: converted first and multiplied then, it takes a twentieth of the time of a product of two types.
        out.copy_(wide.copy_(bits).mul_(scale[..., None]))
    elif {bits.dtype, out.dtype} == {torch.float16, torch.bfloat16}:
        # Measured: torch converts between the two 16-bit types several times faster by way of float32. Both
        # fit float32 exactly, so the single rounding at the end is the same one.
        wide.copy_(bits)
        out.copy_(wide)
    else:
        out.copy_(bits)


def as_read(features: torch.Tensor, kind: StorageType) -> torch.Tensor:
    """Features (..., D) as they come out of a cache of that storage type. NotStorable where it cannot keep them."""
    stored = to_stored(features, kind, "its features")
    bits = torch.from_numpy(stored.values).view(kind.bits_dtype)
    out = torch.empty(bits.shape, dtype=kind.dtype)
    scale = None if stored.scale is None else torch.from_numpy(stored.scale)
    from_stored(bits, scale, out, torch.empty(bits.shape))
    return out
