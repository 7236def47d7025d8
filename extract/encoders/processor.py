"""A checkpoint's processor settings, turned into the preparation that a clip goes through."""

from collections.abc import Mapping
from typing import Any

from ...errors import InputError
from ..preparation.encoder_input import AudioPreparation, VisualPreparation

LONGEST_EDGE = 8192  # pixels to which a frame may be resized
LARGEST_NUMBER = 1e6
# PIL's filters by the numbers that preprocessor_config.json uses.
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def visual_preparation(settings: Mapping[str, Any], *, frames: int, image_size: int, source: str) -> VisualPreparation:
    """Read a preprocessor_config.json of a video model, of any age.

    Mean and deviation must be written there: the processor classes of transformers assume 0.5 where they are
    not, which is not what the published checkpoints were trained with. An integer `size` (files of 2022) is
    the shortest edge and, without a `crop_size`, the crop.

    Raises InputError for what cannot be done to a frame.
    """
    sides = settings.get("size")
    squeezed = False
    if isinstance(sides, dict) and not settings.get("do_center_crop") and settings.get("crop_size") is None:
        squeezed = sides.get("height") is not None and sides.get("height") == sides.get("width")
        if squeezed:  # as ViT's and SigLIP's processors do: no crop
            edge = sides["height"]
            settings = {**settings, "size": {"shortest_edge": edge}, "crop_size": edge, "do_center_crop": True}
    for step in ("do_resize", "do_center_crop"):
        if settings.get(step, True) is not True:
            raise InputError(f"{source}: preprocessor setting '{step}' must be true: clips have frames of any size")
    size = settings.get("size", image_size)
    edge = size if isinstance(size, int) else size.get("shortest_edge") if isinstance(size, dict) else None
    crop = settings.get("crop_size", size if isinstance(size, int) else image_size)
    if isinstance(crop, dict):
        crop = crop.get("height") if crop.get("height") == crop.get("width") else None
    if not isinstance(edge, int) or not isinstance(crop, int):
        raise InputError(
            f"{source}: preprocessor settings must give a shortest edge and a square crop, "
            f"not size {settings.get('size')} and crop_size {settings.get('crop_size')}"
        )
    if not 1 <= edge <= LONGEST_EDGE:
        raise InputError(
            f"{source}: the preprocessor makes the shorter side {edge} pixels, which is none of 1 to {LONGEST_EDGE}"
        )
    if crop != image_size:
        raise InputError(f"{source}: the preprocessor crops to {crop}, the model takes {image_size} pixels")
    resample = settings.get("resample", 2)
    if not isinstance(resample, int) or resample not in RESAMPLE:
        raise InputError(f"{source}: preprocessor setting 'resample' is {resample!r}, not one of {list(RESAMPLE)}")
    rescale = _number(settings, "rescale_factor", 1 / 255, source) if settings.get("do_rescale", True) else 1.0
    normalise = settings.get("do_normalize", True)
    mean = _three(settings, "image_mean", source) if normalise else (0.0, 0.0, 0.0)
    if settings.get("offset") and settings.get("do_rescale", True):  # ViViT's subtracts 1 from what it has rescaled
        mean = (mean[0] + 1, mean[1] + 1, mean[2] + 1)
    return VisualPreparation(
        frames=frames,
        shortest_edge=edge,
        crop=crop,
        resample=RESAMPLE[resample],
        rescale=rescale,
        mean=mean,
        std=_three(settings, "image_std", source, positive=True) if normalise else (1.0, 1.0, 1.0),
        keep_aspect=not squeezed,
    )


def _three(settings: Mapping[str, Any], key: str, source: str, *, positive: bool = False) -> tuple[float, float, float]:
    value = settings.get(key)
    numbers = [value] * 3 if _is_number(value) else value
    if not isinstance(numbers, list) or len(numbers) != 3 or not all(map(_is_number, numbers)):
        raise InputError(f"{source}: preprocessor setting '{key}' must be three numbers, not {value!r}")
    if positive and min(numbers) <= 0:
        raise InputError(f"{source}: preprocessor setting '{key}' must be above 0, not {value!r}")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LARGEST_NUMBER  # no NaN either


def _number(settings: Mapping[str, Any], key: str, default: float, source: str) -> float:
    value = settings.get(key, default)
    if not _is_number(value):
        raise InputError(f"{source}: preprocessor setting '{key}' must be a number, not {value!r}")
    return float(value)


def audio_preparation(settings: Mapping[str, Any] | None, *, frames: int, bins: int, source: str) -> AudioPreparation:
    """Read a preprocessor_config.json of ASTFeatureExtractor's kind; without one, AudioMAE's own settings.

    Raises InputError where it makes another image than the model takes.
    """
    standard = AudioPreparation(frames=frames, bins=bins)
    if settings is None:
        return standard
    image = settings.get("max_length", frames), settings.get("num_mel_bins", bins)
    if image != (frames, bins):
        raise InputError(f"{source}: the preprocessor makes {image}, the model takes {(frames, bins)} (frames, bins)")
    rate, std = settings.get("sampling_rate", standard.sample_rate), _number(settings, "std", standard.std, source)
    if not isinstance(rate, int) or not 1000 <= rate <= 384_000 or std <= 0:
        raise InputError(
            f"{source}: preprocessor settings must give a rate in Hz and a std above 0, not {rate!r}, {std}"
        )
    return AudioPreparation(
        frames=frames,
        bins=bins,
        sample_rate=rate,
        mean=_number(settings, "mean", standard.mean, source),
        std=std,
        normalise=bool(settings.get("do_normalize", True)),
    )
