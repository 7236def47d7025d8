"""The features of a run, brought to the device in the type they are computed in.

A plan made beforehand says how many clips stay on the device. Where all fit, they are read once and batches index
them in place; where they do not, what fits stays and the rest is streamed through the last rows of the same tensor,
ahead of use. A computer keeps the shards it has read in memory by itself, once for all processes, and reading a clip
from there takes a few percent of learning from it: on a CPU little more than those rows are used unless asked for.

Shapes: N rows of the store, L time slices, S tokens, D channels.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import psutil
import torch
from torch import Tensor

from ...errors import InputError
from ...threads import workers

RESIDENT_ON_CPU = 256 * 2**20
"""Bytes of features that a CPU run holds where it was not told how many, if what streaming needs is not more."""

READ_AT_ONCE = 64
"""Clips read in one piece where they pass through a buffer: some 150 MB of true size in bfloat16."""

Visual = Literal["tokens", "mean", "none"]
"""What a modality needs of the visual features: all tokens, their mean, or nothing."""


class FeatureSource(Protocol):
    """What residence needs of a feature cache."""

    @property
    def visual_shape(self) -> tuple[int, ...]:
        """(L, S, D)."""
        ...

    @property
    def audio_shape(self) -> tuple[int, ...]:
        """(D,)."""
        ...

    def read_into(
        self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
    ) -> None:
        """Write the features of `ids` into rows 0 .. len(ids) - 1 of the given tensors, with so many readers."""
        ...


@dataclass(frozen=True)
class ResidencePlan:
    """How many clips stay on the device, worked out before any visual feature is read."""

    clips: int
    """Clips of the run."""
    clip_bytes: int
    """Bytes of a clip's visual tokens in the type they are computed in."""
    budget: int
    """Bytes that may be filled."""
    resident: int
    """Clips that stay."""
    staging: int
    """Rows for clips in passage: `staging_rows`, or none where all clips stay."""

    def __str__(self) -> str:
        size = f"{self.clips} clips x {self.clip_bytes / 2**20:.1f} MiB"
        room = f"of {gibibytes(self.budget)} allowed"
        if not self.staging:
            return f"all {size} stay on the device ({gibibytes(self.clips * self.clip_bytes)} {room})"
        held = gibibytes((self.resident + self.staging) * self.clip_bytes)
        stay = f"{self.resident} of" if self.resident else "none of"
        return f"{stay} {size} stay on the device, the others are read ahead of use ({held} {room})"


def gibibytes(size: int) -> str:
    """Bytes as GiB, to three digits."""
    return f"{max(size, 0) / 2**30:.3g} GiB"


def staging_rows(largest_batch: int) -> int:
    """Rows that streaming needs: a batch being computed on and half the next one."""
    return largest_batch + (largest_batch + 1) // 2


def plan_residence(clips: int, clip_bytes: int, budget: int, largest_batch: int) -> ResidencePlan:
    """Keep all clips if they fit into `budget` bytes, else as many as fit beside those in passage."""
    if clips * clip_bytes <= budget:
        return ResidencePlan(clips, clip_bytes, budget, clips, 0)
    staging = staging_rows(largest_batch)
    resident = budget // clip_bytes - staging
    if resident < 0:
        raise InputError(
            f"a batch and a half of {largest_batch} clips take {gibibytes(staging * clip_bytes)} but only "
            f"{gibibytes(budget)} may be used for features: lower --batch-size or raise residence_gigabytes"
        )
    return ResidencePlan(clips, clip_bytes, budget, resident, staging)


def feature_budget(device: torch.device, gigabytes: float | None, needed: int, step: int) -> int:
    """Bytes that features may take: what the user allows, else as much of a GPU as there is, but of a computer's
    memory not much more than the `needed` bytes that streaming takes; `step` bytes are left for a training step."""
    if gigabytes is not None:
        return int(gigabytes * 2**30)
    free = free_memory(device) - step
    return min(free, max(RESIDENT_ON_CPU, needed)) if device.type == "cpu" else free


def step_bytes(device: torch.device, batch_bytes: int) -> int:
    """What a training step keeps of a batch for its backward pass: the projection, and on a GPU its gradient too."""
    return batch_bytes * (2 if device.type == "cuda" else 1)


def free_memory(device: torch.device) -> int:
    """Bytes that may be filled: 80% of a GPU's or 60% of a computer's free memory; the rest is for the heads, the
    optimiser and whatever else runs."""
    if device.type == "cuda":
        return int(0.8 * torch.cuda.mem_get_info(device)[0])
    return int(0.6 * psutil.virtual_memory().available)


class Residence:
    """Features by clip number. `hold` says which clips are used next; `stream` gives batches of them, of at most
    `largest_batch` clips.

    `visual` of modality decides what is kept: tokens (N, L, S, D) in `dtype`, their float32 mean (clips, D),
    or nothing. Audio features (clips, D) are always kept, in float32.
    """

    def __init__(
        self,
        source: FeatureSource,
        ids: Sequence[str],
        *,
        device: torch.device,
        dtype: torch.dtype,
        visual: Visual,
        largest_batch: int,
        gigabytes: float | None = None,
    ) -> None:
        self.source = source
        self.ids = tuple(ids)
        self.device = device
        self.dtype = dtype
        self.visual = visual
        self.largest_batch = largest_batch
        self.audio = torch.empty(len(self.ids), *source.audio_shape)
        source.read_into(self.ids, None, self.audio)
        self.audio = self.audio.to(device)
        self.store: Tensor | None = None
        self.mean: Tensor | None = None
        self.plan: ResidencePlan | None = None
        self._step_bytes = 0
        if visual == "mean":
            self.mean = self._means().to(device)
        elif visual == "tokens":
            clip_bytes = dtype.itemsize * torch.Size(source.visual_shape).numel()
            self._step_bytes = step_bytes(device, largest_batch * clip_bytes)
            needed = staging_rows(largest_batch) * clip_bytes
            budget = feature_budget(device, gigabytes, needed, self._step_bytes)
            self.plan = plan_residence(len(self.ids), clip_bytes, budget, largest_batch)
            rows = self.plan.resident + self.plan.staging
            self.store = torch.empty(rows, *source.visual_shape, dtype=dtype, device=device)
            # Written to without autograd's knowledge, which would take a batch read ahead for a change of the one
            # that backward is about to look at. A batch's own rows stay as they are until the next is asked for.
            self._rows = self.store.data
            self._row_of = torch.full((len(self.ids),), -1)  # clip number -> row, -1 where not held
            self._row_on_device = self._row_of.to(device)
            self._held = torch.full((self.plan.resident,), -1)  # row -> clip number
            self._lanes = _Lanes(device)

    def room_left(self) -> int:
        """Bytes that may be filled beside the features, with what belongs to clips but is no feature."""
        return max(0, free_memory(self.device) - self._step_bytes)

    def _means(self) -> Tensor:
        """Mean over all tokens of every clip. (clips, D) float32."""
        means = torch.empty(len(self.ids), self.source.visual_shape[-1])
        buffer = torch.empty(READ_AT_ONCE, *self.source.visual_shape)
        for begin in range(0, len(self.ids), READ_AT_ONCE):
            ids = self.ids[begin : begin + READ_AT_ONCE]
            self.source.read_into(ids, buffer[: len(ids)], None)
            means[begin : begin + len(ids)] = buffer[: len(ids)].mean(dim=(1, 2))
        return means

    def hold(self, clips: Tensor) -> None:
        """Bring `clips` (n,) to the device, the first ones first, in place of clips not named here."""
        if self.plan is None:
            return
        wanted = clips.unique(sorted=False) if self.plan.staging == 0 else _first_of_each(clips)
        wanted = wanted[: self.plan.resident]
        missing = wanted[self._row_of[wanted] < 0]
        if len(missing) == 0:
            return
        keep = torch.zeros(len(self.ids), dtype=torch.bool)
        keep[wanted] = True
        empty = self._held < 0  # filled first, so that nothing is displaced, and read again later, without need
        displaceable = ~empty & ~keep[self._held.clamp(min=0)]
        free = torch.cat([torch.nonzero(empty), torch.nonzero(displaceable)]).flatten()[: len(missing)]
        displaced = self._held[free]
        self._row_of[displaced[displaced >= 0]] = -1
        self._fill(free, missing)
        self._held[free] = missing
        self._row_of[missing] = free
        self._row_on_device = self._row_of.to(self.device)

    def _fill(self, rows: Tensor, clips: Tensor, threads: int | None = None) -> None:
        """Read the tokens of `clips` into `rows` of the store, with so many readers."""
        if self.device.type == "cpu":  # straight into place, one run of neighbouring rows after the other
            runs = torch.nonzero(rows.diff() != 1).flatten() + 1
            for place, part in zip(rows.tensor_split(runs.tolist()), clips.tensor_split(runs.tolist()), strict=True):
                first = int(place[0])
                target = self._rows[first : first + len(place)]
                self.source.read_into([self.ids[clip] for clip in part.tolist()], target, None, threads=threads)
            return
        buffer = torch.empty(
            READ_AT_ONCE,
            *self.source.visual_shape,
            dtype=self.dtype,
            pin_memory=self.device.type == "cuda",
        )
        for place, part in zip(rows.split(READ_AT_ONCE), clips.split(READ_AT_ONCE), strict=True):
            piece = buffer[: len(part)]
            self.source.read_into([self.ids[clip] for clip in part.tolist()], piece, None, threads=threads)
            # Not non-blocking: the buffer is filled again in the next turn.
            self._rows.index_copy_(0, place.to(self.device), piece.to(self.device))

    def stream(self, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor | None]]:
        """For each batch of clip numbers (B,): the same on the device, and their rows in the store.

        A row is valid until the next batch is asked for.
        """
        if not batches:
            return
        sizes = [len(batch) for batch in batches]
        together = torch.cat(list(batches))
        if self.plan is None:
            for index in together.to(self.device).split(sizes):
                yield index, None
        elif self.plan.staging == 0 or bool((self._row_of[together] >= 0).all()):
            if self.plan.staging == 0:
                self.hold(together)
            on_device = together.to(self.device)
            rows = self._row_on_device[on_device]
            yield from zip(on_device.split(sizes), rows.split(sizes), strict=True)
        else:
            yield from self._stream_ahead(batches)

    def _stream_ahead(self, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Read what is not held of the next batch, as far as there are rows free, while one is being computed on."""
        assert self.plan is not None
        free = torch.arange(self.plan.resident, self.plan.resident + self.plan.staging)
        lanes = self._lanes
        lanes.end()  # a stream may have been left in the middle: all that it still does comes first

        def seat(clips: Tensor, rows: Tensor, threads: int | None) -> None:
            """Read clips that have no row yet into the rows that are free."""
            nonlocal free
            waiting = torch.nonzero(rows < 0).flatten()[: len(free)]
            rows[waiting], free = free[: len(waiting)], free[len(waiting) :]
            if len(waiting):
                with lanes.filling():
                    self._fill(rows[waiting], clips[waiting], threads)

        rows = [self._row_of[clips] for clips in batches]
        with workers(1, 1, "read-ahead") as reader:
            for number, clips in enumerate(batches):
                seat(clips, rows[number], None)
                lanes.begin()
                ahead: Future[None] | None = None
                if number + 1 < len(batches):  # with one reader, since the cores are needed for computing
                    ahead = reader.submit(seat, batches[number + 1], rows[number + 1], 1)
                yield self._across(clips), self._across(rows[number])
                lanes.end()
                if ahead is not None:
                    ahead.result()
                free = torch.cat([free, rows[number][rows[number] >= self.plan.resident]]).sort().values

    def _across(self, tensor: Tensor) -> Tensor:
        """A CPU tensor on the device, without waiting for what a GPU has still to do."""
        return tensor.pin_memory().to(self.device, non_blocking=True) if self._lanes.on_gpu else tensor.to(self.device)


class _Lanes:
    """Who has to wait for whom where a GPU fills some rows and computes on others.

    Filling has a CUDA stream of its own, and events say when what was read is there and when rows are free again: a
    batch's work is handed out without waiting for the work before. On a CPU an operation is done when it returns, and
    there is nothing to do.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        if self.on_gpu:
            self.computing, self.copying = torch.cuda.current_stream(device), torch.cuda.Stream(device)
            self.filled = self.freed = self.computing.record_event()  # when all that is under way now is done

    @contextmanager
    def filling(self) -> Iterator[None]:
        """While rows given free before are being filled, by whichever thread."""
        if not self.on_gpu:
            yield
            return
        with torch.cuda.stream(self.copying):
            self.copying.wait_event(self.freed)
            yield
            self.filled = self.copying.record_event()

    def begin(self) -> None:
        """From here on is computed with what has been filled."""
        if self.on_gpu:
            self.computing.wait_event(self.filled)

    def end(self) -> None:
        """From here on the rows computed with are free."""
        if self.on_gpu:
            self.freed = self.computing.record_event()


def _first_of_each(clips: Tensor) -> Tensor:
    """The distinct entries of `clips`, in the order in which they first come."""
    return torch.tensor(list(dict.fromkeys(clips.tolist())), dtype=torch.int64)
