"""The hash of weights, and reading that runs nothing."""

import hashlib

import pytest
import safetensors.torch
import torch
from avcil.errors import InputError
from avcil.extract.encoders.weights import digest, listed, read_tensors


def test_the_digest_is_the_documented_one():
    tensors = {"b": torch.tensor([[1.0, 2.0]]), "a": torch.tensor(3, dtype=torch.int64)}
    expected = hashlib.sha256(
        b"a torch.int64 []\n"
        + (3).to_bytes(8, "little")
        + b"b torch.float32 [1, 2]\n"
        + bytes.fromhex("0000803f00000040")
    ).hexdigest()
    assert digest(tensors) == expected


def test_the_digest_tells_names_types_and_shapes_apart():
    base = {"a": torch.zeros(4)}
    others = [{"b": torch.zeros(4)}, {"a": torch.zeros(2, 2)}, {"a": torch.zeros(4, dtype=torch.int32)}]
    assert len({digest(tensors) for tensors in [base, *others]}) == 4


def test_the_digest_is_of_values_not_of_layout():
    matrix = torch.arange(6.0).view(2, 3)
    assert digest({"a": matrix.T.contiguous()}) == digest({"a": matrix.T})


def test_shards_are_read_together(tmp_path):
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "1.safetensors")
    torch.save({"state_dict": {"b": torch.zeros(3)}}, tmp_path / "2.bin")
    tensors = read_tensors([tmp_path / "1.safetensors", tmp_path / "2.bin"])
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {"a": (2,), "b": (3,)}


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"a": torch.ones(200)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="is no readable safetensors file"):
        read_tensors([path])


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcde")) == "a, b, c and 2 more"
