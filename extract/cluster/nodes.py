"""What the machines of a cluster offer, how many workers each holds, and whether each sees the same files."""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...devices import Precision, choose_device, fastest_precision
from ...errors import InputError, one_line
from ...versions import versions
from ..assembly import LIBRARIES

WORKER_MEMORY = 3e9
"""Bytes that a worker takes on a CPU, its decoding processes included: for how many fit."""
ANSWER_SECONDS = 300.0
"""For a node to import what it needs and to answer."""
A_LITTLE = 0.01
"""Of a GPU, for a question about it."""

Answer = TypeVar("Answer")
Kind = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Place:
    """A machine of the cluster."""

    node: str
    """Ray's id of it."""
    name: str
    """For people: its host's name and address."""
    cpus: int
    gpus: int
    memory: float
    """Bytes that Ray may give away."""


@dataclass(frozen=True)
class Share:
    """What each worker of a machine gets."""

    workers: int
    """How many there are."""
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Look:
    """What a machine says of itself."""

    versions: Mapping[str, str]
    precision: Precision
    """In which its device computes fastest."""


def places() -> list[Place]:
    """The machines that are up, by name."""
    found = []
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            found.append(
                Place(node["NodeID"], name, int(has.get("CPU", 0)), int(has.get("GPU", 0)), float(has.get("memory", 0)))
            )
    return sorted(found, key=lambda place: (place.name, place.node))


def kind_of(device: str, among: Iterable[Place]) -> Kind:
    """Whether workers compute on GPUs: "auto" is a GPU where any machine has one.

    Raises:
        InputError: GPUs are asked for and there are none, or a single one by number.
    """
    gpus = sum(place.gpus for place in among)
    if device == "cpu" or (device == "auto" and not gpus):
        return "cpu"
    if device not in ("auto", "cuda"):
        raise InputError(f"--device {device}: with --ray, which gives each worker its own device, auto, cuda or cpu")
    if not gpus:
        raise InputError("--device cuda: no machine of this cluster has a GPU; try --device auto or cpu")
    return "cuda"


def shares(among: Sequence[Place], kind: Kind, *, gpu_share: float, most: int | None) -> dict[str, Share]:
    """How the workers are spread: what each gets, by node; machines without any are left out.

    On GPUs one for each share of one. On CPUs as many as there are cores and memory for. The cores of a machine are
    divided among its workers.

    Args:
        among: the machines.
        kind: of device.
        gpu_share: of a GPU, for each worker.
        most: workers in all; None for as many as fit.
    """
    room = {
        place.node: int(place.gpus * (1 / gpu_share) + 1e-6)
        if kind == "cuda"
        else min(place.cpus, max(1, int(place.memory // WORKER_MEMORY)))
        for place in among
    }
    counts = dict.fromkeys(room, 0)
    left = sum(room.values()) if most is None else most
    while left and (free := [node for node in counts if counts[node] < room[node]]):
        for node in free[:left]:  # one each in turn, so that few workers are on many machines
            counts[node] += 1
        left -= len(free[:left])
    return {
        place.node: Share(
            counts[place.node], max(1, place.cpus // counts[place.node]), gpu_share if kind == "cuda" else 0.0
        )
        for place in among
        if counts[place.node]
    }


def ask(
    among: Iterable[Place], question: Callable[..., Answer], *words: Any, gpus: float = 0.0
) -> dict[str, Answer | str]:
    """What each machine answers, by node; a text says why it gives no answer.

    Args:
        among: the machines.
        question: a function of this package, which is called there.
        words: its arguments.
        gpus: how much of one is needed for the answer.
    """
    asked = {}
    for place in among:
        there = NodeAffinitySchedulingStrategy(place.node, soft=False)
        remote = ray.remote(question).options(num_cpus=0, num_gpus=gpus, scheduling_strategy=there, max_retries=1)
        asked[place.node] = remote.remote(*words)
    answers: dict[str, Answer | str] = {}
    for node, reference in asked.items():
        try:
            answers[node] = ray.get(reference, timeout=ANSWER_SECONDS)
        except ray.exceptions.GetTimeoutError:
            answers[node] = f"no answer within {ANSWER_SECONDS:g} s"
        except ray.exceptions.RayError as error:
            answers[node] = words_of(error)
    return answers


def look(kind: Kind) -> Look:
    """Asked on each machine: what is installed, and what its device is good at."""
    return Look(versions(LIBRARIES), fastest_precision(choose_device(kind)))


def unseen(token: Path, word: str, files: Sequence[tuple[Path, int]]) -> str:
    """Asked on each machine: which file it does not see as the driver does; an empty text where it sees all.

    Args:
        token: a file in the cache's folder of shards.
        word: what is in it.
        files: some videos and their sizes in bytes.
    """
    try:
        if token.read_text(encoding="utf-8") != word:
            return f"sees another cache at {token.parent.parent}"
    except OSError as error:
        return f"does not see the cache at {token.parent.parent} ({error.strerror})"
    for path, size in files:
        try:
            there = path.stat().st_size
        except OSError as error:
            return f"does not see the video {path} ({error.strerror})"
        if there != size:
            return f"sees another file at {path}"
    return ""


def words_of(error: BaseException) -> str:
    """How a worker or a question failed, on one line, without Ray's advice."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        return one_line(f"{type(cause).__name__}: {cause}")[:300]
    said = one_line(error)
    _, _, detail = said.partition("Worker exit detail: ")
    return (detail or said).partition(". Some common causes")[0].removesuffix(".")[:300]


def here() -> str:
    """This machine's host name."""
    return platform.node()
