"""Options that cannot be right: one line, and nothing is written."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .lists import some
from .outcome import Outcome, tally
from .workspace import Workspace

EXTRACT: Mapping[str, Sequence[str]] = {
    "an unknown option": ("--wrokers", "2"),
    "no workers": ("--workers", "0"),
    "a negative batch": ("--batch-size", "-3"),
    "half a batch": ("--batch-size", "1.5"),
    "a word for a shard's size": ("--shard-size", "many"),
    "no time": ("--clip-timeout", "0"),
    "negative time": ("--clip-timeout", "-1"),
    "infinite time": ("--clip-timeout", "inf"),
    "time that is no number": ("--clip-timeout", "nan"),
    "more time than there is": ("--clip-timeout", "1e300"),
    "a seed too large": ("--random-weights", str(2**70)),
    "a negative seed": ("--random-weights", "-1"),
    "an unknown recipe": ("--recipe", "relesed"),
    "an unknown storage": ("--store", "float61"),
    "an unknown precision": ("--precision", "float8"),
    "an unknown answer to silence": ("--missing-audio", "silense"),
    "an unknown device": ("--device", "gpu"),
    "a device that is not there": ("--device", "cuda:99"),
    "an empty device": ("--device", ""),
    "no clips": ("--limit", "0"),
    "two lists": ("--dataset", "ave"),
    "an unknown data set": ("--dataset", "avee"),
    "no such encoder": ("--video-encoder", "/no/such/place"),
    "an encoder that is a file of text": ("--audio-encoder", __file__),
    "an encoder of the other kind": ("--video-encoder", "{audio_encoder}"),
    "no such videos": ("--videos", "/no/such/place"),
    "a file for videos": ("--videos", __file__),
    "a file for the cache": ("--cache", __file__),
    "a folder of other things for the cache": ("--cache", "{videos}"),
    "no such classes": ("--classes", "/no/such/place"),
    "a place that cannot be written to": ("--cache", "/proc/cache"),
    "a name too long": ("--cache", "x" * 300),
}
TRAIN: Mapping[str, Sequence[str]] = {
    "an unknown method": ("--method", "av-sil"),
    "an unknown setting": ("--set", "lamda=1"),
    "a setting without a value": ("--set", "seed"),
    "a setting twice": ("--epochs", "2"),
    "a word for a number": ("--set", "epochs=many"),
    "no epochs": ("--set", "epochs=0"),
    "a negative rate": ("--set", "learning_rate=-1"),
    "a rate that is no number": ("--set", "learning_rate=nan"),
    "an infinite rate": ("--set", "learning_rate=inf"),
    "a negative memory": ("--memory-size", "-1"),
    "a negative seed": ("--seed", "-1"),
    "no seeds": ("--seeds", "0"),
    "an unknown modality": ("--modality", "smell"),
    "an unknown choice of models": ("--model-choice", "worst"),
    "a device that is not there": ("--set", "device=cuda:99"),
    "graphs on a processor": ("--set", "cuda_graphs=true"),
    "more classes a task than numbers": ("--set", "classes_per_task=0"),
    "no such cache": ("--cache", "/no/such/place"),
    "no cache there": ("--cache", "{videos}"),
    "a file for the results": ("--out", __file__),
    "a folder of other things for the results": ("--out", "{videos}"),
    "a place that cannot be written to": ("--out", "/proc/out"),
    "no such configuration": ("--config", "/no/such/place"),
    "a configuration that is none": ("--config", __file__),
    "no such plugin": ("--plugin", "/no/such/place"),
    "a plugin that is no Python": ("--plugin", "{manifest}"),
    "a plugin without a method": ("--plugin", __file__),
    "a data set beside a manifest": ("--dataset", "ave"),
    "two ways of cutting tasks": ("--set", "class_order_seed=1", "--tasks", "{manifest}"),
    "a room of no size": ("--set", "residence_gigabytes=0"),
}
OTHER: Mapping[str, Sequence[str]] = {
    "verify of nothing": ("avcil-extract", "verify", "--cache", "/no/such/place"),
    "verify of another folder": ("avcil-extract", "verify", "--cache", "{videos}"),
    "status of a file": ("avcil-extract", "status", "--cache", __file__),
    "export of nothing": ("avcil-extract", "export", "--cache", "/no/such/place", "--out", "{new}"),
    "export in an unknown type": ("avcil-extract", "export", "--cache", "{cache}", "--out", "{new}", "--dtype", "int3"),
    "export to a file": ("avcil-extract", "export", "--cache", "{cache}", "--out", __file__),
    "import of nothing": (
        "avcil-extract",
        "import-released",
        "--dataset",
        "ave",
        "--features",
        "{videos}",
        "--cache",
        "{new}",
    ),
    "an unknown command": ("avcil-extract", "rum"),
    "an unknown command in training": ("avcil-incr", "tabel"),
    "show of nothing": ("avcil-incr", "show", "/no/such/place"),
    "table of no run": ("avcil-incr", "table", "{videos}"),
    "table to no folder": ("avcil-incr", "table", "{run}", "--csv", "/no/such/place/x.csv"),
    "an unknown method's settings": ("avcil-incr", "methods", "av-sil"),
    "a list that does not exist": ("manifests", "check", "/no/such/place"),
    "annotations that do not exist": ("manifests", "build", "ave", "/no/such/place", "--out", "{new}"),
}


def options(workspace: Workspace, share: float) -> Iterator[Outcome]:
    """The part; of every kind a `share` drawn at random."""
    videos = workspace.videos
    names = {
        "videos": str(videos.folder),
        "manifest": str(videos.manifest),
        "audio_encoder": str(videos.audio_encoder),
        "cache": str(workspace.cache),
        "run": str(workspace.trained),
    }
    extract = {name: [*videos.words(Path("{new}")), *words] for name, words in EXTRACT.items()}
    train = {name: [*workspace.training("lwf", Path("{new}")), *words] for name, words in TRAIN.items()}
    for what, commands in (("extraction", extract), ("training", train), ("the other commands", OTHER)):
        yield _refused(workspace, what, commands, names, share)


def _refused(
    workspace: Workspace, what: str, commands: Mapping[str, Sequence[str]], names: Mapping[str, str], share: float
) -> Outcome:
    def one(name: str) -> tuple[int, list[str]]:
        new = workspace.fresh("new") / "new"
        ended = workspace.run([word.format(**names, new=new) if "{" in word else word for word in commands[name]])
        lost = [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]
        return 1, lost + ([f"{name}: something was written"] if new.exists() else [])

    chosen = some(workspace, f"options of {what}", commands, share)
    note = f"{len(chosen)} kinds; one line, nothing written"
    return tally(f"options of {what} that cannot be right", workspace.side_by_side(one, chosen), note)
