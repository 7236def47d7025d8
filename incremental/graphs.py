"""Training steps replayed as one CUDA graph: the card is given a step as a whole instead of operation by operation.

That pays where a step's operations are so short that handing them out takes longer than running them: one modality,
small batches. A graph is captured for each task, whose steps all have the same shapes; tensors of a captured step stay
where they are, so a batch is copied to where the captured one lay.

Tested by its effect on runs with a stand-in for the card (`capture`); it has not yet run on a card, and is off unless
asked for.

Shapes: B clips.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .clips import Clips

Terms = Mapping[str, Tensor]
Step = Callable[[Clips], Terms]
Capture = Callable[[Callable[[], Terms]], tuple[Callable[[], None], Terms]]
"""Takes a step down without doing it; gives what does it, and where its loss terms will be."""

EAGER_STEPS = 3
"""Steps done as they come before one is captured: in them kernels are compiled and optimiser state is made."""


class CapturedStep:
    """A step that is captured once it has been done a few times, and replayed from then on.

    Every batch that it is given must have the same shapes, and must not be on a CPU with the real `capture`.
    """

    def __init__(self, step: Step, capture: Capture | None = None) -> None:
        self.step = step
        self.capture = capture_on_card if capture is None else capture
        self.done = 0
        self.replay: Callable[[], None] | None = None

    def __call__(self, clips: Clips) -> Terms:
        """One step. Returns the detached loss terms."""
        self.done += 1
        if self.done <= EAGER_STEPS:
            return aside(self.step, clips)
        if self.replay is None:
            self.batch = clips.each(torch.clone)
            self.replay, self.terms = self.capture(lambda: self.step(self.batch))
        else:
            for place, tensor in zip(self.batch.tensors, clips.tensors, strict=True):
                place.copy_(tensor)
        self.replay()
        return {name: term.clone() for name, term in self.terms.items()}


def aside(step: Step, clips: Clips) -> Terms:
    """A step in a stream of its own, as PyTorch wants of those before a capture; on a CPU just the step."""
    if clips.numbers.device.type != "cuda":
        return step(clips)
    current, stream = torch.cuda.current_stream(), torch.cuda.Stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        terms = step(clips)
    current.wait_stream(stream)
    return terms


def capture_on_card(step: Callable[[], Terms]) -> tuple[Callable[[], None], Terms]:
    """Capture with PyTorch's CUDA graphs."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        terms = step()
    return graph.replay, terms
