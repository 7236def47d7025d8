"""Devices and precisions."""

import subprocess
import sys

import pytest
import torch
from avcil.devices import PRECISIONS, choose_device, dtype_of, fastest_precision, multiplies_bfloat16_fast
from avcil.errors import InputError


def test_precisions_are_named_as_pytorch_names_them():
    assert [str(dtype_of(precision)) for precision in PRECISIONS] == [f"torch.{name}" for name in PRECISIONS]


@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_the_fastest_precision_is_what_the_device_multiplies_fast(monkeypatch, fast, precision):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    assert multiplies_bfloat16_fast(torch.device("cpu")) is fast
    assert fastest_precision(torch.device("cpu")) == precision


def test_a_device_that_is_not_there_is_refused():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match=r"device 'cuda:99' cannot be used \(.*\); try --device auto or cpu"):
        choose_device("cuda:99")


def test_its_names_can_be_had_without_pytorch():
    program = "import sys; from avcil.devices import PRECISIONS; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
