"""Captured steps: with a stand-in for the GPU they change no bit; and no method's step keeps a GPU from capturing it.

A CUDA graph asks of a step that every tensor be on the GPU, and that nothing be read back from there. Both are looked
for on PyTorch's "meta" device, which knows shapes and no numbers, so that reading one fails as it would in a capture.
That device has the plain attention and an optimiser of its own (SGD): the GPU's are not looked at.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.data.batch import Batch
from avcil.incremental.learning import graphs
from avcil.incremental.learning.gradient import GradientLearning
from avcil.incremental.learning.graphs import EAGER_STEPS, CapturedStep, Terms
from avcil.incremental.learning.teacher import Teacher
from avcil.incremental.methods import find_method
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import METHODS, Made
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

pytestmark = pytest.mark.usefixtures("one_thread")


class StandIn:
    """In the GPU's place: takes a step down without doing it, and does it again on the same tensors."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    def __call__(self, step: Callable[[], Terms]) -> tuple[Callable[[], None], Terms]:
        self.captured += 1
        terms: dict[str, Tensor] = {}

        def replay() -> None:
            self.replayed += 1
            for name, term in step().items():
                terms.setdefault(name, torch.empty_like(term)).copy_(term)

        return replay, terms


def test_a_captured_step_sees_each_batch_where_the_first_one_lay():
    seen: list[tuple[list[int], list[int], int]] = []

    def step(batch: Batch) -> Mapping[str, Tensor]:
        seen.append((batch.numbers.tolist(), batch.labels.tolist(), batch.audio.data_ptr()))
        return {"sum": batch.audio.sum()}

    gpu = StandIn()
    captured = CapturedStep(step, torch.device("cpu"), gpu)
    batches = [
        synthetic.plain_batch(4)._replace(numbers=torch.arange(4) + n, audio=torch.full((4, 2), n)) for n in range(7)
    ]
    kept = [captured(batch)["sum"] for batch in batches]
    assert [numbers for numbers, _, _ in seen] == [batch.numbers.tolist() for batch in batches]
    assert [float(term) for term in kept] == [8 * n for n in range(7)]  # not overwritten by later steps
    assert len({place for _, _, place in seen[EAGER_STEPS:]}) == 1
    assert torch.equal(batches[EAGER_STEPS].audio, torch.full((4, 2), EAGER_STEPS))  # a caller's batch stays its own
    assert (gpu.captured, gpu.replayed) == (1, 7 - EAGER_STEPS)
    small = synthetic.plain_batch(1)._replace(audio=torch.ones(1, 2))
    assert float(captured(small)["sum"]) == 2  # of another shape: done as it comes
    assert (gpu.captured, gpu.replayed) == (1, 7 - EAGER_STEPS)
    assert float(captured(batches[2])["sum"]) == 16
    assert gpu.replayed == 8 - EAGER_STEPS


@pytest.mark.parametrize("method", ["av-cil", "icarl-fc", "afc-nme", "fine-tuning"])
def test_captured_runs_are_the_same_to_the_bit(
    made: Made, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
):
    synthetic.run(made, method, tmp_path / "one by one")
    gpu = StandIn()
    monkeypatch.setattr(graphs, "capture_on_gpu", gpu)
    monkeypatch.setattr(GradientLearning, "_captures", True)
    # A CPU's Adam cannot be captured; that the GPU's can is PyTorch's own promise.
    made_adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *given, capturable=False, **named: made_adam(*given, **named))
    synthetic.run(made, method, tmp_path / "captured")
    assert gpu.captured >= 2  # once a task
    assert gpu.replayed > gpu.captured
    assert synthetic.differing(tmp_path / "one by one", tmp_path / "captured") == []


def test_captures_are_for_gpus_alone(made: Made, tmp_path: Path):
    with pytest.raises(InputError, match="cuda_graphs is for NVIDIA GPUs and this run is on cpu"):
        synthetic.run(made, "fine-tuning", tmp_path / "out", cuda_graphs=True)
    assert not (tmp_path / "out").exists()


class EverythingThere(TorchDispatchMode):
    """Fails where an operation takes a tensor with numbers, and so not of the GPU; single numbers may come along."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        elsewhere = [one for one in given if one.device.type != "meta" and one.dim() > 0]
        assert not elsewhere, f"{function} is given a tensor of {tuple(elsewhere[0].shape)} that is not on the GPU"
        return function(*args, **(kwargs or {}))


class SeenError(Exception):
    """The step has been looked at; the run may end."""


def on_gpu(value: Any) -> Any:
    """A copy that has shapes only."""
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, Batch):
        return value.each(on_gpu)._replace(store=None if value.store is None else on_gpu(value.store))
    assert isinstance(value, Teacher)
    value = copy.deepcopy(value)
    value.method.to("meta")  # the answers' own questions go to this copy too
    for answers in (value.of_all, value.of_memory):
        if answers.table is not None:
            answers.table = {name: on_gpu(answer) for name, answer in answers.table.items()}
            answers.place = on_gpu(answers.place)
    return value


def looked_at(monkeypatch: pytest.MonkeyPatch, *, numbers_read: bool = False) -> None:
    """Have the first step that a teacher takes part in, or the first of the second task, done on the meta device."""

    def step(self: GradientLearning, batch: Batch, optimiser: Any) -> Any:
        if self.method.task.number == 1:
            return stepped(self, batch, optimiser)
        there = copy.copy(self)
        there.method = copy.deepcopy(self.method).to("meta")
        learnt = [parameter for parameter in there.method.parameters() if parameter.requires_grad]
        if self.teacher is not None:
            there.teacher = on_gpu(self.teacher)
        batch = on_gpu(batch)
        with EverythingThere():
            terms = stepped(there, batch, torch.optim.SGD(learnt, lr=0.1))
            if numbers_read:
                float(sum(terms.values()))
        assert any(parameter.grad is not None for parameter in learnt)
        raise SeenError

    stepped = GradientLearning._step
    monkeypatch.setattr(GradientLearning, "_step", step)


CASES = [(name, modality) for name in METHODS for modality in find_method(name).modalities]
SETTINGS: list[tuple[str, str, dict[str, Any]]] = [
    *((name, modality, {}) for name, modality in CASES),
    ("av-cil", "audio-visual", {"kl_direction": "student-teacher"}),
    ("av-cil", "audio-visual", {"attention_distillation": "grad-cam"}),
    ("av-cil", "audio-visual", {"class_similarity": "equation7"}),
    ("av-cil", "audio-visual", {"teacher": "each-step"}),
    ("afc-nme", "audio-visual", {"importances": "channel"}),
]


@pytest.mark.parametrize(("method", "modality", "settings"), SETTINGS)
def test_nothing_in_a_step_waits_for_the_gpu(
    made: Made, tmp_path: Path, method: str, modality: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    looked_at(monkeypatch)
    with pytest.raises(SeenError):
        synthetic.run(made, method, tmp_path / "out", modality=modality, **settings)


def test_reading_a_number_in_a_step_would_be_seen(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    looked_at(monkeypatch, numbers_read=True)
    with pytest.raises(RuntimeError, match="meta tensors"):
        synthetic.run(made, "fine-tuning", tmp_path / "out")
