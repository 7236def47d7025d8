"""AFC: Kang et al., "Class-Incremental Learning by Knowledge Distillation with Adaptive Feature
Consolidation", CVPR 2022."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from threadpoolctl import threadpool_limits
from torch import Tensor

from ..config import STRICT, Modality
from ..data.batch import Batch
from ..data.tasks import Task
from ..learning.exemplars import HerdingMemory, NearestMeanReadout, normalised_features
from ..learning.method import Context, Settings
from ..model.heads import HeadOutputs, Heads, Widths, sum_of
from ..model.proxies import ProxyClassifier, nca_loss

FEATURES = ("pooled", "audio", "visual")


@dataclass(frozen=True, config=STRICT)
class AfcSettings(Settings):
    """Settings of AFC; defaults are the released choices that the published numbers were made with."""

    proxies: Annotated[int, Field(ge=1)] = 10
    """Proxies a class; >= 1."""
    lambda_discrepancy: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the discrepancy; >= 0. Released 0.5; the paper's experiments use 4 and more."""
    discrepancy_growth: Literal["sqrt-task", "sqrt-classes"] = "sqrt-task"
    """What the weight grows with: sqrt(t), t counting tasks from 1, as released; or as the paper says
    sqrt(classes seen / new classes)."""
    importances: Literal["clip", "channel", "none"] = "clip"
    """Weights of the discrepancy: "clip", each clip's own gradient norms, as released; "channel", the mean
    squared gradient of each channel over the previous task's clips, as the paper says; or none."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """Margin of the NCA loss; >= 0. Released: 0.6, but it cancels, which is 0; the paper's is 0.6."""
    balanced_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs of the whole classifier on exemplars alone at a task's end, from the second task on; >= 0. Released 0;
    the paper's has 20."""
    herding_repeats: bool = True
    """Whether herding may choose one clip twice, as released; false as iCaRL's paper says."""
    normalise_means: bool = False
    """NME readout: whether class means are brought back to unit length; false as released."""


class AfcLsc(HerdingMemory):
    """Proxies and the NCA loss; features that mattered to the teacher are held in place. Memory mixed into
    the training set, chosen by herding. Readout LSC: the most similar class."""

    name = "afc-lsc"
    paper = "Kang et al., Knowledge Distillation with Adaptive Feature Consolidation, CVPR 2022"
    family = "afc"
    replay = "mixed"
    has_teacher = True
    scores_are_logits = False  # cosines
    Settings = AfcSettings

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        if settings.importances == "channel" and modality == "audio-visual":
            for name in FEATURES:  # channel importances, known from the first task's end on
                self.register_buffer(f"importance_of_{name}", torch.ones(widths.visual))

    def build_heads(self) -> Heads:
        """Heads that end in a proxy classifier."""
        return Heads(self.widths, self.modality, ProxyClassifier(self.widths.visual, self.settings.proxies))

    @property
    def balanced_epochs(self) -> int:
        """As set."""
        epochs: int = self.settings.balanced_epochs
        return epochs

    @property
    def classifier(self) -> ProxyClassifier:
        """The heads' classifier by its own type."""
        assert isinstance(self.heads.classifier, ProxyClassifier)
        return self.heads.classifier

    def begin_task(self, context: Context) -> None:
        """From the second task on, new proxies start at the k-means centres of their class's normalised
        features, times the mean norm of the old proxies."""
        if self.task.number == 1:
            return
        length = self.classifier.old_proxies.norm(dim=1).mean()
        starts = []
        for label in self.task.new_classes:
            clips = context.new_clips[context.labels[context.new_clips] == label]
            features = context.over(lambda batch: normalised_features(self.heads, batch), clips)
            starts.append(_centres(features, self.settings.proxies, context.generator("k-means", label)))
        with torch.no_grad():
            self.classifier.new_proxies.copy_(torch.cat(starts).to(length.device) * length)

    def become_teacher(self, task: Task) -> None:
        """Its own fresh proxies for the new classes, only to work out importances."""
        self.task = task
        self.classifier.widen(task.seen_classes)

    def recall(self, batch: Batch) -> Mapping[str, Tensor]:
        """Unit features (B, D), and for "clip" how much the teacher's NCA loss feels each of them: norms (B,)."""
        features = _features(self.heads(batch))
        answers = {name: F.normalize(feature, dim=1) for name, feature in features.items()}
        if self.modality != "audio-visual" or self.settings.importances != "clip":
            return answers
        gradients = self._gradients(batch)
        return answers | {f"norm_of_{name}": part.norm(dim=1) for name, part in gradients.items()}

    def _gradients(self, batch: Batch) -> dict[str, Tensor]:
        """Gradient of each clip's NCA loss (scale 1) with respect to its features. (B, D) each."""
        with torch.enable_grad():
            outputs: HeadOutputs = self.heads(batch)
            assert outputs.pooled is not None and outputs.audio is not None
            pooled = outputs.pooled.detach().requires_grad_()
            audio = outputs.audio.detach().requires_grad_()
            visual = self.heads.visual_feature(pooled)
            nca = nca_loss(self.classifier(sum_of(audio, visual)), batch.labels, 1.0, self.settings.margin)
            parts = torch.autograd.grad(nca * len(batch.labels), [pooled, audio, visual])
        return dict(zip(FEATURES, parts, strict=True))

    def end_task(self, context: Context) -> None:
        """For "channel": the mean squared gradient of each channel, brought to mean 1."""
        if self.modality != "audio-visual" or self.settings.importances != "channel":
            return
        clips = torch.cat([context.new_clips, context.memory.clips]).unique()
        squares = context.over(
            lambda batch: torch.stack([part**2 for part in self._gradients(batch).values()], dim=1), clips
        ).mean(dim=0)  # (features, D)
        for name, of_channels in zip(FEATURES, squares, strict=True):
            self.get_buffer(f"importance_of_{name}").copy_(of_channels / of_channels.mean().clamp(min=1e-30))

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """NCA, + 0.5 sqrt(t) * discrepancy from the second task on."""
        outputs: HeadOutputs = self.heads(batch)
        nca = nca_loss(outputs.logits, batch.labels, self.classifier.scale, self.settings.margin)
        if self.task.number == 1:
            return {"nca": nca}
        growth: float = self.task.number
        if self.settings.discrepancy_growth == "sqrt-classes":
            growth = self.task.seen_classes / len(self.task.new_classes)
        weight = self.settings.lambda_discrepancy * growth**0.5
        features = _features(outputs)
        if self.settings.importances == "channel" and self.modality == "audio-visual":
            channels = {name: self.get_buffer(f"importance_of_{name}") for name in FEATURES}
            discrepancy = channel_discrepancy(features, batch.teacher, channels)
        else:
            discrepancy = feature_discrepancy(features, batch.teacher)
        return {"nca": nca, "discrepancy": weight * discrepancy}


class AfcNme(NearestMeanReadout, AfcLsc):
    """AFC read out by the nearest class mean of exemplars."""

    name = "afc-nme"


def _features(outputs: HeadOutputs) -> dict[str, Tensor]:
    """The features that AFC consolidates: pooled visual, audio and visual, or the one there is. (B, D) each."""
    if outputs.audio is None or outputs.visual is None:
        return {"fused": outputs.fused}
    assert outputs.pooled is not None
    return dict(zip(FEATURES, (outputs.pooled, outputs.audio, outputs.visual), strict=True))


def feature_discrepancy(features: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor:
    """Mean over clips of the weighted distances between unit features (B, D) of student and teacher.

    A clip's weights are its importances divided by their sum; without importances each weight is 1.
    """
    distances = torch.stack(
        [(F.normalize(feature, dim=1) - teacher[name]).norm(dim=1) for name, feature in features.items()]
    )  # (features, B)
    if any(name.startswith("norm_of_") for name in teacher):
        norms = torch.stack([teacher[f"norm_of_{name}"] for name in features])
        distances = distances * (norms / norms.sum(dim=0).clamp(min=1e-12))
    return distances.sum(dim=0).mean()


def channel_discrepancy(
    features: Mapping[str, Tensor], teacher: Mapping[str, Tensor], importances: Mapping[str, Tensor]
) -> Tensor:
    """Mean over clips of the squared distances between unit features (B, D), channels weighted by (D,)."""
    parts = [
        (importances[name] * (F.normalize(feature, dim=1) - teacher[name]) ** 2).sum(dim=1)
        for name, feature in features.items()
    ]
    return torch.stack(parts).sum(dim=0).mean()


def _centres(features: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` k-means centres of features (n, D); with fewer clips than that, centres repeat. (count, D)."""
    from sklearn.cluster import KMeans  # half a second to import, and runs of other methods import this file too

    clusters = min(count, len(features))
    seed = int(torch.randint(2**31, (), generator=generator))
    # Three threads or more would add their parts of a centre in the order in which they come: other bits each time.
    with threadpool_limits(1):
        found = KMeans(clusters, n_init=1, random_state=seed).fit(features.numpy()).cluster_centers_
    return torch.from_numpy(found).float()[torch.arange(count) % clusters]
