"""The encoders and the preparation behind a run's features, found again, and video files taken through them.

What a run learnt from is told by the fingerprint of its cache, which the run keeps with its configuration. Encoders are
loaded from where they were then, or from where the user says, and must give that very fingerprint: weights by their
hash, preparation, precision and all. Features are rounded as they were in the cache.

B clips of a batch, L time slices, S tokens, D channels.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..cache import Fingerprint, NotStorable, origin_of
from ..cache.derived import Derivation, derivation_of, source_of
from ..cache.storage import StorageType, as_read, storage_type
from ..errors import InputError, say
from ..extract.assembly import fingerprint, load_encoders, pace_of
from ..extract.config import ExtractionConfig
from ..extract.decoding.faults import NOT_FINITE
from ..extract.decoding.workers import DecodingPool, Job, Outcome
from ..extract.notes import recalled
from ..extract.pipeline import BatchEncoder, Encoders, Pace, encode_if_it_fits
from ..extract.preparation.encoder_input import PreparedClip
from ..extract.preparation.recipes import ClipPreparation, recipe
from ..files import sha256_of
from ..incremental.results.collect import FinishedRun
from ..options import checked


@dataclass(frozen=True)
class Encoded:
    """A video file's features, or why it has none."""

    path: Path
    features: tuple[Tensor, Tensor] | None = None
    """Visual (L, S, D) and audio (D,), as a reader of the run's cache would get them."""
    reason: str = ""
    """In short, as in a cache's quarantine."""
    words: str = ""
    """What the decoders said."""


@dataclass(frozen=True)
class Encoding:
    """From video files to features as a run learnt from them."""

    encoders: Encoders
    preparation: ClipPreparation
    pace: Pace
    storage: StorageType
    """Of the cache that the encoders' features went to."""
    derivation: Derivation | None = None
    """What became of them there, where the run learnt from a derived cache."""

    def of(self, paths: Sequence[Path]) -> Iterator[Encoded]:
        """The features of video files, in the order of `paths`; decoded side by side, encoded some at a time."""
        jobs = (Job(str(number), path) for number, path in enumerate(paths))
        encode, pace = BatchEncoder(self.encoders), self.pace
        workers = min(pace.workers, len(paths))
        with DecodingPool(
            self.preparation, workers=workers, timeout=pace.clip_timeout, memory=pace.clip_memory
        ) as pool:
            outcomes = pool.read_all(jobs, ahead=pace.ahead)
            while batch := list(itertools.islice(outcomes, pace.batch_size)):
                features = self._encoded(encode, [outcome.clip for outcome in batch if outcome.clip is not None])
                for outcome in batch:
                    yield self._kept(outcome, None if outcome.clip is None else next(features))

    def _encoded(self, encode: BatchEncoder, clips: list[PreparedClip]) -> Iterator[tuple[Tensor, Tensor]]:
        """Features of each clip; fewer clips at once where the device has no memory for all."""
        at_once = len(clips)
        while clips:
            done = encode_if_it_fits(encode, clips[:at_once])
            if done is None:
                if at_once == 1:
                    raise InputError(
                        f"{self.encoders.device} has no memory for a single clip beside the encoders: "
                        "free some, or choose another --device"
                    )
                at_once //= 2
                continue
            visual, audio, arrived = done
            arrived()
            yield from zip(visual, audio, strict=True)
            clips = clips[at_once:]

    def _kept(self, outcome: Outcome, features: tuple[Tensor, Tensor] | None) -> Encoded:
        path = outcome.job.path
        if features is None:
            return Encoded(path, reason=outcome.reason, words=outcome.words)
        try:
            visual, audio = (as_read(part, self.storage) for part in features)
            if self.derivation is not None:
                visual, audio = self.derivation.as_read(visual, audio)
        except NotStorable as error:
            return Encoded(path, reason=NOT_FINITE, words=str(error))
        return Encoded(path, (visual, audio))


def check_file(path: Path) -> None:
    """InputError where `path` is no file."""
    if not path.is_file():
        raise InputError(f"{path}: {'a folder, not a video file' if path.is_dir() else 'no such file'}")


def encoding_of(
    run: FinishedRun,
    *,
    visual: str | None = None,
    audio: str | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
) -> Encoding:
    """Load the encoders that made the features of a run.

    Args:
        run: the run.
        visual: Hub id, folder or file of the video encoder; None: where it was when the cache was made.
        audio: likewise, of the audio encoder.
        device: where they compute.
        plugins: Python files with encoders, in place of those that the run has noted. They are run; of noted ones, only
            as they were when the features were made, and a line on standard error names each before it is.

    Raises:
        InputError: the features were not made from videos here; an encoder is not found, its plugin has changed, or it
            is another one than the features were made with, which is told with the facts that differ.
    """
    provenance = run.content["provenance"]
    facts: Mapping[str, Any] = provenance.get("cache_made_by") or {}
    if not {"visual_encoder", "audio_encoder", "recipe", "reading"} <= facts.keys():
        made = f" ({facts['origin']})" if "origin" in facts else ""
        raise InputError(
            f"{run.path} learnt from features that avcil-extract run did not make{made}: "
            "no video file can be brought into their form"
        )
    try:
        derived = derivation_of(facts)
    except InputError as error:
        raise InputError(f"the cache that {run.path} learnt from: {error}") from None
    if derived is not None:
        facts = source_of(facts).facts
    choices = choices_of(run)
    if plugins:
        choices["plugin"] = [str(path) for path in plugins]
    else:
        _announce(run, [Path(path) for path in choices.get("plugin", ())], facts)
    config = checked(ExtractionConfig, _config(run, choices, facts, visual, audio, device))
    try:
        encoders, _ = load_encoders(config)
    except InputError as error:
        if visual is not None and audio is not None:
            raise
        raise InputError(f"an encoder that {run.path} learnt from: {error}; --visual and --audio say where") from error
    how = recipe(config.recipe, facts["recipe"].get("jpeg_rate"))
    here, there = fingerprint(encoders, how, config.store), Fingerprint(facts)
    if here.digest != there.digest:
        raise InputError(
            f"{run.path} learnt from features of other encoders, and these cannot take their place: "
            f"{here.difference(there)}"
        )
    # Where sound is not listened to, a clip without any is as good as another.
    silent = "silence" if run.content["run"].get("modality") == "visual" else config.missing_audio
    return Encoding(
        encoders,
        ClipPreparation.of(how, encoders.visual.preparation, encoders.audio.preparation, silent),
        pace_of(config, encoders.device),
        storage_type(config.store),
        derived,
    )


def choices_of(run: FinishedRun) -> dict[str, Any]:
    """What was chosen when the features were made, as the run noted it or else its cache, if that is still there."""
    noted = run.content["provenance"].get("cache_choices")
    if noted is None:
        origin = origin_of(Path(run.content["run"].get("cache") or "."))
        noted = None if origin is None else origin.notes.get("choices")
    return recalled({"choices": noted}, ExtractionConfig) or {}


def _announce(run: FinishedRun, plugins: Sequence[Path], facts: Mapping[str, Any]) -> None:
    """Name the noted plugins that are about to be run; InputError where one is gone or is not what it was."""
    known = {facts[f"{side}_encoder"].get("plugin_sha256") for side in ("visual", "audio")}
    for path in plugins:
        if not path.is_file():
            raise InputError(
                f"{run.path} learnt from features of the plugin {path}, which is gone: give it with --encoder-plugin"
            )
        if sha256_of(path) not in known:
            raise InputError(
                f"{run.path} learnt from features of the plugin {path}, which has changed since: "
                "give it with --encoder-plugin to use it as it is"
            )
    for path in plugins:
        say(f"the run {run.path} runs the plugin {path}", err=True)


def _config(
    run: FinishedRun,
    choices: Mapping[str, Any],
    facts: Mapping[str, Any],
    visual: str | None,
    audio: str | None,
    device: str,
) -> dict[str, Any]:
    """The choices under which the same encoders are loaded: where they lie, and all else by the facts."""
    visual, audio = visual or choices.get("video_encoder"), audio or choices.get("audio_encoder")
    if visual is None or audio is None:
        raise InputError(f"neither {run.path} nor its cache says where its encoders lay: give --visual and --audio")
    seeds = [facts[f"{side}_encoder"].get("seed") for side in ("visual", "audio")]
    decided = {
        "video_encoder": visual,
        "audio_encoder": audio,
        "random_weights": next((seed for seed in seeds if seed is not None), None),
        "recipe": facts["recipe"].get("name"),
        "precision": facts["visual_encoder"].get("precision"),
        "store": facts.get("storage"),
        "device": device,
    }
    return {"videos": ".", **choices, **decided}
