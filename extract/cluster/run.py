"""Have a run's work done by Ray: the same setup and the same tally as in one process."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.text import Text

from ...cache import CacheWriter
from ...devices import Precision
from ...errors import InputError, shown
from ...files import aside
from ...options import checked
from ...versions import versions
from ...wording import number_of
from ..assembly import LIBRARIES, Setup, assemble, begun_with
from ..choices import CHOICES, ChoicesFile
from ..config import ExtractionConfig
from ..notes import noted
from ..pipeline import Tally
from ..progress import ExtractionProgress
from ..selection import ShardPlan
from .crew import Crew
from .driving import Driver
from .nodes import A_LITTLE, Kind, Look, Place, ask, kind_of, look, places, shares, unseen
from .schedule import Schedule
from .session import session
from .worker import Orders

FILES_LOOKED_AT = 8
"""Videos that each machine is asked for."""


@dataclass(frozen=True)
class OnRay:
    """A cluster at work for a run."""

    config: ExtractionConfig
    """The run's, with the whole path of the videos."""
    kind: Kind
    """Of the workers' devices."""
    places: dict[str, Place]
    """The machines that can be used, by node."""
    precision: Precision
    """That of the encoders, the same on all machines."""
    say: Callable[[str], object]

    def assemble(self, say: Callable[[str], object]) -> Setup:
        """Find the clips and say what the encoders are, which are loaded here on the processor to be described."""
        config = replace(self.config, precision=self.precision, device="cpu")
        return assemble(config, say, workers_on=torch.device(self.kind))

    def carry_out(self, setup: Setup, plans: Sequence[ShardPlan], writer: CacheWriter, console: Console) -> Tally:
        """Make the shards of `plans`.

        Raises:
            InputError: no machine sees the files, no worker starts, or a worker cannot write.
        """
        if not plans:
            return Tally()
        self._leave_out_who_sees_other_files(writer, plans)
        config, to_do = self.config, sum(len(plan.jobs) for plan in plans)
        spread = shares(
            list(self.places.values()), self.kind, gpu_share=config.ray_gpu_share, most=config.ray_workers or len(plans)
        )
        if not spread:
            raise InputError(f"no machine of the cluster has room for a worker: {', '.join(self._names())}")
        crew = Crew(self.places, spread, self.orders(setup), config.workers)
        self.say(f"{number_of(to_do, 'clip')} to do, {number_of(len(plans), 'shard')}; {crew}")
        with ExtractionProgress(to_do, console) as progress:
            driver = Driver(
                writer=writer,
                crew=crew,
                schedule=Schedule(plans, len(plans)),
                shapes=(setup.encoders.visual.feature_shape, setup.encoders.audio.feature_shape),
                say=self.say,
                on_done=lambda encoded, quarantined: progress.step(encoded=encoded, quarantined=quarantined),
                on_read=ChoicesFile(writer.beside(CHOICES), setup.several).note,
            )
            return driver.drive()

    def orders(self, setup: Setup) -> Orders:
        """What a worker has to know; threads and decoding processes are set for each machine by the crew."""
        kept = noted(self.config, precision=self.precision)
        names = ("video_encoder", "audio_encoder", "plugin", "random_weights", "precision")
        chosen = {name: kept[name] for name in names if name in kept}
        encoders = checked(ExtractionConfig, {"videos": self.config.videos, "device": self.kind, **chosen})
        return Orders(encoders, setup.preparation, setup.pace, threads=1, fingerprint=setup.fingerprint)

    def _names(self) -> list[str]:
        return [place.name for place in self.places.values()]

    def _leave_out_who_sees_other_files(self, writer: CacheWriter, plans: Sequence[ShardPlan]) -> None:
        """Have every machine look at the cache and at some of the videos; a line for each that sees others."""
        jobs = [job for plan in plans[:: max(1, len(plans) // FILES_LOOKED_AT)] for job in plan.jobs[:1]]
        files = [(job.path, job.path.stat().st_size) for job in jobs[:FILES_LOOKED_AT] if job.path.exists()]
        token, word = aside(writer.directory.absolute() / "shards" / "seen"), secrets.token_hex(8)
        try:
            token.write_text(word, encoding="utf-8")
            said = ask(self.places.values(), unseen, token, word, files)
        finally:
            token.unlink(missing_ok=True)
        blind = {node: words for node, words in said.items() if words}
        _leave_out(self.places, blind, self.say, "a shared file system has to be at the same path on all")


@contextmanager
def on_ray(config: ExtractionConfig, console: Console) -> Iterator[OnRay]:
    """A cluster for the run of this configuration, whose `ray` says where; gone again at the end.

    Raises:
        InputError: Ray does not start or answer, or no machine can be used.
    """
    assert config.ray is not None

    def say(line: str) -> None:
        console.print(Text(shown(line)), soft_wrap=True)

    whole = replace(config, videos=config.videos.absolute())
    with session(config.ray, gpus=config.device != "cpu"):
        found = places()
        kind = kind_of(config.device, found)
        among = {place.node: place for place in found if kind == "cpu" or place.gpus}
        looks = ask(among.values(), look, kind, gpus=A_LITTLE if kind == "cuda" else 0.0)
        _leave_out(among, {node: said for node, said in looks.items() if isinstance(said, str)}, say, "")
        seen = {node: said for node, said in looks.items() if isinstance(said, Look)}
        _leave_out(among, _strange(seen, among, say), say, "install the same version on all")
        yield OnRay(
            config=whole,
            kind=kind,
            places=among,
            precision=config.precision or begun_with(config.cache) or _common({seen[node].precision for node in among}),
            say=say,
        )


def _common(precisions: set[Precision]) -> Precision:
    """The precision that all machines are fast at."""
    return precisions.pop() if len(precisions) == 1 else "float32"


def _strange(looks: Mapping[str, Look], among: Mapping[str, Place], say: Callable[[str], object]) -> dict[str, str]:
    """Machines with another version of this package, by node; a line for each whose libraries are not those here."""
    mine, strange = versions(LIBRARIES), {}
    for node, seen in looks.items():
        others = {name: version for name, version in seen.versions.items() if version != mine[name]}
        if "avcil" in others:
            strange[node] = f"has avcil {others['avcil']}, not {mine['avcil']}"
        elif others:
            told = ", ".join(f"{name} {version} (here {mine[name]})" for name, version in others.items())
            say(f"{among[node].name} has {told}: what it encodes may be rounded differently")
    return strange


def _leave_out(among: dict[str, Place], why: Mapping[str, str], say: Callable[[str], object], advice: str) -> None:
    """Take machines off `among`, with a line for each.

    Raises:
        InputError: none is left.
    """
    lines = [f"{among[node].name} {words}" for node, words in why.items()]
    if len(why) == len(among):
        more = f" (and so for all {len(lines)} machines)" if len(lines) > 1 else ""
        raise InputError(f"{lines[0] if lines else 'the cluster has no machine'}{more}{advice and ': '}{advice}")
    for node, line in zip(why, lines, strict=True):
        say(f"left out: {line}{advice and ': '}{advice}")
        del among[node]
