"""The production heads and methods with the weights of the parity values, and the ten clips as a batch of theirs."""

from collections.abc import Mapping
from typing import Any

import torch
from avcil.incremental.config import Modality
from avcil.incremental.data.batch import Batch, Recalled
from avcil.incremental.data.tasks import Task
from avcil.incremental.learning.gradient import Method
from avcil.incremental.model.heads import Heads, Widths
from avcil.tests.incremental import parity
from torch import Tensor

PRODUCTION_NAMES = {"attention_audio": "audio_attention", "attention_visual": "visual_attention"}
TASKS = (Task(1, (0, 2)), Task(2, (0, 2, 4)), Task(3, (0, 2, 4, 6)))
RELATIVE = 1e-4


def agrees(ours: Tensor, *path: str, relative: float = RELATIVE) -> None:
    """Agreement with a parity value, relative to the largest value of the whole."""
    theirs = parity.expected(*path)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= relative * theirs.abs().max()


def clips(count: int = 10, new: int = parity.NEW_CLIPS) -> Batch:
    """The first `count` of the ten clips."""
    visual, audio = parity.features()
    return Batch(
        numbers=torch.arange(count),
        labels=parity.LABELS[:count],
        audio=audio[:count],
        store=visual,
        rows=torch.arange(count),
        visual_mean=visual.mean(dim=(1, 2))[:count],
        new=new,
    )


def by_production_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {}
    for name, tensor in weights.items():
        part, leaf = name.split(".")
        named[f"{PRODUCTION_NAMES.get(part, part)}.{leaf}"] = tensor
    return named


def load(heads: Heads, weights: Mapping[str, Tensor], old_proxies: int | None = None) -> None:
    """Weights by the parity names; rows of a proxy classifier are split after `old_proxies`."""
    named = by_production_names(weights)
    if old_proxies is not None:
        rows = named.pop("classifier.weight")
        named["classifier.old_proxies"], named["classifier.new_proxies"] = rows[:old_proxies], rows[old_proxies:]
        named["classifier.scale"] = torch.ones(())
    # A modality alone lacks some parts; nothing of what there is may be left out.
    heads.load_state_dict({name: tensor for name, tensor in named.items() if name in heads.state_dict()})


def student(kind: type[Method], modality: Modality = "audio-visual", **settings: Any) -> Method:
    """The third task's student of a method."""
    method = kind(kind.Settings(**settings), Widths(parity.CHANNELS, parity.CHANNELS), modality)
    for task in TASKS:
        method.grow(task)
    proxies = method.family == "afc"
    weights = parity.afc_student_weights() if proxies else parity.student_weights()
    load(method.heads, weights, parity.OLD_CLASSES * parity.PROXIES if proxies else None)
    return method


def teacher(kind: type[Method], modality: Modality = "audio-visual", **settings: Any) -> Method:
    """The second task's model, teaching in the third."""
    method = kind(kind.Settings(**settings), Widths(parity.CHANNELS, parity.CHANNELS), modality)
    for task in TASKS[:2]:
        method.grow(task)
    method.become_teacher(TASKS[2])
    proxies = method.family == "afc"
    weights = parity.afc_teacher_weights() if proxies else parity.teacher_weights()
    load(method.heads, weights, parity.OLD_CLASSES * parity.PROXIES if proxies else None)
    return method.requires_grad_(False)


def taught(batch: Batch, teaching: Method) -> Batch:
    """The batch with a teacher's answers."""
    with torch.no_grad():
        answers = teaching.recall(batch)
        of_memory = teaching.recall_of_memory(batch.part(batch.new)) if batch.new < len(batch.numbers) else {}
    return batch._replace(teacher=Recalled(answers), teacher_of_memory=Recalled(of_memory))


def gradient_norms(method: Method) -> dict[str, float]:
    """By the parity names."""
    names = {ours: theirs for theirs, ours in PRODUCTION_NAMES.items()}
    norms = {}
    for name, weight in method.heads.named_parameters():
        part, leaf = name.split(".")
        assert weight.grad is not None
        norms[f"{names.get(part, part)}.{leaf}"] = weight.grad.norm().item()
    return norms
