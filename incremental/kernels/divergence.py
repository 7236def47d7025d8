"""The sum of -t log s over attention maps, clip by clip, with a backward pass of its own.

Shapes: n clips; maps of any further shape.

Over (n, L, S, D) PyTorch's own operations write half a dozen arrays of that size; here a clip's map is converted and
summed while it is in the cache, and the only array written is the gradient.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .team import share


def cross_entropy_of_maps(log_student: Tensor, teacher: Tensor) -> Tensor:
    """-sum t log s for log_student (n, ...) of one float type and teacher (n, ...) of any; no gradient for t."""
    if log_student.device.type == "cpu":
        total: Tensor = _CrossEntropyOfMaps.apply(log_student, teacher)
        return total
    return -(teacher.to(log_student.dtype) * log_student).sum()


class _CrossEntropyOfMaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_student: Tensor, teacher: Tensor) -> Tensor:
        def summed(clips: range) -> list[float]:
            buffer = torch.empty_like(log_student[0])
            return [
                float(torch.dot(buffer.copy_(teacher[clip]).view(-1), log_student[clip].view(-1))) for clip in clips
            ]

        log_student = log_student.contiguous()
        ctx.save_for_backward(teacher)
        ctx.student = log_student.dtype
        return log_student.new_tensor(-sum(sum(shares) for shares in share(summed, len(teacher))))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (teacher,) = ctx.saved_tensors
        # NumPy asks the system for huge pages; met 4 KB at a time, a large array costs more than what fills it.
        numbers = np.empty(teacher.shape, dtype=np.float64 if ctx.student == torch.float64 else np.float32)
        result = torch.from_numpy(numbers)
        factor = -float(gradient)

        def scaled(clips: range) -> None:
            for clip in clips:
                result[clip].copy_(teacher[clip]).mul_(factor)

        share(scaled, len(teacher))
        return result, None
