"""Heads and methods with the weights of the recorded values, and the ten clips as a batch of theirs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..config import Modality
from ..data.batch import Batch, Recalled
from ..data.tasks import Task
from ..learning.gradient import Method
from ..model.heads import Heads, Widths
from . import recorded

NAMES_HERE = {"attention_audio": "audio_attention", "attention_visual": "visual_attention"}
"""Maps whose names are others in the recorded values, and what they are called here."""
TASKS = (Task(1, (0, 2)), Task(2, (0, 2, 4)), Task(3, (0, 2, 4, 6)))


def clips(count: int = 10, new: int = recorded.NEW_CLIPS) -> Batch:
    """The first `count` of the ten clips."""
    visual, audio = recorded.features()
    return Batch(
        numbers=torch.arange(count),
        labels=recorded.LABELS[:count],
        audio=audio[:count],
        store=visual,
        rows=torch.arange(count),
        visual_mean=visual.mean(dim=(1, 2))[:count],
        new=new,
    )


def by_names_here(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names that heads have here."""
    named = {}
    for name, tensor in weights.items():
        part, leaf = name.split(".")
        named[f"{NAMES_HERE.get(part, part)}.{leaf}"] = tensor
    return named


def load(heads: Heads, weights: Mapping[str, Tensor], old_proxies: int | None = None) -> None:
    """Weights by the parity names; rows of a proxy classifier are split after `old_proxies`."""
    named = by_names_here(weights)
    if old_proxies is not None:
        rows = named.pop("classifier.weight")
        named["classifier.old_proxies"], named["classifier.new_proxies"] = rows[:old_proxies], rows[old_proxies:]
        named["classifier.scale"] = torch.ones(())
    # A modality alone lacks some parts; nothing of what there is may be left out.
    heads.load_state_dict({name: tensor for name, tensor in named.items() if name in heads.state_dict()})


def student(kind: type[Method], modality: Modality = "audio-visual", **settings: Any) -> Method:
    """The third task's student of a method."""
    method = kind(kind.Settings(**settings), Widths(recorded.CHANNELS, recorded.CHANNELS), modality)
    for task in TASKS:
        method.grow(task)
    proxies = method.family == "afc"
    weights = recorded.afc_student_weights() if proxies else recorded.student_weights()
    load(method.heads, weights, recorded.OLD_CLASSES * recorded.PROXIES if proxies else None)
    return method


def teacher(kind: type[Method], modality: Modality = "audio-visual", **settings: Any) -> Method:
    """The second task's model, teaching in the third."""
    method = kind(kind.Settings(**settings), Widths(recorded.CHANNELS, recorded.CHANNELS), modality)
    for task in TASKS[:2]:
        method.grow(task)
    method.become_teacher(TASKS[2])
    proxies = method.family == "afc"
    weights = recorded.afc_teacher_weights() if proxies else recorded.teacher_weights()
    load(method.heads, weights, recorded.OLD_CLASSES * recorded.PROXIES if proxies else None)
    return method.requires_grad_(False)


def taught(batch: Batch, teaching: Method) -> Batch:
    """The batch with a teacher's answers."""
    with torch.no_grad():
        answers = teaching.recall(batch)
        of_memory = teaching.recall_of_memory(batch.part(batch.new)) if batch.new < len(batch.numbers) else {}
    return batch._replace(teacher=Recalled(answers), teacher_of_memory=Recalled(of_memory))


def gradient_norms(method: Method) -> dict[str, float]:
    """By the parity names."""
    names = {ours: theirs for theirs, ours in NAMES_HERE.items()}
    norms = {}
    for name, weight in method.heads.named_parameters():
        part, leaf = name.split(".")
        assert weight.grad is not None
        norms[f"{names.get(part, part)}.{leaf}"] = weight.grad.norm().item()
    return norms
