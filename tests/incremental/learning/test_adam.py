"""Adam against PyTorch's to the last bit, and against its formula."""

import copy
import subprocess
import sys

import pytest
import torch
from avcil.incremental.learning.adam import Adam, Optimiser, adam
from torch import Tensor

SETTINGS = {"learning_rate": 3e-3, "weight_decay": 1e-2}


def parameters() -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=random).requires_grad_() for shape in ((64, 33), (7,), (3, 5, 2))]


def gradients(step: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(step + 1)
    return [torch.randn(parameter.shape, generator=random) for parameter in parameters()]


def go(optimiser: Optimiser, of: list[Tensor], steps: range) -> None:
    for step in steps:
        optimiser.zero_grad()
        assert all(parameter.grad is None for parameter in of)
        for number, (parameter, gradient) in enumerate(zip(of, gradients(step), strict=True)):
            if number != 1 or step % 3:  # one that is sometimes without a gradient
                parameter.grad = gradient
        optimiser.step()


def test_equals_pytorchs_to_the_last_bit():
    ours, theirs = parameters(), parameters()
    go(Adam(ours, **SETTINGS), ours, range(10))
    go(torch.optim.Adam(theirs, lr=3e-3, weight_decay=1e-2, fused=True), theirs, range(10))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_equals_its_formula():
    ours, right = parameters(), [parameter.detach().double() for parameter in parameters()]
    go(Adam(ours, **SETTINGS), ours, range(10))
    for number, theta in enumerate(right):
        m, v, t = torch.zeros_like(theta), torch.zeros_like(theta), 0
        for step in range(10):
            if number == 1 and not step % 3:
                continue
            t += 1
            g = gradients(step)[number].double() + 1e-2 * theta
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            theta -= 3e-3 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        torch.testing.assert_close(ours[number].detach().double(), theta, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("other", ["ours", "PyTorch's"])
def test_goes_on_from_a_state(other):
    whole, halves = parameters(), parameters()
    go(Adam(whole, **SETTINGS), whole, range(10))
    first = (
        Adam(halves, **SETTINGS)
        if other == "ours"
        else torch.optim.Adam(halves, lr=3e-3, weight_decay=1e-2, fused=True)
    )
    go(first, halves, range(4))
    second = Adam(halves, **SETTINGS)
    state = first.state_dict()
    before = copy.deepcopy(state)
    second.load_state_dict(state)
    go(second, halves, range(4, 10))
    assert all(torch.equal(one, other) for one, other in zip(whole, halves, strict=True))
    assert torch.equal(state["state"][0]["exp_avg"], before["state"][0]["exp_avg"])  # not written into


def test_a_state_of_other_parameters_is_refused():
    of = parameters()
    optimiser = Adam(of, **SETTINGS)
    go(optimiser, of, range(2))
    with pytest.raises(ValueError, match="of other parameters"):
        Adam(of[1:], **SETTINGS).load_state_dict(optimiser.state_dict())


def test_zero_gradients_are_kept_where_they_are_asked_for():
    of = parameters()
    optimiser = Adam(of, **SETTINGS)
    of[0].grad = torch.ones_like(of[0])
    optimiser.zero_grad(set_to_none=False)
    assert of[0].grad is not None
    assert not of[0].grad.any()
    assert of[1].grad is None
    Adam([], **SETTINGS).step()


def test_which_adam():
    assert isinstance(adam(parameters(), learning_rate=0.1, weight_decay=0.0), Adam)
    mixed = [*parameters(), torch.zeros(1, device="meta")]
    assert isinstance(adam(mixed, learning_rate=0.1, weight_decay=0.0), torch.optim.Adam)


def test_pytorchs_compiler_is_not_imported():
    program = """
import sys, torch
from avcil.incremental.learning.adam import adam
weight = torch.ones(3, requires_grad=True)
optimiser = adam([weight], learning_rate=0.1, weight_decay=0.0)
weight.sum().backward()
optimiser.step()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
