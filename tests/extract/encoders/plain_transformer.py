"""Pre-norm transformer blocks and embeddings written out in plain tensor operations, in float64.

Nothing here knows transformers or avcil: tests compare both with it.
Shapes: B clips, N tokens, D channels, h heads.
"""

import math

import torch
from torch import Tensor


def layer_norm(x: Tensor, weight: Tensor | float, bias: Tensor | float, eps: float) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = (centred**2).mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(variance + eps) * weight + bias


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """(B, N, D) each -> (B, N, D), head by head."""
    outputs = []
    for query, key, value in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
        scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])  # (B, N, N)
        weights = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
        outputs.append(weights / weights.sum(dim=-1, keepdim=True) @ value)
    return torch.cat(outputs, dim=-1)


def block(x: Tensor, w: dict[str, Tensor], heads: int, eps: float) -> Tensor:
    """One block. `w`: norm1, q, k, v, proj, norm2, fc1, fc2, each `.weight` and `.bias` (a bias may be absent)."""

    def linear(name: str, y: Tensor) -> Tensor:
        y = y @ w[f"{name}.weight"].T
        return y + w[f"{name}.bias"] if f"{name}.bias" in w else y

    y = layer_norm(x, w["norm1.weight"], w["norm1.bias"], eps)
    x = x + linear("proj", attention(linear("q", y), linear("k", y), linear("v", y), heads))
    y = layer_norm(x, w["norm2.weight"], w["norm2.bias"], eps)
    return x + linear("fc2", gelu(linear("fc1", y)))


def sinusoids(positions: int, channels: int) -> Tensor:
    """Even channels sin(p / 10000^(c / channels)), odd ones the cosine at the even channel's frequency."""
    table = torch.zeros(positions, channels, dtype=torch.float64)
    for position in range(positions):
        for channel in range(channels):
            angle = position / 10000 ** ((channel - channel % 2) / channels)
            table[position, channel] = math.sin(angle) if channel % 2 == 0 else math.cos(angle)
    return table


def draw(generator: torch.Generator, *shape: int, scale: float = 0.3) -> Tensor:
    """A known float32 weight, large enough that every part of the model shows in its output."""
    return torch.randn(*shape, generator=generator) * scale
