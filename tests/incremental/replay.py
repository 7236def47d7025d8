"""The plain rendering of a method, made to follow a recorded run of the production trainer step by step.

The plain heads start from the weights the recorded run drew, see the clips it saw, in its order, and take the
rows it drew for new classes. Everything else, heads, teacher, losses, gradients and Adam, is worked out by
`benchmarks/plain.py` on its own; what must come out is the recorded run's loss in every step and its weights after
every epoch.

Shapes: B clips, L time slices, S tokens, D channels, C classes.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from avcil.benchmarks import plain
from avcil.tests.incremental.problems import RecordedTask, Run
from torch import Tensor, nn

LOSS_TOLERANCE = 1e-4
WEIGHT_TOLERANCE = 1e-3
MOVEMENT_TOLERANCE = 1e-2
"""How far weights may be from the recorded ones, against how far the task has moved them. Most agree to 1e-5 of that;
where a gradient is all but zero, Adam magnifies its rounding."""

NAMES = {
    "audio_projection": "audio_projection",
    "visual_projection": "visual_projection",
    "audio_attention": "attention_audio",
    "visual_attention": "attention_visual",
    "classifier": "classifier",
}
"""The heads' parts in `avcil.incremental` and what the plain heads call them."""


@dataclass(frozen=True)
class PlainBatch:
    """A batch with everything a plain loss needs."""

    student: plain.PlainHeads
    teacher: plain.PlainHeads | None
    visual: Tensor
    audio: Tensor
    labels: Tensor
    new: int
    """The first `new` clips are of the current task."""
    old_tasks: tuple[slice, ...]
    task: int
    """Counts from 1."""
    modality: str

    def logits(self, heads: plain.PlainHeads) -> Tensor:
        logits: Tensor = heads.classifier(fused(heads, self.modality, self.visual, self.audio))
        return logits

    @property
    def teacher_logits(self) -> Tensor:
        assert self.teacher is not None
        with torch.no_grad():
            return self.logits(self.teacher)

    @property
    def old_classes(self) -> int:
        classes: int = self.old_tasks[-1].stop
        return classes


PlainLoss = Callable[[PlainBatch], Tensor]


def fused(heads: plain.PlainHeads, modality: str, visual: Tensor, audio: Tensor) -> Tensor:
    """The feature h of the modality. (B, D)."""
    if modality == "audio":
        return heads.audio_feature(audio)
    if modality == "visual":
        return heads.visual_feature(visual)
    return heads.features(visual, audio).fused


def own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a production method's state by the plain heads' names."""
    found = {}
    for name, tensor in state.items():
        room, _, rest = name.partition(".")
        if room == "heads":
            part, _, leaf = rest.partition(".")
            found[f"{NAMES[part]}.{leaf}"] = tensor
    return found


def plain_heads(state: Mapping[str, Tensor]) -> plain.PlainHeads:
    """Plain heads with the weights of a production method's state; parts that a modality lacks are removed."""
    weights = own_names(state)
    projection = weights.get("visual_projection.weight", weights.get("audio_projection.weight"))
    assert projection is not None
    width = len(projection)
    audio = weights["audio_projection.weight"].shape[1] if "audio_projection.weight" in weights else width
    heads = plain.PlainHeads(width, audio, classifier_of(weights))
    for part in NAMES.values():
        if not any(name.startswith(part) for name in weights):
            setattr(heads, part, nn.Identity())
    heads.load_state_dict(weights)
    return heads


def classifier_of(weights: Mapping[str, Tensor]) -> nn.Module:
    if "classifier.scale" not in weights:
        classes, width = weights["classifier.weight"].shape
        return nn.Linear(width, classes)
    old, new = weights["classifier.old_proxies"], weights["classifier.new_proxies"]
    return plain.PlainProxies(old.clone(), new.clone(), per_class=PROXIES)


PROXIES = 3
"""Proxies a class in small problems."""


def close(ours: Tensor, theirs: Tensor, tolerance: float, what: str, floor: float = 1e-2) -> None:
    """Agreement relative to the largest value, or to `floor`: values near zero carry rounding."""
    assert ours.shape == theirs.shape, what
    if theirs.numel():
        apart = float((ours - theirs).abs().max())
        assert apart <= tolerance * max(float(theirs.abs().max()), floor), f"{what}: {apart}"


def same_weights(
    heads: plain.PlainHeads, state: Mapping[str, Tensor], where: str, initial: Mapping[str, Tensor] | None = None
) -> None:
    """Agreement with a production method's state; with the task's `initial` state, of the movement since then too."""
    expected, ours = own_names(state), heads.state_dict()
    start = expected if initial is None else own_names(initial)
    assert ours.keys() == expected.keys()
    for name, tensor in ours.items():
        close(tensor, expected[name], WEIGHT_TOLERANCE, f"{where}, {name}")
        if initial is not None:
            apart, moved = ((other - expected[name]).norm() for other in (tensor, start[name]))
            assert apart <= MOVEMENT_TOLERANCE * moved + 1e-6, f"{where}, {name}: {apart} of {moved}"


def trained(heads: plain.PlainHeads) -> list[nn.Parameter]:
    """AFC's old proxies stay; all else is trained."""
    return [weight for name, weight in heads.named_parameters() if name != "classifier.old_proxies"]


def begin(previous: plain.PlainHeads | None, recorded: RecordedTask, *, afresh: bool = False) -> plain.PlainHeads:
    """The heads at a task's first step: the previous ones, with what the recorded run drew for new classes."""
    drawn = plain_heads(recorded.initial)
    if previous is None or afresh:
        return drawn
    heads = copy.deepcopy(previous)
    with torch.no_grad():
        if isinstance(previous.classifier, nn.Linear):
            old = previous.classifier.out_features
            for name in ("weight", "bias"):
                drawn.classifier.get_parameter(name)[:old] = previous.classifier.get_parameter(name)
            heads.classifier = drawn.classifier
        else:
            assert isinstance(previous.classifier, plain.PlainProxies)
            old_proxies = torch.cat([previous.classifier.old_proxies, previous.classifier.new_proxies])
            heads.classifier = plain.PlainProxies(
                old_proxies.detach().clone(), drawn.classifier.get_parameter("new_proxies").detach(), PROXIES
            )
    return heads


def replay(run: Run, loss_of: PlainLoss, *, afresh: bool = False) -> list[plain.PlainHeads]:
    """Follow a recorded run; asserts that losses and weights agree. Returns the chosen heads of each task.

    `afresh`: every task starts from new weights.
    """
    table, modality = run.problem.table, run.config.modality
    chosen: list[plain.PlainHeads] = []
    for number, recorded in enumerate(run.tasks, start=1):
        teacher = copy.deepcopy(chosen[-1]).requires_grad_(False) if chosen else None
        student = begin(chosen[-1] if chosen else None, recorded, afresh=afresh)
        same_weights(student, recorded.initial, f"task {number}, before the first step")
        optimiser = plain.adam(trained(student))
        epochs = []
        for epoch, steps in enumerate(recorded.steps[: run.config.epochs], start=1):
            for count, step in enumerate(steps, start=1):
                batch = PlainBatch(
                    student,
                    teacher,
                    run.problem.visual[step.numbers],
                    run.problem.audio[step.numbers],
                    table.labels[step.numbers],
                    step.new,
                    table.task(number).old_tasks,
                    number,
                    modality,
                )
                loss = loss_of(batch)
                where = f"task {number}, epoch {epoch}, step {count}"
                close(loss.detach(), torch.tensor(step.loss), LOSS_TOLERANCE, where, floor=0.1)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            state = recorded.after_epochs[epoch - 1]
            same_weights(student, state, f"task {number}, after epoch {epoch}", recorded.initial)
            epochs.append(copy.deepcopy(student))
        chosen.append(epochs[run.progress.chosen_epochs[number - 1] - 1])
        if not run.trainer.method.balanced_epochs:
            same_weights(chosen[-1], recorded.chosen, f"task {number}, chosen")
    return chosen
