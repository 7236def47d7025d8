"""The plugin of the experiments on VAD: attention that is learnt, frozen or borrowed, and a weight for VAD."""

from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.benchmarks.held_attention import ATTENTION, HeldAvCil, HeldSettings
from avcil.errors import InputError
from avcil.incremental.data.tasks import Task
from avcil.incremental.methods.av_cil import AvCil
from avcil.incremental.model.heads import Widths
from safetensors.torch import save_file


def begun(task: int, **settings: Any) -> HeldAvCil:
    method = HeldAvCil(HeldSettings(**settings), Widths(audio=4, visual=4), "audio-visual")
    method.grow(Task(task, tuple(range(0, 2 * task + 1, 2))))
    method.begin_task(None)  # type: ignore[arg-type]  # which is not looked at
    return method


@pytest.mark.parametrize(
    ("attention", "learnt"), [("learnt", [True, True]), ("first-task", [True, False]), ("never", [False, False])]
)
def test_attention_alone_is_frozen(attention: str, learnt: list[bool]):
    for task, expected in zip((1, 2), learnt, strict=True):
        found = {name: weight.requires_grad for name, weight in begun(task, attention=attention).named_parameters()}
        assert {value for name, value in found.items() if name.startswith(ATTENTION)} == {expected}
        assert found["heads.audio_projection.weight"]


def test_attention_is_borrowed_in_the_first_task(tmp_path: Path):
    lender, path = begun(1), tmp_path / "task-03.safetensors"
    save_file(lender.state_dict(), path)
    first, second = begun(1, attention_from=str(path)), begun(2, attention_from=str(path))
    for name, weight in lender.named_parameters():
        if name.startswith(ATTENTION):
            assert torch.equal(first.get_parameter(name), weight)
            assert not torch.equal(second.get_parameter(name), weight)
    with pytest.raises(InputError, match=r"attention_from: .*none is not there"):
        begun(1, attention_from=str(tmp_path / "none"))


def test_the_weight_is_of_vad_alone(monkeypatch: pytest.MonkeyPatch):
    terms = {"visual_attention_distillation": torch.tensor(2.0), "cross_entropy": torch.tensor(3.0)}
    monkeypatch.setattr(AvCil, "loss", lambda self, batch: terms)
    found = begun(2, vad_weight=0.25).loss(None)  # type: ignore[arg-type]
    assert {name: float(term) for name, term in found.items()} == {
        "visual_attention_distillation": 0.5,
        "cross_entropy": 3.0,
    }
