"""CLAP's audio tower (Wu et al., ICASSP 2023, arXiv 2211.06687) by transformers: its pooled output.

The encoder takes the waveform and makes the log-mel image of ClapFeatureExtractor. Two departures from it, so that a
clip's features depend on the clip alone: sound beyond `max_length_s` is cut off, where the extractor takes random
pieces; and no clip is marked as longer, where the extractor marks a random one of each batch.

Shapes: B clips, N samples, F time frames, M mel bins, D channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import ClapAudioConfig, ClapAudioModel
from transformers.audio_utils import mel_filter_bank

from ...errors import InputError
from ..preparation.encoder_input import WaveformPreparation
from .configuration import build_config
from .family import Family, Settings, computing, title
from .source import Source
from .weights import frozen, pretrained, randomly_initialised, read_tensors, weight_facts, without

UNUSED = ("text_model.", "text_projection.", "audio_projection.", "logit_scale")
FILLING = {"repeatpad": "repeat", "pad": "zeros"}
QUIETEST = 1e-10  # power that the logarithm takes for silence
STANDARD: Mapping[str, Any] = {
    "feature_size": 64,
    "sampling_rate": 48_000,
    "hop_length": 480,
    "max_length_s": 10,
    "fft_window_size": 1024,
    "frequency_min": 0,
    "frequency_max": 14_000,
    "truncation": "fusion",
    "padding": "repeatpad",
}
"""ClapFeatureExtractor's, as far as it decides the image."""


@dataclass(frozen=True)
class ClapAudio:
    """A frozen audio tower."""

    model: ClapAudioModel
    filters: Tensor
    """(FFT bins, M)"""
    window: Tensor
    hop: int
    fused: bool
    dtype: torch.dtype
    title: str
    preparation: WaveformPreparation
    feature_shape: tuple[int]
    identity: dict[str, Any]

    def encode(self, sound: Tensor) -> Tensor:
        """`sound` float32 (B, N) -> float32 (B, D)."""
        with computing():
            image = self.image(sound.to(self.window.device, non_blocking=True))
            image = image.unsqueeze(1).expand(-1, 4 if self.fused else 1, -1, -1)  # (B, 1 or 4, F, M)
            longer = torch.zeros(len(image), 1, dtype=torch.bool, device=image.device)
            pooled: Tensor = self.model(input_features=image.to(self.dtype), is_longer=longer).pooler_output
            return pooled.flatten(1).float()  # (B, D)

    def image(self, waveform: Tensor) -> Tensor:
        """The log-mel image (B, F, M) in decibels."""
        size = len(self.window)
        spectrum = torch.stft(waveform, size, self.hop, window=self.window, pad_mode="reflect", return_complex=True)
        power = spectrum.abs().square().transpose(1, 2)  # (B, F, bins)
        return (power @ self.filters).clamp(min=QUIETEST).log10() * 10


def load(source: Source, settings: Settings) -> ClapAudio:
    """Build the encoder from a checkpoint of ClapModel, ClapAudioModel or ClapAudioModelWithProjection.

    Raises InputError for an incomplete checkpoint and for one whose processor settings are not known.
    """
    config = build_config(ClapAudioConfig, source, part="audio_config", sizes=_sizes)
    if source.processor is None and settings.random_weights is None:
        raise InputError(f"{source.name} has no preprocessor_config.json, which says how sound has to be prepared")
    said = {name: (source.processor or {}).get(name, usual) for name, usual in STANDARD.items()}
    if said["padding"] not in FILLING or said["feature_size"] != config.num_mel_bins:
        raise InputError(
            f"{source.name}: the preprocessor must fill up sound by {' or '.join(FILLING)} and make "
            f"{config.num_mel_bins} bins, not '{said['padding']}' and {said['feature_size']}"
        )
    try:
        filling = "repeat" if FILLING[said["padding"]] == "repeat" else "zeros"
        preparation = WaveformPreparation(said["sampling_rate"], float(said["max_length_s"]), filling)  # type: ignore[arg-type]
        slaney = said["truncation"] != "fusion"
        filters = mel_filter_bank(
            num_frequency_bins=said["fft_window_size"] // 2 + 1,
            num_mel_filters=said["feature_size"],
            min_frequency=said["frequency_min"],
            max_frequency=said["frequency_max"],
            sampling_rate=said["sampling_rate"],
            norm="slaney" if slaney else None,
            mel_scale="slaney" if slaney else "htk",
        )
        window = torch.hann_window(said["fft_window_size"])
        if not 1 <= said["hop_length"] <= preparation.samples:
            raise ValueError(f"hop_length is {said['hop_length']}")
    except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise InputError(f"{source.name}: preprocessor settings that make no log-mel image ({error})") from error
    tensors = None
    if settings.random_weights is None:
        tensors = without(read_tensors(source.weights()), "audio_model.", UNUSED)
        model = pretrained(ClapAudioModel, config, tensors, source.name)
    else:
        model = randomly_initialised(lambda: ClapAudioModel(config), settings.random_weights, source.name)
    device = settings.device
    return ClapAudio(
        model=frozen(model, device, settings.dtype),
        filters=torch.from_numpy(filters).float().to(device),
        window=window.to(device),
        hop=int(said["hop_length"]),
        fused=bool(config.enable_fusion),
        dtype=settings.dtype,
        title=title("CLAP", source, settings),
        preparation=preparation,
        feature_shape=(config.hidden_size,),
        identity={
            "encoder": FAMILY.name,
            "features": "pooler_output",
            "architecture": {name: getattr(config, name) for name in ARCHITECTURE},
            "processor": {**preparation.facts(), **said},
            "precision": settings.precision,
            **weight_facts(tensors, settings.random_weights, config.initializer_factor),
        },
    )


ARCHITECTURE = (
    *("hidden_size", "depths", "num_attention_heads", "patch_size", "patch_stride", "patch_embeds_hidden_size"),
    *("spec_size", "window_size", "num_mel_bins", "hidden_act", "mlp_ratio", "qkv_bias", "enable_fusion"),
    *("fusion_type", "layer_norm_eps"),
)


def _sizes(config: Any) -> Any:
    """Its last stage in the terms of a plain transformer, to be checked as one."""
    return SimpleNamespace(
        hidden_size=config.hidden_size,
        num_hidden_layers=sum(config.depths),
        num_attention_heads=config.num_attention_heads[-1],
        intermediate_size=int(config.hidden_size * config.mlp_ratio),
        num_mel_bins=config.num_mel_bins,
        image_size=config.spec_size,
        patch_size=config.patch_size,
    )


FAMILY = Family(
    name="clap",
    modality="audio",
    accepts=lambda source: source.kind in ("clap", "clap_audio_model"),
    load=load,
    published={},
)
