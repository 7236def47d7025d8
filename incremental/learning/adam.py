"""Adam (Kingma and Ba, ICLR 2015, algorithm 1) with the weight decay inside the gradient, in one pass over memory.

It is `torch.optim.Adam(fused=True)` to the last bit, by the same operator. PyTorch's class imports a compiler when the
first optimiser is made, which takes more than a third of all that comes before a run's first step.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

BETAS = 0.9, 0.999
EPSILON = 1e-8


class Optimiser(Protocol):
    """What learning needs of an optimiser; PyTorch's own have it."""

    def step(self) -> Any:
        """Change the parameters by their gradients."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on from here."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Go on from what `state_dict` gave."""
        ...


def adam(
    parameters: Iterable[Tensor], *, learning_rate: float, weight_decay: float, capturable: bool = False
) -> Optimiser:
    """Adam of these parameters: `Adam` on a CPU, elsewhere and for CUDA graphs (`capturable`) PyTorch's class."""
    parameters = list(parameters)
    devices = {parameter.device.type for parameter in parameters}
    if devices == {"cpu"} and not capturable and hasattr(torch, "_fused_adam_"):
        return Adam(parameters, learning_rate, weight_decay)
    fused = devices <= {"cpu", "cuda"}
    return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=fused, capturable=capturable)


class Adam:
    """For parameters on a CPU. A parameter without a gradient stays as it is, its moments too.

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  theta -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    where g is the gradient + weight_decay theta, b1 and b2 are `BETAS` and t counts the parameter's steps.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._state: dict[int, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients."""
        gradients = {
            number: parameter.grad for number, parameter in enumerate(self.parameters) if parameter.grad is not None
        }
        if not gradients:
            return
        for number in gradients:
            if number not in self._state:
                parameter = self.parameters[number]
                self._state[number] = {
                    "step": torch.zeros((), dtype=torch.float32),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self._state[number] for number in gradients]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            [self.parameters[number] for number in gradients],
            list(gradients.values()),
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            amsgrad=False,
            lr=self.learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
            grad_scale=None,
            found_inf=None,
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with `set_to_none` false make them zero."""
        for parameter in self.parameters:
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Steps and moments by the parameter's number, as PyTorch's class has them; the tensors in use, no copies."""
        return {"state": {number: dict(state) for number, state in self._state.items()}, "param_groups": []}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict` of this class or of PyTorch's. ValueError where it is of other parameters."""
        loaded = {}
        for number, state in state_dict["state"].items():
            if not 0 <= number < len(self.parameters) or state["exp_avg"].shape != self.parameters[number].shape:
                raise ValueError("the optimiser's state is of other parameters")
            loaded[number] = {name: state[name].detach().clone() for name in ("step", "exp_avg", "exp_avg_sq")}
        self._state = loaded
