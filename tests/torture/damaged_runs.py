"""Damaged folders of runs: an unfinished one is refused in one line or resumed to the same bits."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from .outcome import Outcome, tally
from .workspace import METHOD, Workspace, flip, other_results, saved_in

DEEP = 200_000
Do = Callable[[Path, Random], object]


@dataclass(frozen=True)
class Runs:
    """How often."""

    flips: int
    """Bits flipped in a saved state."""
    other: int
    """Of the other kinds, drawn at random where there are more."""


def damaged_runs(workspace: Workspace, amount: Runs) -> Iterator[Outcome]:
    """The part."""
    workspace.undisturbed(METHOD)  # made before two threads ask for it
    half = workspace.unfinished
    results = workspace.side_by_side(
        lambda turn: resumed(workspace, half, lambda out, draw: flip(out / "state.pt", draw), turn), range(amount.flips)
    )
    yield tally("a run's saved state: a bit flipped", results, "refused in one line")
    for what, kinds in (("an unfinished run", UNFINISHED), ("an unfinished run's saved state", STATES)):
        chosen = list(kinds.items())[: amount.other]
        results = workspace.side_by_side(lambda kind: resumed(workspace, half, kind[1], kind[0]), chosen)
        yield tally(f"{what}: other damage", results, f"{len(chosen)} kinds; refused in one line or the same bits")
    chosen = list(FINISHED.items())[: amount.other]
    results = workspace.side_by_side(lambda kind: shown(workspace, *kind), chosen)
    yield tally("a finished run's files: damage", results, f"{len(chosen)} kinds; show and table say so in one line")


def resumed(workspace: Workspace, half: Path, do: Do, turn: object) -> tuple[int, list[str]]:
    """Damage a copy of the run and start it again."""
    out = workspace.fresh("hurt") / "out"
    shutil.copytree(half, out)
    do(out, workspace.draw("damaged runs", turn))
    ended = workspace.run(workspace.training(METHOD, out))
    if ended.one_line:
        return 1, []
    if ended.status:
        return 1, [f"{turn}: status {ended.status}: {ended.said}"]
    return 1, [f"{turn}: another {name}" for name in other_results(workspace.undisturbed(METHOD), out)]


def shown(workspace: Workspace, what: str, do: Do) -> tuple[int, list[str]]:
    """Damage a copy of a finished run and have it shown."""
    folder = workspace.fresh("hurt")
    shutil.copytree(workspace.undisturbed(METHOD), folder / "out")
    do(folder / "out", workspace.draw("damaged runs", what))
    wrong = []
    for command in ("show", "table"):
        ended = workspace.run(["avcil-incr", command, str(folder / "out")])
        if not ended.one_line:
            wrong.append(f"{what}: {command} says {ended.status} ({ended.said[:120]})")
    return 1, wrong


def _replaced(name: str, content: bytes | None) -> Do:
    """Other bytes in a file, or a folder in its place."""

    def do(out: Path, draw: Random) -> None:
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()
        (out / name).write_bytes(content) if content is not None else (out / name).mkdir()

    return do


def _cut(name: str) -> Do:
    return lambda out, draw: os.truncate(out / name, draw.randrange((out / name).stat().st_size))


def _linked(name: str) -> Do:
    def do(out: Path, draw: Random) -> None:
        (out / name).unlink()
        (out / name).symlink_to("nowhere")

    return do


def _state(change: Callable[[dict[str, Any]], object]) -> Do:
    """Another progress in a state of version 0.1, which had no checksum."""

    def do(out: Path, draw: Random) -> None:
        saved = saved_in(out)
        change(saved)
        torch.save(saved, out / "state.pt")

    return do


def _without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def _json(name: str, change: Callable[[dict[str, Any]], object]) -> Do:
    """A JSON file with another content."""

    def do(out: Path, draw: Random) -> None:
        (out / name).write_text(json.dumps(change(json.loads((out / name).read_text()))))

    return do


WEIGHTS = "weights/task-01.safetensors"
UNFINISHED: dict[str, Do] = {
    "emptied weights": _replaced(WEIGHTS, b""),
    "weights with a bit flipped": lambda out, draw: flip(out / WEIGHTS, draw),
    "weights cut short": _cut(WEIGHTS),
    "weights gone": lambda out, draw: (out / WEIGHTS).unlink(),
    "a folder for weights": _replaced(WEIGHTS, None),
    "a link for weights": _linked(WEIGHTS),
    "weights/ gone": lambda out, draw: shutil.rmtree(out / "weights"),
    "config.json emptied": _replaced("config.json", b""),
    "config.json nested too deeply": _replaced("config.json", b"[" * DEEP),
    "config.json gone": lambda out, draw: (out / "config.json").unlink(),
    "a folder for config.json": _replaced("config.json", None),
    "config.json a list": _replaced("config.json", b"[]"),
    "another seed in config.json": _json(
        "config.json", lambda content: content | {"run": content["run"] | {"seed": 7}}
    ),
    "other labels in config.json": _json(
        "config.json", lambda content: content | {"provenance": content["provenance"] | {"labels_sha256": ""}}
    ),
    "no provenance in config.json": _json("config.json", lambda content: _without(content, "provenance")),
    "a file for weights/": _replaced("weights", b""),
    "a folder for .lock": _replaced(".lock", None),
}
STATES: dict[str, Do] = {
    "state.pt cut short": _cut("state.pt"),
    "state.pt emptied": _replaced("state.pt", b""),
    "garbage in state.pt": _replaced("state.pt", b"garbage" * 100),
    "a folder for state.pt": _replaced("state.pt", None),
    "a link for state.pt": _linked("state.pt"),
    "state.pt gone": lambda out, draw: (out / "state.pt").unlink(),
    "task 99": _state(lambda saved: saved.update(task=99)),
    "task -1": _state(lambda saved: saved.update(task=-1)),
    "a word for the task": _state(lambda saved: saved.update(task="two")),
    "epoch -3": _state(lambda saved: saved.update(epoch=-3)),
    "no memory": _state(lambda saved: saved.pop("memory")),
    "an unknown key": _state(lambda saved: saved.update(surprise=1)),
    "no predictions": _state(lambda saved: saved.update(predictions=[])),
    "a list for the progress": lambda out, draw: torch.save([1, 2], out / "state.pt"),
    "weights of another shape": _state(lambda saved: saved.update(finished=_reshaped(saved["finished"]))),
    "weights of another name": _state(lambda saved: saved.update(finished={"nothing": torch.zeros(1)})),
    "a number for the weights": _state(lambda saved: saved.update(finished=3)),
    "exemplars that are not there": _state(lambda saved: saved.update(memory={0: [10**6]})),
}
FINISHED: dict[str, Do] = {
    "metrics.json emptied": _replaced("metrics.json", b""),
    "metrics.json nested too deeply": _replaced("metrics.json", b"[" * DEEP),
    "metrics.json a list": _replaced("metrics.json", b"[]"),
    "metrics.json empty table": _replaced("metrics.json", b"{}"),
    "no accuracy matrix": _json("metrics.json", lambda content: _without(content, "accuracy_matrix")),
    "a word for a figure": _json("metrics.json", lambda content: content | {"mean_accuracy": "high"}),
    "a word for the matrix": _json("metrics.json", lambda content: content | {"accuracy_matrix": "high"}),
    "config.json emptied": _replaced("config.json", b""),
    "config.json a list": _replaced("config.json", b"[]"),
    "config.json without run": _json("config.json", lambda content: _without(content, "run")),
    "settings no table": _json("config.json", lambda content: content | {"run": content["run"] | {"settings": [1]}}),
    "a folder for metrics.json": _replaced("metrics.json", None),
}


def _reshaped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.reshape(-1, 1) for name, tensor in state.items()}
