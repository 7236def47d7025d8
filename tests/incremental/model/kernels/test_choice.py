"""Which way of attention pooling serves a store."""

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.model.kernels import choose


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_auto_is_fused_on_a_cpu(dtype):
    assert choose("auto", torch.zeros(1, dtype=dtype)) == "cpu"


def test_auto_is_plain_where_nothing_is_fused():
    assert choose("auto", torch.zeros(1, device="meta")) == "plain"
    assert choose("auto", torch.zeros(1, requires_grad=True)) == "plain"
    assert choose("auto", torch.zeros(1, dtype=torch.float8_e4m3fn)) == "plain"


@pytest.mark.parametrize(
    ("way", "store", "message"),
    [
        ("cpu", torch.zeros(1, device="meta"), "works on a cpu store, and this one is on meta"),
        ("cpu", torch.zeros(1, dtype=torch.int8), "does not work on torch.int8"),
        ("cpu", torch.zeros(1, requires_grad=True), "gives the store no gradient"),
        ("triton", torch.zeros(1, dtype=torch.float64), "does not work on torch.float64"),
    ],
)
def test_a_way_that_cannot_says_why(way, store, message):
    with pytest.raises(ValueError, match=message):
        choose(way, store)


def test_triton_says_when_it_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs the package triton"):
        choose("triton", torch.zeros(1))


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="valid: auto, cpu, plain, triton"):
        choose("zzz", torch.zeros(1))
