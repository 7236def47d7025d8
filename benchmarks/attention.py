"""Attention pooling against the plain way and against its matrix products alone, in one process, in turn.

    python benchmarks/attention.py [--device cpu|cuda] [--new 48] [--memory 24] [--rounds 7]

The plain way computes the formulas in float32 over the whole batch with PyTorch's ordinary operations, and asks
the teacher in every step; ours looks the teacher's maps up. Times are medians over interleaved rounds. Features
are random, of true shape.

Shapes: B clips (new, then memory), L = 8 time slices, S = 196 tokens, D = 768 channels.
"""

import platform

import click
import torch
import torch.nn.functional as F
from avcil.benchmarks.plain import audio_visual_attention
from avcil.benchmarks.timing import medians
from avcil.devices import choose_device, describe_device
from avcil.incremental.learning.losses import kl_divergence
from avcil.incremental.model.attention import TeacherMaps, attention_pool
from avcil.incremental.model.kernels.products import product_type, tanh_linear, transposed_product
from avcil.incremental.model.kernels.team import share
from rich.console import Console
from rich.table import Table
from torch import Tensor

SHAPE = (8, 196, 768)


class Bench:
    """A batch of new and memory clips, a student, and a teacher a little apart from it."""

    def __init__(self, device: torch.device, new: int, memory: int) -> None:
        draw = torch.Generator().manual_seed(0)
        channels = SHAPE[-1]

        def normal(*size: int, scale: float = 1.0) -> Tensor:
            return (torch.randn(*size, generator=draw) * scale).to(device)

        self.new, self.clips = new, new + memory
        self.stores = {torch.float32: normal(self.clips, *SHAPE)}
        self.stores[torch.bfloat16] = self.stores[torch.float32].bfloat16()
        self.rows = torch.randperm(self.clips, generator=draw).to(device)
        self.gate = torch.tanh(normal(self.clips, channels)).requires_grad_()
        self.weight = normal(channels, channels, scale=channels**-0.5).requires_grad_()
        self.bias = normal(channels, scale=0.1).requires_grad_()
        self.teacher_weight = self.weight.detach() + normal(channels, channels, scale=0.1 * channels**-0.5)
        self.incoming = normal(self.clips, channels)
        with torch.no_grad():
            pool = attention_pool(
                self.stores[torch.float32], self.rows, self.gate, self.teacher_weight, self.bias, maps_from=new
            )
        assert pool.log_spatial is not None
        self.teacher_spatial, self.teacher_temporal = pool.log_spatial.exp(), pool.log_temporal[new:].exp()
        self.teacher_maps = {
            dtype: TeacherMaps(self.teacher_spatial.to(dtype), torch.arange(memory, device=device))
            for dtype in self.stores
        }

    def plain_attention(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both attentions and the pooled tokens, of a copy of the batch."""
        visual = self.stores[torch.float32][self.rows]  # (B, L, S, D)
        projected = torch.tanh(F.linear(visual, weight, self.bias))
        return audio_visual_attention(visual, projected, self.gate)

    def plain_forward(self) -> None:
        """Evaluation in the plain way."""
        with torch.no_grad():
            self.plain_attention(self.weight)

    def plain_step(self, *, ask_teacher: bool = True) -> None:
        """Forward and backward in the plain way, with the teacher's forward pass or its maps at hand."""
        spatial, temporal, pooled = self.plain_attention(self.weight)
        if ask_teacher:
            with torch.no_grad():
                teacher_spatial, teacher_temporal, _ = self.plain_attention(self.teacher_weight)
            teacher_spatial, teacher_temporal = teacher_spatial[self.new :], teacher_temporal[self.new :]
        else:
            teacher_spatial, teacher_temporal = self.teacher_spatial, self.teacher_temporal
        distance = F.kl_div(spatial[self.new :].log(), teacher_spatial, reduction="sum") + F.kl_div(
            temporal[self.new :].log(), teacher_temporal, reduction="sum"
        )
        self.backward(pooled, distance)

    def forward(self, dtype: torch.dtype) -> None:
        """Evaluation in ours."""
        with torch.no_grad():
            attention_pool(self.stores[dtype], self.rows, self.gate, self.weight, self.bias)

    def step(self, dtype: torch.dtype, *, with_maps: bool = True) -> None:
        """Forward and backward in ours, distilling the memory clips' maps or not."""
        arguments = self.stores[dtype], self.rows, self.gate, self.weight, self.bias
        if not with_maps:
            self.backward(attention_pool(*arguments).pooled, self.gate.new_zeros(()))
            return
        pool = attention_pool(*arguments, maps_from=self.new, teacher=self.teacher_maps[dtype])
        assert pool.spatial_cross_entropy is not None
        temporal = kl_divergence(pool.log_temporal[self.new :], self.teacher_temporal, "teacher-student")
        self.backward(pool.pooled, pool.spatial_cross_entropy.sum() + temporal)

    def backward(self, pooled: Tensor, distance: Tensor) -> None:
        """Gradients of a loss of the pooled tokens and the distance from the teacher."""
        loss = (pooled * self.incoming).sum() + distance
        torch.autograd.grad(loss, (self.gate, self.weight, self.bias))

    def products(self, dtype: torch.dtype, *, backward: bool) -> None:
        """Only what has to be multiplied, by the same routines, shared among threads in the same way."""
        store, channels = self.stores[dtype], SHAPE[-1]
        weight, bias = self.weight.detach().to(dtype), self.bias.detach()
        if store.is_cuda:
            tokens = store.view(-1, channels)
            projected = F.linear(tokens, weight)
            if backward:
                projected.t() @ tokens
            return
        operand = product_type(dtype)
        weight = weight.to(operand)

        def work(clips: range) -> None:
            part = torch.empty(channels, channels, dtype=operand)
            for clip in clips:
                tokens = store[clip].view(-1, channels).to(operand)
                projected = tanh_linear(tokens, weight, bias)
                if backward:
                    transposed_product(projected, tokens, out=part)

        share(work, self.clips)


@click.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--new", default=48, show_default=True, help="New clips in the batch.")
@click.option("--memory", default=24, show_default=True, help="Memory clips in the batch; their maps are distilled.")
@click.option("--rounds", default=7, show_default=True)
def main(device: str, new: int, memory: int, rounds: int) -> None:
    """Time attention pooling; print seconds and ratios."""
    place = choose_device(device)
    bench = Bench(place, new, memory)
    half, single = torch.bfloat16, torch.float32
    times = medians(
        {
            "plain forward": bench.plain_forward,
            "plain step": bench.plain_step,
            "plain step without the teacher": lambda: bench.plain_step(ask_teacher=False),
            **{
                f"{name} {dtype}": part
                for dtype in (half, single)
                for name, part in {
                    "forward": lambda dtype=dtype: bench.forward(dtype),
                    "step": lambda dtype=dtype: bench.step(dtype),
                    "step without maps": lambda dtype=dtype: bench.step(dtype, with_maps=False),
                    "forward products": lambda dtype=dtype: bench.products(dtype, backward=False),
                    "products": lambda dtype=dtype: bench.products(dtype, backward=True),
                }.items()
            },
        },
        place,
        rounds,
    )
    table = Table(
        title=f"Attention pooling of {new} + {memory} clips {SHAPE} on {platform.processor() or platform.machine()}, "
        f"{describe_device(place)}, torch {torch.__version__}: median of {rounds}, milliseconds"
    )
    for heading in ("", "plain", "ours", "plain / ours", "products alone", "ours / products"):
        table.add_column(heading, justify="left" if not heading else "right")
    for dtype in (half, single):
        for title, plain, ours, products in (
            ("forward", "plain forward", "forward", "forward products"),
            ("AV-CIL step, plain asks the teacher", "plain step", "step", "products"),
            ("AV-CIL step, teacher's maps known to both", "plain step without the teacher", "step", "products"),
            ("step without maps", None, "step without maps", "products"),
        ):
            mine, bare = times[f"{ours} {dtype}"], times[f"{products} {dtype}"]
            table.add_row(
                f"{title}, {str(dtype).removeprefix('torch.')}",
                f"{times[plain] * 1e3:.0f}" if plain else "",
                f"{mine * 1e3:.0f}",
                f"{times[plain] / mine:.1f}" if plain else "",
                f"{bare * 1e3:.0f}",
                f"{mine / bare:.2f}",
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
