"""AV-CIL: Pian et al., "Audio-Visual Class-Incremental Learning", ICCV 2023 (arXiv 2308.11073)."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..config import STRICT
from ..data.batch import Batch
from ..learning import losses
from ..model.attention import TeacherMaps
from ..model.grad_cam import grad_cam_distance, grad_cam_maps
from ..model.heads import HeadOutputs
from .ss_il import SsIl, SsIlSettings


@dataclass(frozen=True, config=STRICT)
class AvCilSettings(SsIlSettings):
    """Settings of AV-CIL; defaults are those of AVE-CI."""

    lambda_instance: Annotated[float, Field(ge=0)] = 0.5
    """lambda_I, weight of I-AVSS; >= 0, and 0 switches it off."""
    lambda_class: Annotated[float, Field(ge=0)] = 1.0
    """lambda_C, weight of C-AVSS; >= 0, and 0 switches it off."""
    attention_distillation: Literal["vad", "grad-cam", "none"] = "vad"
    """What is distilled of the teacher's gaze on memory clips: its attention (VAD), Grad-CAM maps as in
    Table 8, or nothing."""
    lambda_spatial: Annotated[float, Field(ge=0, le=1)] = 0.5
    """lambda of eq. 11: spatial against temporal attention in VAD; 0 to 1."""
    lambda_grad_cam: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the Grad-CAM distillation; >= 0. The paper names none."""
    similarity_temperature: Annotated[float, Field(gt=0)] = 0.05
    """tau of eq. 6 and 7; > 0."""
    class_similarity: losses.ClassSimilarity = "released"
    """C-AVSS as the published tables used it, as eq. 7 prints it, or averaged over each clip's class."""


class AvCil(SsIl):
    """Separated softmax and task distillation, plus dual audio-visual similarity constraints (I-AVSS, C-AVSS)
    and visual attention distillation (VAD) on memory clips."""

    name = "av-cil"
    paper = "Pian et al., Audio-Visual Class-Incremental Learning, ICCV 2023"
    modalities = ("audio-visual",)
    Settings = AvCilSettings

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """SS-CE + TKD + lambda_I I-AVSS + lambda_C C-AVSS + VAD; the first task is plain cross-entropy."""
        if self.task.number == 1:
            return super().loss(batch)
        settings = self.settings
        outputs: HeadOutputs = self._outputs(batch)
        assert outputs.audio is not None and outputs.visual is not None
        terms = self.separated_losses(outputs.logits, batch)
        scores = losses.audio_visual_scores(outputs.audio, outputs.visual, settings.similarity_temperature)
        if settings.lambda_instance:
            similarity = losses.instance_audio_visual_similarity(scores)
            terms["instance_audio_visual_similarity"] = settings.lambda_instance * similarity
        if settings.lambda_class:
            similarity = losses.class_audio_visual_similarity(scores, batch.labels, settings.class_similarity)
            terms["class_audio_visual_similarity"] = settings.lambda_class * similarity
        if batch.new == len(batch.numbers):  # a memory too small to hold any clip
            return terms
        if settings.attention_distillation == "vad":
            terms["visual_attention_distillation"] = self._visual_attention_distillation(outputs, batch)
        elif settings.attention_distillation == "grad-cam":
            maps = grad_cam_maps(self.heads, batch.part(batch.new), create_graph=True)
            distance = grad_cam_distance(maps, batch.teacher_of_memory["grad_cam"])
            terms["grad_cam_distillation"] = settings.lambda_grad_cam * distance
        return terms

    def _outputs(self, batch: Batch) -> HeadOutputs:
        """The heads' outputs, with what VAD needs of the memory clips' spatial attention."""
        if self.settings.attention_distillation != "vad" or batch.new == len(batch.numbers):
            outputs: HeadOutputs = self.heads(batch)
        elif self.settings.kl_direction == "student-teacher":
            outputs = self.heads(batch, maps_from=batch.new)
        else:  # the cross-entropy is enough, and no map need be written
            teacher = TeacherMaps(*batch.teacher_of_memory.where("spatial"))
            outputs = self.heads(batch, maps_from=batch.new, teacher=teacher)
        return outputs

    def _visual_attention_distillation(self, outputs: HeadOutputs, batch: Batch) -> Tensor:
        """VAD, eq. 9-11."""
        settings, teacher = self.settings, batch.teacher_of_memory
        assert outputs.log_temporal is not None
        log_temporal = outputs.log_temporal[batch.new :]  # (M, L, D)
        temporal = losses.kl_divergence(log_temporal, teacher["temporal"], settings.kl_direction)
        if outputs.spatial_cross_entropy is not None:
            spatial = (teacher["spatial_information"] + outputs.spatial_cross_entropy).sum()
        else:
            assert outputs.log_spatial is not None
            spatial = losses.kl_divergence(outputs.log_spatial, teacher["spatial"], settings.kl_direction)
        return losses.visual_attention_distillation(spatial, temporal, len(log_temporal), settings.lambda_spatial)

    def recall_of_memory(self, batch: Batch) -> Mapping[str, Tensor]:
        """The teacher's attention maps, in the type the features are held in, or its Grad-CAM maps.

        Beside each spatial map t comes sum t log w, w being t before it was rounded to that type: with the student's
        cross-entropy added, that is the divergence, 0 where the student agrees.
        """
        if self.settings.attention_distillation == "vad":
            outputs: HeadOutputs = self.heads(batch, maps_from=0)
            assert outputs.log_spatial is not None and outputs.log_temporal is not None
            assert batch.store is not None
            spatial = torch.empty_like(outputs.log_spatial, dtype=batch.store.dtype)
            information = torch.empty_like(outputs.log_spatial[:, 0, 0, 0])
            buffer = torch.empty_like(outputs.log_spatial[0])
            # Clip by clip, so that what is worked on stays in the processor's cache.
            for kept, log_w, total in zip(spatial, outputs.log_spatial, information, strict=True):
                kept.copy_(torch.exp(log_w, out=buffer))
                total.copy_(torch.dot(buffer.copy_(kept).view(-1), log_w.view(-1)))
            return {"spatial": spatial, "temporal": outputs.log_temporal.exp(), "spatial_information": information}
        if self.settings.attention_distillation == "grad-cam":
            return {"grad_cam": grad_cam_maps(self.heads, batch)}
        return {}
