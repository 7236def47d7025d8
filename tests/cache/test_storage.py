from pathlib import Path

import numpy as np
import pytest
import torch
from avcil.cache import STORAGE_TYPES, CacheWriter, FeatureCache, Fingerprint, NotStorable, bytes_per_clip
from avcil.cache.storage import all_finite, as_read, from_stored, quantise, storage_type, to_stored
from avcil.errors import InputError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

NUMBERS = np.array([[0.0, -0.0, 1.0, -2.5, 3.14159, 1e-3], [65504.0, -65504.0, 1e-7, 6e-8, 0.1, 1 / 3]], np.float32)


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """Round to nearest, ties to even, worked out on the bits of float32."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def test_float16_is_the_default_and_names_are_those_of_the_command_line():
    assert list(STORAGE_TYPES) == ["float16", "bfloat16", "float32", "int8"]


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("float16", NUMBERS.astype(np.float16)),
        ("bfloat16", bfloat16_bits(NUMBERS)),
        ("float32", NUMBERS),
    ],
)
def test_stored_bits_are_those_of_the_type(name, expected, as_tensor):
    given_values = torch.from_numpy(NUMBERS) if as_tensor else NUMBERS
    stored = to_stored(given_values, storage_type(name), "features")
    assert stored.scale is None
    assert stored.values.dtype == expected.dtype
    assert stored.values.tobytes() == expected.tobytes()


def test_values_already_in_the_type_go_through_untouched():
    half = torch.randn(3, 4).to(torch.float16)
    assert to_stored(half, storage_type("float16"), "f").values.tobytes() == half.numpy().tobytes()
    brain = torch.randn(3, 4).to(torch.bfloat16)
    bits = brain.view(torch.uint16).numpy()
    for same in (brain, bits):
        assert to_stored(same, storage_type("bfloat16"), "f").values.tobytes() == bits.tobytes()


@pytest.mark.parametrize(
    ("name", "fits", "too_large", "advice"),
    [
        ("float16", 65519.0, 65520.0, "bfloat16 or float32"),  # half-way to 65536 rounds up, to infinity
        ("bfloat16", 3.3895e38, 3.4e38, "float32"),
    ],
)
def test_a_value_beyond_the_range_never_becomes_infinite(name, fits, too_large, advice):
    kind = storage_type(name)
    kept = to_stored(np.array([fits, -fits], np.float32), kind, "features of clip 'x'")
    bits = torch.from_numpy(kept.values.copy())
    assert torch.isfinite(bits.view(kind.bits_dtype).float()).all()
    with pytest.raises(NotStorable) as error:
        to_stored(np.array([1.0, -too_large], np.float32), kind, "features of clip 'x'")
    assert f"features of clip 'x' reach {too_large:.6g}, beyond {name}'s" in str(error.value)
    assert str(error.value).endswith(f"store as {advice}")


@pytest.mark.parametrize("name", STORAGE_TYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(name, bad):
    with pytest.raises(NotStorable, match="clip 'x' hold values that are not finite"):
        to_stored(np.array([[1.0, bad]], np.float32), storage_type(name), "features of clip 'x'")


@given(arrays(np.float32, (3, 8), elements=st.floats(-1e6, 1e6, width=32)))
@settings(max_examples=50, deadline=None)
def test_int8_is_within_half_a_step_of_each_tokens_scale(tokens):
    values, scale = quantise(tokens)
    assert scale is not None
    assert values.dtype == np.int8
    assert values.min() >= -127
    largest = np.abs(tokens).max(axis=1)
    assert (scale == np.where(largest / np.float32(127) < 2.0**-126, 0, largest / np.float32(127))).all()
    error = np.abs(values.astype(np.float64) * scale[:, None].astype(np.float64) - tokens)
    assert (error <= np.where(scale > 0, scale * 0.5001, 127 * 2.0**-126)[:, None]).all()


def test_int8_by_hand():
    tokens = np.array([[127.0, -63.5, 0.4, 0.6], [0.0, 0.0, 0.0, 0.0], [1e-45, 0.0, 0.0, 0.0]], np.float32)
    values, scale = quantise(tokens)
    assert scale is not None
    assert values.tolist() == [[127, -64, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]  # -63.5 is a tie: to even
    assert scale.tolist() == [1.0, 0.0, 0.0]


def test_more_values_than_torch_converts_at_once():
    features = torch.randn(2, 5, 8191, generator=torch.Generator().manual_seed(2))
    stored = to_stored(features.transpose(0, 1), storage_type("float16"), "features")  # and not contiguous
    assert stored.values.tobytes() == features.numpy().transpose(1, 0, 2).astype(np.float16).tobytes()


@pytest.mark.parametrize(
    ("name", "unsigned"), [("float16", np.uint16), ("bfloat16", np.uint16), ("float32", np.uint32)]
)
def test_finite_is_told_as_torch_tells_it(name, unsigned):
    kind = storage_type(name)
    width = np.dtype(unsigned).itemsize * 8
    high = np.arange(2**16, dtype=np.uint64) << (width - 16)  # every sign, exponent and leading bit
    bits = np.concatenate([high, high + 1]).astype(unsigned).view(kind.file_dtype)
    expected = torch.isfinite(torch.from_numpy(bits.copy()).view(kind.bits_dtype))
    assert [all_finite(bits[index : index + 1]) for index in range(len(bits))] == expected.tolist()
    assert not all_finite(bits)
    assert all_finite(bits[expected.numpy()])


@pytest.mark.parametrize("result", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", STORAGE_TYPES)
def test_reading_back_rounds_once(name, result):
    kind = storage_type(name)
    tokens = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    stored = to_stored(tokens, kind, "features")
    bits = torch.from_numpy(stored.values.copy())
    bits = bits.view(kind.bits_dtype)
    scale = None if stored.scale is None else torch.from_numpy(stored.scale)
    out = torch.empty(4, 6, dtype=result)
    from_stored(bits, scale, out, torch.empty(4, 6))
    exact = bits.double() if scale is None else (bits.float() * scale[:, None]).double()
    assert torch.equal(out, exact.to(result))


def test_bytes_of_a_clip_of_the_true_shape():
    visual, audio = (8, 196, 768), (768,)
    assert bytes_per_clip("float16", visual, audio) == 2 * (8 * 196 * 768 + 768)
    assert bytes_per_clip("bfloat16", visual, audio) == 2 * (8 * 196 * 768 + 768)
    assert bytes_per_clip("float32", visual, audio) == 4 * (8 * 196 * 768 + 768)
    assert bytes_per_clip("int8", visual, audio) == 8 * 196 * 768 + 768 + 4 * (8 * 196 + 1)


def test_an_unknown_type_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="unknown storage type 'flaot16': did you mean 'float16'"):
        storage_type("flaot16")
    with pytest.raises(TypeError, match="floating-point"):
        to_stored(np.arange(3), storage_type("float16"), "features")


@pytest.mark.parametrize("storage", list(STORAGE_TYPES))
def test_features_are_rounded_as_in_a_cache(storage: str, tmp_path: Path):
    drawn = torch.Generator().manual_seed(0)
    visual, audio = torch.randn(1, 2, 3, 8, generator=drawn), torch.randn(1, 8, generator=drawn)
    with CacheWriter(tmp_path / "cache", Fingerprint({"storage": storage})) as writer:
        writer.write_shard("shard-00000", ["clip"], visual, audio)
    kept = FeatureCache(tmp_path / "cache").read(["clip"])
    kind = STORAGE_TYPES[storage]
    assert torch.equal(as_read(visual[0], kind), kept.visual[0])
    assert torch.equal(as_read(audio[0], kind), kept.audio[0])


def test_what_the_cache_could_not_hold_is_refused():
    with pytest.raises(NotStorable, match="float16"):
        as_read(torch.tensor([1e6]), STORAGE_TYPES["float16"])
