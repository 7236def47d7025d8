"""The plain way against what the authors' released code computes on the same inputs."""

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from avcil.benchmarks import plain
from avcil.tests.incremental import parity
from avcil.tests.incremental.parity import LABELS, NEW_CLIPS, OLD_CLASSES, OLD_TASKS, expected
from torch import Tensor, nn

RELATIVE = 1e-4


def agrees(ours: Tensor, *path: str, relative: float = RELATIVE) -> None:
    """Agreement relative to the largest value of the whole: single values near zero carry rounding."""
    theirs = expected(*path)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= relative * theirs.abs().max()


def heads(weights: Mapping[str, Tensor]) -> plain.PlainHeads:
    rows = len(weights["classifier.weight"])
    made = plain.PlainHeads(parity.CHANNELS, parity.CHANNELS, nn.Linear(parity.CHANNELS, rows))
    made.load_state_dict(weights)
    return made


def proxy_heads(weights: Mapping[str, Tensor]) -> plain.PlainHeads:
    old, new = weights["classifier.weight"].split([OLD_CLASSES * parity.PROXIES, 2 * parity.PROXIES])
    made = plain.PlainHeads(parity.CHANNELS, parity.CHANNELS, plain.PlainProxies(old.clone(), new.clone()))
    linear_maps = {name: weight for name, weight in weights.items() if not name.startswith("classifier")}
    missing, unexpected = made.load_state_dict(linear_maps, strict=False)
    assert all(name.startswith("classifier.") for name in missing)
    assert not unexpected
    return made


@pytest.fixture(scope="module")
def clips() -> tuple[Tensor, Tensor]:
    return parity.features()


@pytest.fixture
def student() -> plain.PlainHeads:
    return heads(parity.student_weights())


@pytest.fixture(scope="module")
def teacher() -> plain.PlainHeads:
    return heads(parity.teacher_weights()).requires_grad_(False)


def gradient_norms(of: plain.PlainHeads) -> dict[str, float]:
    gradients = {name: parameter.grad for name, parameter in of.named_parameters()}
    return {name: gradient.norm().item() for name, gradient in gradients.items() if gradient is not None}


def total_loss(student, teacher, clips, weights=plain.PlainWeights()) -> Tensor:  # noqa: B008
    logits, features = student(*clips)
    teacher_logits, teacher_features = teacher(*clips)
    return plain.av_cil_loss(logits, features, teacher_logits, teacher_features, LABELS, NEW_CLIPS, OLD_TASKS, weights)


def test_forward(student, clips):
    logits, features = student(*clips)
    agrees(logits, "forward", "logits")
    agrees(features.fused.norm(dim=1), "forward", "fused_norms")
    agrees(F.normalize(features.audio)[:, :5], "forward", "audio_normalised_first_5")
    agrees(F.normalize(features.visual)[:, :5], "forward", "visual_normalised_first_5")
    agrees(features.spatial[0, 0, :, :5], "forward", "spatial_clip_0_slice_0_channels_0_to_4")
    agrees(features.temporal[0, :, :5], "forward", "temporal_clip_0_channels_0_to_4")
    agrees(features.spatial.sum(), "forward", "spatial_sum")


def test_one_modality(student, clips):
    visual, audio = clips
    agrees(student.classifier(student.audio_feature(audio)), "audio_only_logits")
    agrees(student.classifier(student.visual_feature(visual)), "visual_only_logits")


def test_every_term_of_av_cil(student, teacher, clips):
    logits, features = student(*clips)
    teacher_logits, teacher_features = teacher(*clips)
    agrees(
        F.cross_entropy(logits[:NEW_CLIPS, OLD_CLASSES:], LABELS[:NEW_CLIPS] - OLD_CLASSES),
        "av_cil",
        "cross_entropy_new",
    )
    agrees(
        F.cross_entropy(logits[NEW_CLIPS:, :OLD_CLASSES], LABELS[NEW_CLIPS:]),
        "av_cil",
        "cross_entropy_memory",
    )
    agrees(
        plain.separated_softmax_cross_entropy(logits, LABELS, NEW_CLIPS, OLD_CLASSES),
        "av_cil",
        "separated_softmax_cross_entropy",
    )
    each = [plain.task_distillation(logits, teacher_logits, task) for task in OLD_TASKS]
    agrees(torch.stack(each), "av_cil", "task_distillation")
    scores = plain.similarity_scores(features.audio, features.visual)
    agrees(plain.instance_similarity(scores), "av_cil", "instance_similarity")
    agrees(plain.class_similarity_released(scores, LABELS), "av_cil", "class_similarity_released")
    agrees(plain.class_similarity_equation_7(scores, LABELS), "av_cil", "class_similarity_equation_7")
    agrees(plain.class_similarity_alternative(scores, LABELS), "av_cil", "class_similarity_alternative")
    memory = slice(NEW_CLIPS, None)
    agrees(
        plain.attention_distillation(features.spatial[memory], teacher_features.spatial[memory]),
        "av_cil",
        "spatial_distillation",
    )
    agrees(
        plain.attention_distillation(features.temporal[memory], teacher_features.temporal[memory]),
        "av_cil",
        "temporal_distillation",
    )


def test_av_cil_total_and_gradients(student, teacher, clips):
    loss = total_loss(student, teacher, clips)
    agrees(loss, "av_cil", "total")
    loss.backward()
    expected_norms = parity.VALUES["av_cil"]["gradient_norms"]
    assert gradient_norms(student) == pytest.approx(expected_norms, rel=RELATIVE)


def test_av_cil_five_adam_steps(student, teacher, clips):
    optimiser = plain.adam(list(student.parameters()))
    losses = []
    for _ in range(5):
        loss = total_loss(student, teacher, clips)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses == pytest.approx(parity.VALUES["av_cil"]["adam_losses"], rel=1e-3)


def test_printed_equations_take_the_student_first(student, teacher, clips):
    """KL(student || teacher) of one task's logits and of the attention maps, by their definition."""
    logits, features = student(*clips)
    teacher_logits, teacher_features = teacher(*clips)
    p = (logits[:, :2] / 2).softmax(dim=1)
    q = (teacher_logits[:, :2] / 2).softmax(dim=1)
    by_hand = 4 * sum((p[b, c] * (p[b, c] / q[b, c]).log()) for b in range(10) for c in range(2)) / 10
    printed = plain.task_distillation(logits, teacher_logits, OLD_TASKS[0], student_first=True)
    torch.testing.assert_close(printed, by_hand)
    u, w = features.temporal[6:], teacher_features.temporal[6:]
    torch.testing.assert_close(plain.attention_distillation(u, w, student_first=True), (u * (u / w).log()).sum() / 4)


def test_switched_off_parts_leave_ss_il(student, teacher, clips):
    logits, teacher_logits = student(*clips)[0], teacher(*clips)[0]
    apart = plain.separated_softmax_cross_entropy(logits, LABELS, NEW_CLIPS, OLD_CLASSES)
    apart = apart + plain.task_knowledge_distillation(logits, teacher_logits, OLD_TASKS)
    torch.testing.assert_close(total_loss(student, teacher, clips, plain.SS_IL), apart)


def test_fine_tuning_lwf_and_icarl(student, teacher, clips):
    logits, teacher_logits = student(*clips)[0], teacher(*clips)[0]
    agrees(F.cross_entropy(logits, LABELS), "fine_tuning")
    agrees(plain.icarl_loss(logits, None, LABELS), "icarl", "first_task")
    agrees(plain.icarl_loss(logits, teacher_logits, LABELS), "icarl", "doubled_sigmoid")
    new = slice(0, NEW_CLIPS)
    agrees(plain.lwf_loss(logits[new], teacher_logits[new], LABELS[new], OLD_TASKS), "lwf_first_six_clips")


def test_icarl_single_sigmoid_is_a_binary_cross_entropy(student, teacher, clips):
    logits, teacher_logits = student(*clips)[0], teacher(*clips)[0]
    p, q = logits[:, :OLD_CLASSES].sigmoid(), teacher_logits.sigmoid()
    distilled = -(q * p.log() + (1 - q) * (1 - p).log()).mean()
    torch.testing.assert_close(
        plain.icarl_loss(logits, teacher_logits, LABELS, doubled_sigmoid=False),
        F.cross_entropy(logits, LABELS) + distilled,
    )


def test_afc(clips):
    student, teacher = proxy_heads(parity.afc_student_weights()), proxy_heads(parity.afc_teacher_weights())
    similarity, features = student(*clips)
    teacher_similarity, teacher_features = teacher(*clips)
    agrees(similarity, "afc", "similarities")
    nca = plain.nca_loss(similarity, LABELS, student.classifier.get_parameter("scale"))
    agrees(nca, "afc", "nca")

    theirs = [teacher_features.pooled, teacher_features.audio, teacher_features.visual]
    norms = plain.importance_norms(plain.nca_loss(teacher_similarity, LABELS, 1.0), theirs)
    for norm, name in zip(norms, ["pooled", "audio", "visual"], strict=True):
        agrees(norm, "afc", f"gradient_norm_{name}")
    assert torch.equal(norms[1], norms[2])

    apart = plain.discrepancy([features.pooled, features.audio, features.visual], theirs, norms)
    agrees(apart, "afc", "discrepancy")
    loss = plain.afc_loss(nca, apart, task_number=3)
    agrees(loss, "afc", "total_third_task")
    loss.backward()
    assert gradient_norms(student) == pytest.approx(parity.VALUES["afc"]["gradient_norms"], rel=RELATIVE)


def test_nca_margin_of_the_target_only():
    """Two classes, similarities (1, 0.5), target 0, margin 0.6, scale 2: z = (0.8, 1.0) - 1.0."""
    loss = plain.nca_loss(torch.tensor([[1.0, 0.5]]), torch.tensor([0]), scale=2.0, margin=0.6)
    torch.testing.assert_close(loss, 0.2 + torch.log(torch.tensor(2.0)))


def test_a_memory_of_no_clips_leaves_the_new_clips_losses(student, teacher, clips):
    visual, audio = clips[0][:NEW_CLIPS], clips[1][:NEW_CLIPS]
    logits, features = student(visual, audio)
    teacher_logits, teacher_features = teacher(visual, audio)
    loss = plain.av_cil_loss(
        logits, features, teacher_logits, teacher_features, LABELS[:6], 6, OLD_TASKS, plain.PlainWeights()
    )
    scores = plain.similarity_scores(features.audio, features.visual)
    apart = plain.lwf_loss(logits, teacher_logits, LABELS[:6], OLD_TASKS)
    apart = apart + 0.5 * plain.instance_similarity(scores)
    torch.testing.assert_close(loss, apart + plain.class_similarity_released(scores, LABELS[:6]))
