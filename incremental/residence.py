"""The features of a run, brought once to the device in the type they are computed in.

A plan made beforehand says how many clips stay on the device. Where all fit, batches index them in place; where
they do not, what fits stays and the rest is streamed into two staging areas of the same tensor, ahead of use.

Shapes: N rows of the store, L time slices, S tokens, D channels.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import psutil
import torch
from torch import Tensor

from ..errors import InputError

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

    def read_into(self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None) -> None:
        """Write the features of `ids` into rows 0 .. len(ids) - 1 of the given tensors."""
        ...


@dataclass(frozen=True)
class ResidencePlan:
    """How many clips stay on the device, worked out before anything is read."""

    clips: int
    """Clips of the run."""
    clip_bytes: int
    """Bytes of a clip's visual tokens in the type they are computed in."""
    budget: int
    """Bytes that may be filled."""
    resident: int
    """Clips that stay."""
    staging: int
    """Rows for clips in passage: two batches, or none where all clips stay."""

    def __str__(self) -> str:
        size = f"{self.clips} clips x {self.clip_bytes / 2**20:.1f} MiB"
        room = f"of {self.budget / 2**30:.1f} GiB allowed"
        if not self.staging:
            return f"all {size} stay on the device ({self.clips * self.clip_bytes / 2**30:.2f} GiB {room})"
        held = (self.resident + self.staging) * self.clip_bytes / 2**30
        return f"{self.resident} of {size} stay on the device, the rest is streamed ({held:.2f} GiB {room})"


def plan_residence(clips: int, clip_bytes: int, budget: int, largest_batch: int) -> ResidencePlan:
    """Keep all clips if they fit into `budget` bytes, else as many as fit beside two batches in passage."""
    if clips * clip_bytes <= budget:
        return ResidencePlan(clips, clip_bytes, budget, clips, 0)
    staging = 2 * largest_batch
    resident = budget // clip_bytes - staging
    if resident < 0:
        raise InputError(
            f"two batches of {largest_batch} clips take {staging * clip_bytes / 2**30:.2f} GiB but only "
            f"{budget / 2**30:.2f} GiB may be used: lower --batch-size or raise residence_gigabytes"
        )
    return ResidencePlan(clips, clip_bytes, budget, resident, staging)


def memory_budget(device: torch.device, gigabytes: float | None) -> int:
    """Bytes that features may take: what the user allows, else 80% of a card's or 60% of a computer's free
    memory; the rest is for the heads, the optimiser and what backward needs."""
    if gigabytes is not None:
        return int(gigabytes * 2**30)
    if device.type == "cuda":
        return int(0.8 * torch.cuda.mem_get_info(device)[0])
    return int(0.6 * psutil.virtual_memory().available)


class Residence:
    """Features by clip number. `hold` says which clips are used next; `stream` gives batches of them.

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
        self.gigabytes = gigabytes
        self.audio = torch.empty(len(self.ids), *source.audio_shape)
        source.read_into(self.ids, None, self.audio)
        self.audio = self.audio.to(device)
        self.store: Tensor | None = None
        self.mean: Tensor | None = None
        self.plan: ResidencePlan | None = None
        if visual == "mean":
            self.mean = self._means().to(device)
        elif visual == "tokens":
            clip_bytes = dtype.itemsize * torch.Size(source.visual_shape).numel()
            budget = memory_budget(device, gigabytes)
            self.plan = plan_residence(len(self.ids), clip_bytes, budget, largest_batch)
            rows = self.plan.resident + self.plan.staging
            self.store = torch.empty(rows, *source.visual_shape, dtype=dtype, device=device)
            self._row_of = torch.full((len(self.ids),), -1)  # clip number -> row, -1 where not held
            self._row_on_device = self._row_of.to(device)
            self._held = torch.full((self.plan.resident,), -1)  # row -> clip number

    def room_left(self) -> int:
        """Bytes that may still be filled, with what belongs to clips but is no feature."""
        if self.gigabytes is None:
            return memory_budget(self.device, None)
        taken = 0 if self.store is None else self.store.numel() * self.store.element_size()
        return max(0, memory_budget(self.device, self.gigabytes) - taken)

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

    def _fill(self, rows: Tensor, clips: Tensor) -> None:
        """Read the tokens of `clips` into `rows` of the store."""
        assert self.store is not None
        if self.device.type == "cpu":  # straight into place, one run of neighbouring rows after the other
            runs = torch.nonzero(rows.diff() != 1).flatten() + 1
            for place, part in zip(rows.tensor_split(runs.tolist()), clips.tensor_split(runs.tolist()), strict=True):
                first = int(place[0])
                target = self.store[first : first + len(place)]
                self.source.read_into([self.ids[clip] for clip in part.tolist()], target, None)
            return
        buffer = torch.empty(
            READ_AT_ONCE,
            *self.source.visual_shape,
            dtype=self.dtype,
            pin_memory=self.device.type == "cuda",
        )
        for place, part in zip(rows.split(READ_AT_ONCE), clips.split(READ_AT_ONCE), strict=True):
            piece = buffer[: len(part)]
            self.source.read_into([self.ids[clip] for clip in part.tolist()], piece, None)
            # Not non-blocking: the buffer is filled again in the next turn.
            self.store.index_copy_(0, place.to(self.device), piece.to(self.device))

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
        """Read the clips that are not held into one staging area while the other is being computed on."""
        with ThreadPoolExecutor(max_workers=1) as reader:
            pending: Future[Tensor] = reader.submit(self._stage, batches[0], 0)
            for number, batch in enumerate(batches):
                rows = pending.result()
                if self.device.type == "cuda":  # the area about to be overwritten must no longer be in use
                    torch.cuda.current_stream(self.device).synchronize()
                if number + 1 < len(batches):
                    pending = reader.submit(self._stage, batches[number + 1], (number + 1) % 2)
                yield batch.to(self.device), rows.to(self.device)

    def _stage(self, batch: Tensor, area: int) -> Tensor:
        """Rows (B,) of a batch after reading what is not held into staging area 0 or 1."""
        assert self.plan is not None
        rows = self._row_of[batch]
        passing = torch.nonzero(rows < 0).flatten()
        begin = self.plan.resident + area * (self.plan.staging // 2)
        rows[passing] = torch.arange(begin, begin + len(passing))
        if len(passing):
            self._fill(rows[passing], batch[passing])
        return rows


def _first_of_each(clips: Tensor) -> Tensor:
    """The distinct entries of `clips`, in the order in which they first come."""
    return torch.tensor(list(dict.fromkeys(clips.tolist())), dtype=torch.int64)
