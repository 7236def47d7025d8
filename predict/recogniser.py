"""A trained run as a recogniser of video files.

n clips, L time slices, S tokens, D channels, C classes seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ..cache import FeatureCache
from ..errors import InputError, shown
from ..incremental.data.residence import FeatureSource
from ..incremental.runs.evaluation import check_fingerprint
from ..incremental.runs.trained import TrainedRun, load_trained
from ..wording import number_of
from .attention import AttentionMaps, attention_maps, refuse_without_attention
from .encoding import Encoded, Encoding, check_file, encoding_of


@dataclass(frozen=True)
class Verdict:
    """What a run says of a video file; all entries best first, one a class seen."""

    path: Path
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    """What the method compares classes by."""
    probabilities: tuple[float, ...] | None
    """The softmax of the scores; None where these are no logits, but distances or the like."""

    @property
    def label(self) -> str:
        """The answer."""
        return self.labels[0]

    def line(self, top: int = 3) -> str:
        """ "clip.mp4  playing flute 0.62  playing violin 0.21": probabilities, or scores where there are none."""
        figures = self.scores if self.probabilities is None else self.probabilities
        ranked = list(zip(self.labels, figures, strict=True))[:top]
        return "  ".join([shown(self.path), *(f"{shown(label)} {figure:z.2f}" for label, figure in ranked)])

    def __str__(self) -> str:
        return self.line()


@dataclass(frozen=True)
class Unread:
    """A video file of which nothing can be said."""

    path: Path
    reason: str
    """In short, as in a cache's quarantine: "cannot be decoded", "no audio"."""
    words: str
    """What the decoders said."""

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.reason}: {self.words}"


class Recogniser:
    """A finished run that answers for video files. Encoders are loaded when the first one is asked about.

    Args:
        trained: the run, after one of its tasks.
        visual: Hub id, folder or file of the video encoder; None: as the run has noted.
        audio: likewise, of the audio encoder.
        device: where the encoders compute.
        encoder_plugins: Python files with its encoders, in place of those that the run has noted. They are run.
    """

    def __init__(
        self,
        trained: TrainedRun,
        *,
        visual: str | None = None,
        audio: str | None = None,
        device: str = "auto",
        encoder_plugins: Iterable[Path | str] = (),
    ) -> None:
        self.trained = trained
        self._visual, self._audio, self._device = visual, audio, device
        self._plugins = tuple(map(Path, encoder_plugins))

    def __repr__(self) -> str:
        run = self.trained
        random = ", learnt from features of RANDOM weights" if run.random_weights else ""
        return (
            f"<{run.kind.name} ({run.config.modality}) after task {run.task} of {len(run.tasks)}, "
            f"{number_of(len(run.classes), 'class', 'classes')}, from {run.finished.path}{random}>"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes that it tells apart, in the order of `scores`."""
        return self.trained.classes

    @cached_property
    def encoding(self) -> Encoding:
        """The run's encoders; InputError where they are not found, or are others than the run learnt from."""
        return encoding_of(
            self.trained.finished,
            visual=self._visual,
            audio=self._audio,
            device=self._device,
            plugins=self._plugins,
        )

    def scores(self, source: FeatureSource, ids: Sequence[str]) -> Tensor:
        """The scores (n, C) of clips whose features lie in a cache; InputError where these do not fit."""
        return self.trained.scores(source, ids)

    def predict(self, path: Path | str) -> Verdict:
        """What the run says of one video file. InputError where that cannot be read."""
        (answer,) = self.predict_all([path])
        if isinstance(answer, Unread):
            raise InputError(str(answer))
        return answer

    def predict_all(self, paths: Iterable[Path | str]) -> Iterator[Verdict | Unread]:
        """The same of several video files, in their order; of one that cannot be read, why. InputError where one is
        no file, before any is read."""
        files = [Path(path) for path in paths]
        for path in files:
            check_file(path)
        return self._answers(files)

    def attention(
        self, clip: str | None = None, *, cache: Path | str | None = None, video: Path | str | None = None
    ) -> AttentionMaps:
        """Where the run looks in a clip, after its task; the clip is found as by `source`.

        Raises InputError as `source` does, and where the run's method has no attention.
        """
        refuse_without_attention(self.trained)
        (maps,) = attention_maps(self.trained, self.source(clip, cache=cache, video=video), [clip or OneClip.ID])
        return maps

    def source(
        self, clip: str | None = None, *, cache: Path | str | None = None, video: Path | str | None = None
    ) -> FeatureSource:
        """Where a clip's features are to be had: the cache, or else the encoders.

        Args:
            clip: its id in the cache; None: that is not asked.
            cache: the cache's folder; None: where the run found it.
            video: file to be encoded where the cache does not hold the clip, or cannot be read and was not named.

        Raises:
            InputError: there is no such clip and no file, or the file cannot be read; the cache is not one of features
                such as the run learnt from, or the encoders are others.
        """
        if clip is not None:
            folder = cache or self.trained.finished.content["run"].get("cache")
            try:
                features = _cache_of(folder)
            except InputError as error:
                if cache is not None or video is None:
                    words = "" if cache is not None else ": give --cache where it lies now, or --video to encode a file"
                    raise InputError(f"{error}{words}") from error
            else:
                if clip in features:
                    check_fingerprint(self.trained, features)
                    return features
                if video is None:
                    near = "".join(f" (nearest: '{name}')" for name in get_close_matches(clip, features.ids, n=1))
                    raise InputError(
                        f"{features.directory} holds no clip '{clip}'{near}: give --video, the file to be encoded"
                    )
        elif video is None:
            raise InputError("no clip: give its id in the cache, or a video file")
        path = Path(video)
        check_file(path)
        (encoded,) = self.encoding.of([path])
        if encoded.features is None:
            raise InputError(f"{path}: {encoded.reason}: {encoded.words}")
        return OneClip(*encoded.features)

    def _answers(self, files: Sequence[Path]) -> Iterator[Verdict | Unread]:
        for encoded in self.encoding.of(files) if files else ():
            yield self._answer(encoded)

    def _answer(self, encoded: Encoded) -> Verdict | Unread:
        if encoded.features is None:
            return Unread(encoded.path, encoded.reason, encoded.words)
        (scores,) = self.trained.scores(OneClip(*encoded.features), [OneClip.ID]).double()
        order = scores.argsort(descending=True, stable=True).tolist()
        shares = torch.softmax(scores, dim=0) if self.trained.kind.scores_are_logits else None
        return Verdict(
            encoded.path,
            tuple(self.classes[place] for place in order),
            tuple(float(scores[place]) for place in order),
            None if shares is None else tuple(float(shares[place]) for place in order),
        )


def _cache_of(folder: Path | str | None) -> FeatureCache:
    if folder is None:
        raise InputError("the run does not say where its cache lay")
    return FeatureCache(Path(folder))


class OneClip:
    """The features of one clip, visual (L, S, D) and audio (D,), read as from a cache
    (`residence.FeatureSource`) that has it under any id."""

    ID = "clip"

    def __init__(self, visual: Tensor, audio: Tensor) -> None:
        self.features = visual, audio

    @property
    def visual_shape(self) -> tuple[int, ...]:
        """(L, S, D)."""
        return tuple(self.features[0].shape)

    @property
    def audio_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return tuple(self.features[1].shape)

    def read_into(
        self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
    ) -> None:
        """The clip into the first rows, once for each of `ids`."""
        for target, features in zip((visual, audio), self.features, strict=True):
            if target is not None:
                target[: len(ids)] = features


def load(
    run: Path | str,
    *,
    task: int | None = None,
    visual: str | None = None,
    audio: str | None = None,
    device: str = "auto",
    plugins: Iterable[Path | str] = (),
    encoder_plugins: Iterable[Path | str] = (),
) -> Recogniser:
    """The finished run in folder `run`, to recognise video files with.

    Args:
        run: the run's folder.
        task: the task after which it is to answer, counting from 1; None for the last.
        visual: Hub id, folder or file of the video encoder; None: where it was when the features were made.
        audio: likewise, of the audio encoder.
        device: where everything computes.
        plugins: Python files with its method, in place of those that its configuration names. They are run.
        encoder_plugins: Python files with its encoders, in place of those that the run has noted. They are run.

    Raises:
        InputError: no finished run there, or several; no such task; no such device.
    """
    trained = load_trained(run, task=task, device=device, plugins=plugins)
    return Recogniser(trained, visual=visual, audio=audio, device=device, encoder_plugins=encoder_plugins)
