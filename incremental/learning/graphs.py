"""Training steps replayed as one CUDA graph: the GPU is given a step as a whole instead of operation by operation.

That should pay where a step's operations are so short that handing them out takes longer than running them: one
modality, small batches. A graph is captured for each task, whose steps all have the same shapes; tensors of a captured
step stay where they are, so a batch is copied to where the captured one lay. What a step does in Python is done once,
at the capture: a method whose `loss` depends on numbers that change between steps cannot be captured.

Tested by its effect on runs with a stand-in for the GPU (`capture`); it has not yet run on a GPU, and is off unless
asked for.

Shapes: B clips.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from ..data.batch import Batch

Terms = Mapping[str, Tensor]
Step = Callable[[Batch], Terms]
Capture = Callable[[Callable[[], Terms]], tuple[Callable[[], None], Terms]]
"""Takes a step down without doing it; gives what does it, and where its loss terms will be."""

EAGER_STEPS = 3
"""Steps done as they come before one is captured: in them kernels are compiled and optimiser state is made."""


class CapturedStep:
    """A step that is captured once it has been done a few times, and replayed from then on.

    A batch of other shapes than the captured one's is done as it comes.
    """

    def __init__(self, step: Step, device: torch.device, capture: Capture | None = None) -> None:
        self.step = step
        self.capture = capture_on_gpu if capture is None else capture
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.done = 0
        self.batch: Batch | None = None
        self.replay: Callable[[], None] = lambda: None
        self.terms: Terms = {}

    def __call__(self, batch: Batch) -> Terms:
        """One step. Returns the detached loss terms."""
        self.done += 1
        with torch.cuda.device(self.device) if self.stream else contextlib.nullcontext():
            if self.done <= EAGER_STEPS:
                with self._aside():
                    return self.step(batch)
            if self.batch is None:
                self.batch = captured = batch.each(torch.clone)
                self.replay, self.terms = self.capture(lambda: self.step(captured))
            elif shapes(self.batch) != shapes(batch):
                return self.step(batch)
            for place, tensor in zip(self.batch.tensors, batch.tensors, strict=True):
                place.copy_(tensor)
            self.replay()
            return {name: term.clone() for name, term in self.terms.items()}

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """In a stream of its own, as PyTorch wants of what comes before a capture; on a CPU just so."""
        if self.stream is None:
            yield
            return
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream), warnings.catch_warnings():
            # The optimiser, made to be captured, says that it is not being captured.
            warnings.filterwarnings("ignore", message=".*capturable=True.*")
            yield
        current.wait_stream(self.stream)


def shapes(batch: Batch) -> tuple[object, ...]:
    """What batches must have in common to share a capture."""
    return batch.new, *(tensor.shape for tensor in batch.tensors)


def capture_on_gpu(step: Callable[[], Terms]) -> tuple[Callable[[], None], Terms]:
    """Capture with PyTorch's CUDA graphs."""
    graph = torch.cuda.CUDAGraph()
    # Of this thread alone: another may be reading features ahead, for which it allocates and waits.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        terms = step()
    return graph.replay, terms
