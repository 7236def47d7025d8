"""A vision encoder of your own: CLIP's image model, frame by frame, with CLIP's preparation.

    avcil-extract run --plugin frame_encoder.py --video-encoder clip-frames:FOLDER ...

FOLDER is what transformers' `save_pretrained` writes, or a Hub name. Its weights are part of the cache's fingerprint,
and so is this file. Change `encode` for your own model: 8 frames of (3, 224, 224) go in, (8, S, D) come out.
"""

from typing import Any, cast

from avcil.errors import InputError
from avcil.extract.encoders import FrameEncoder, VisualPreparation, clip_tokens
from torch import Tensor, nn
from transformers import CLIPVisionModel


class ClipFrames(FrameEncoder):
    """The patch tokens of each frame."""

    name = "clip-frames"
    preparation = VisualPreparation(
        frames=8,
        shortest_edge=224,
        crop=224,
        resample="bicubic",
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    )

    def load(self, source: str | None) -> nn.Module:
        """The model, and nothing but what the file has: weights that are missing would be random."""
        if source is None:
            raise InputError("give the checkpoint: --video-encoder clip-frames:openai/clip-vit-base-patch16")
        loaded: Any = CLIPVisionModel.from_pretrained(source, output_loading_info=True)
        model, report = loaded
        if report["missing_keys"]:
            raise InputError(f"{source} lacks {sorted(report['missing_keys'])[:3]}")
        return cast(nn.Module, model)

    def encode(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """(B, 8, 3, 224, 224) -> (B, 8, S, D): all tokens but the first, which stands for the whole frame."""
        return clip_tokens(lambda images: model(images).last_hidden_state[:, 1:], pixels)
