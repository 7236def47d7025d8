"""Which clips are left to do, and which shard each of them goes to."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..cache import Lost
from ..manifests import Choice, Clip
from .decoding.workers import Job

NO_CHOICES: Mapping[str, Choice] = MappingProxyType({})


@dataclass(frozen=True)
class ShardPlan:
    """Clips that are to become one shard."""

    name: str
    jobs: tuple[Job, ...]
    """In the order of the manifest."""


def plans_again(
    lost: Sequence[Lost], found: Mapping[str, Path], several: Mapping[str, Choice] = NO_CHOICES
) -> list[ShardPlan]:
    """The shards to be made again that were found damaged or missing: the same clips, in the same order, by name.

    Of a shard of which some clips have no file any more, the others get a shard of another name, so that the cache's
    list goes on naming the shard and what is lost of it.

    Args:
        lost: as a `CacheWriter` says on entering.
        found: files of the clips that have one.
        several: clips with several files, of which `found` has the first.
    """
    plans = []
    for shard in lost:
        jobs = tuple(_job(clip, found[clip], several.get(clip)) for clip in shard.ids if clip in found)
        if jobs:
            some = "" if len(jobs) == len(shard.ids) else f"-{_digest([job.id for job in jobs])}"
            plans.append(ShardPlan(shard.name + some, jobs))
    return plans


def shard_plans(
    clips: Sequence[Clip],
    found: Mapping[str, Path],
    *,
    have: Collection[str],
    quarantined: Collection[str],
    shard_size: int,
    several: Mapping[str, Choice] = NO_CHOICES,
    lost: Sequence[Lost] = (),
) -> list[ShardPlan]:
    """Group what is left to do by position in the manifest.

    A clip's group is its place in the manifest divided by `shard_size`, so it does not depend on what has
    been done or is missing. The shard's name tells the group and the clips that the cache lacks of it,
    quarantined ones included: a shard that was removed is made again under the name it had, and no name
    comes up twice in a cache.

    Args:
        clips: all clips of the manifest.
        found: files of those that have one.
        have: ids in the cache.
        quarantined: ids to leave alone.
        shard_size: clips a group.
        several: clips with several files, of which `found` has the first.
        lost: shards to be made again, which `plans_again` does: their clips are left alone here.
    """
    have = {*have, *(clip for shard in lost for clip in shard.ids)}
    plans = []
    for group, start in enumerate(range(0, len(clips), shard_size)):
        lacking = [clip.id for clip in clips[start : start + shard_size] if clip.id in found and clip.id not in have]
        jobs = tuple(_job(clip, found[clip], several.get(clip)) for clip in lacking if clip not in quarantined)
        if jobs:
            plans.append(ShardPlan(f"shard-{group:05d}-{_digest(lacking)}", jobs))
    return plans


def _digest(clips: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(clips).encode()).hexdigest()[:8]


def _job(clip: str, path: Path, choice: Choice | None) -> Job:
    return Job(clip, path) if choice is None else Job(clip, choice.files[0], choice.files[1:])
