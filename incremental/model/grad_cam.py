"""Grad-CAM maps of the visual tokens and their distillation: what Table 8 compares VAD with.

Grad-CAM: Selvaraju et al., ICCV 2017. Its distillation: Dhar et al., "Learning without Memorizing",
CVPR 2019, whose distance (L1 between maps of unit length) is used here, since the AV-CIL paper names none.

Shapes: B clips, L time slices, S tokens, D channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.batch import Batch
from .attention import attention_pool
from .heads import Heads, sum_of


def grad_cam_maps(heads: Heads, batch: Batch, *, create_graph: bool = False) -> Tensor:
    """Grad-CAM of each clip's own class on its visual tokens, of unit length. (B, L, S) float32.

    Channel weights are the mean over tokens of the logit's gradient; the map is the ReLU of the weighted sum
    over channels. With `create_graph` the maps can be trained through, which needs second derivatives and
    therefore the plain attention.
    """
    assert batch.store is not None and batch.rows is not None
    with torch.enable_grad():
        tokens = batch.store[batch.rows].float().requires_grad_()  # (B, L, S, D)
        pooled = attention_pool(
            tokens,
            torch.arange(len(tokens), device=tokens.device),
            heads.gate(batch.audio),
            heads.visual_attention.weight,
            heads.visual_attention.bias,
            implementation="plain",
        ).pooled
        logits = heads.classifier(sum_of(heads.audio_feature(batch.audio), heads.visual_feature(pooled)))
        own = logits.gather(1, batch.labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(own, tokens, create_graph=create_graph)
        weights = gradient.mean(dim=(1, 2), keepdim=True)  # (B, 1, 1, D)
        maps = F.relu((weights * tokens).sum(dim=-1))  # (B, L, S)
        unit = F.normalize(maps.flatten(1), dim=1).view_as(maps)
    return unit if create_graph else unit.detach()


def grad_cam_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over clips of the L1 distance between maps (B, L, S) of unit length."""
    return (student - teacher).abs().sum(dim=(1, 2)).mean()
