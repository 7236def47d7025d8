"""Floating-point operations of the products that a run computes, counted where they are called.

Counted are matrix products, Cholesky factorisations and triangular solves, a multiplication and an addition as two:
what the formulas need, whatever a kernel does twice or leaves out. A backward pass counts where gradients are wanted, a
product for the weights and one for the inputs. Not counted: work element by element, eigenvalues and medians, the
gradients of Grad-CAM, and what a method of one's own computes with modules of its own.

One process counts one run at a time.

Shapes: n rows, D and E channels.
"""

import torch
from torch import Tensor

_counted = 0


def counted() -> int:
    """Operations since the process began."""
    return _counted


def count(operations: float) -> None:
    """Add to what has been counted."""
    global _counted
    _counted += round(operations)


def count_product(rows: int, inner: int, columns: int) -> None:
    """Of (rows, inner) by (inner, columns)."""
    count(2 * rows * inner * columns)


def count_linear(rows: int, weight: Tensor, *, inputs_learn: bool) -> None:
    """Of (rows, D) by a weight (E, D), with the backward pass where gradients are wanted; `inputs_learn`: of the inputs
    too."""
    passes = 1
    if torch.is_grad_enabled():
        passes += weight.requires_grad + inputs_learn
    count(passes * 2 * rows * weight.numel())
