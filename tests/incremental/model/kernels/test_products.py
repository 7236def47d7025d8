"""The CPU's matrix products: oneDNN's operator and the public ones that stand in for it."""

import pytest
import torch
from avcil.devices import multiplies_bfloat16_fast
from avcil.incremental.model.kernels import products

TOLERANCE = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 4e-3}


@pytest.fixture(params=["as it is", "without oneDNN's operator"])
def _operators(request, monkeypatch):
    if request.param != "as it is":
        monkeypatch.setattr(products, "fused_linear_types", frozenset)


@pytest.mark.usefixtures("_operators")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("tokens", "inner", "outer"), [(196, 96, 96), (5, 7, 3), (1, 1, 1)])
def test_tanh_linear(dtype, tokens, inner, outer):
    x, weight = torch.randn(tokens, inner).to(dtype), torch.randn(outer, inner).to(dtype) / inner**0.5
    bias = torch.randn(outer, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    found = products.tanh_linear(x, weight, bias)
    right = torch.tanh(x.double() @ weight.double().t() + bias.double())
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), right, rtol=0, atol=3 * TOLERANCE[dtype])
    again = products.tanh_linear(x, products.packed(weight, tokens), bias)
    torch.testing.assert_close(again.double(), right, rtol=0, atol=3 * TOLERANCE[dtype])


@pytest.mark.usefixtures("_operators")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("tokens", "inner", "outer"), [(196, 96, 64), (5, 7, 3), (1, 1, 1)])
def test_transposed_product(dtype, tokens, inner, outer):
    left, right = torch.randn(tokens, outer).to(dtype), torch.randn(tokens, inner).to(dtype)
    found = products.transposed_product(left, right, torch.empty(outer, inner, dtype=dtype))
    exact = left.double().t() @ right.double()
    assert found.dtype == dtype
    assert found.shape == (outer, inner)
    assert (found.double() - exact).norm() <= TOLERANCE[dtype] * exact.norm()


def test_product_types():
    assert products.product_type(torch.float64) == torch.float64
    assert products.product_type(torch.float32) == torch.float32
    half = torch.bfloat16 if multiplies_bfloat16_fast(torch.device("cpu")) else torch.float32
    assert products.product_type(torch.bfloat16) == products.product_type(torch.float16) == half
