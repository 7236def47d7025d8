"""Devices and precisions, and what this processor multiplies: also as if it could do less than it can."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from avcil.devices import (
    PRECISIONS,
    choose_device,
    describe_device,
    dtype_of,
    fastest_precision,
    fused_linear_types,
    multiplies_bfloat16_fast,
)
from avcil.errors import InputError

HERE = Path(__file__).parent
CPU = torch.device("cpu")


def test_precisions_are_named_as_pytorch_names_them():
    assert [str(dtype_of(precision)) for precision in PRECISIONS] == [f"torch.{name}" for name in PRECISIONS]


@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_the_fastest_precision_is_what_the_device_multiplies_fast(monkeypatch, fast, precision):
    monkeypatch.setattr("avcil.devices.multiplies_bfloat16_fast", lambda device: fast)
    assert fastest_precision(CPU) == precision


def test_devices_are_chosen_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match=r"^device 'cuda:99' cannot be used \(.*\); try --device auto or cpu$"):
        choose_device("cuda:99")
    with pytest.raises(InputError, match=r"^device 'meta' cannot be used \(it has shapes and no values\); try"):
        choose_device("meta")


def test_its_names_can_be_had_without_pytorch():
    program = "import sys; from avcil.devices import PRECISIONS; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_cpu_is_described_by_its_threads():
    assert describe_device(CPU) == f"cpu, {torch.get_num_threads()} threads"


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_are_fast_at_bfloat16_from_ampere_on(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bfloat16_fast(torch.device("cuda")) is fast


def test_other_devices_are_not_known_to_be():
    assert multiplies_bfloat16_fast(torch.device("meta")) is False


def test_nothing_is_fused_without_the_operator(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert fused_linear_types.__wrapped__() == frozenset()


# ------------------------------------------------------------------------------------- as on a lesser processor

ANSWERS_AND_TESTS = """
import sys
import pytest
import torch
from avcil.devices import fused_linear_types, multiplies_bfloat16_fast
print("bfloat16 fused:", torch.bfloat16 in fused_linear_types())
print("bfloat16 fast:", multiplies_bfloat16_fast(torch.device("cpu")))
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
WHAT_MULTIPLIES = (
    "incremental/model/kernels/test_products.py",
    "incremental/model/test_attention.py::test_relative_error_at_full_size",
    "incremental/model/test_attention.py::test_weight_gradient_stays_exact_over_many_clips",
    "incremental/model/test_attention.py::test_a_clip_does_not_depend_on_its_batch",
    "incremental/model/test_attention_teacher.py::test_relative_error_of_the_cross_entropy_at_full_size",
    "incremental/runs/test_repetition.py::test_so_in_bfloat16_and_with_one_modality[ss-il-given0]",
)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these limits are for x86-64")
@pytest.mark.parametrize(
    ("limits", "fused"),
    [
        ({"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, False),
        ({"DNNL_MAX_CPU_ISA": "avx512_core_vnni", "ATEN_CPU_CAPABILITY": "default"}, None),
    ],
    ids=["AVX2", "AVX512 without bfloat16"],
)
def test_with_fewer_instructions_bfloat16_is_not_fast_and_all_is_right(limits: dict[str, str], fused: bool | None):
    """oneDNN can be held to older instructions; with AVX512 alone it still takes bfloat16."""
    if fused is None:
        fused = torch.cpu._is_avx512_supported()
    done = subprocess.run(
        [sys.executable, "-c", ANSWERS_AND_TESTS, *(str(HERE / test) for test in WHAT_MULTIPLIES)],
        env={name: value for name, value in os.environ.items() if not name.endswith("MAX_CPU_ISA")} | limits,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"bfloat16 fused: {fused}\nbfloat16 fast: False\n" in done.stdout
