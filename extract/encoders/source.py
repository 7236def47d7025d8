"""Where an encoder comes from: a Hub id, a local directory, or a single file of weights."""

import contextlib
import functools
import logging
import queue
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants, get_session
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import logging as hub_logging

from ... import files
from ...errors import InputError, say

WEIGHT_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
HUB_SECONDS = 6.0
"""For the Hub to give any answer before it counts as out of reach."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Source:
    """One encoder's files; what is not on this machine is fetched from the Hub when first asked for."""

    name: str
    """As the user gave it."""
    folder: Path | None = None
    """The local directory, where it is one."""
    file: Path | None = None
    """The single file of weights, where it is one."""
    known_config: Mapping[str, Any] | None = None
    """A published architecture that needs no file."""

    @property
    def _is_hub_id(self) -> bool:
        return self.folder is None and self.file is None and self.known_config is None

    def _find(self, name: str, *, fetch: bool = True) -> Path | None:
        """The file called `name`, or None where the source has no such file."""
        if self.folder is not None:
            return self.folder / name if (self.folder / name).is_file() else None
        return _hub_file(self.name, name, fetch) if self._is_hub_id else None

    @functools.cached_property
    def config(self) -> Mapping[str, Any] | None:
        """The parsed config.json, or None for a bare file of weights."""
        if self.known_config is not None:
            return self.known_config
        path = self._find("config.json")
        return None if path is None else read_json(path)

    @functools.cached_property
    def processor(self) -> Mapping[str, Any] | None:
        """The parsed preprocessor settings of the checkpoint, or None where it has none."""
        for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
            path = self._find(name)
            if path is not None:
                return read_json(path)
        return None

    @property
    def kind(self) -> str:
        """`model_type` of a transformers checkpoint, "timm" for timm's Hub format, "weights" for a file."""
        if self.config is None:
            return "weights"
        if "model_type" in self.config:
            return str(self.config["model_type"])
        return "timm" if "architecture" in self.config else "unknown"

    def weights(self) -> tuple[Path, ...]:
        """The files that hold the weights. InputError where there are none."""
        if self.file is not None:
            return (self.file,)
        # What is here already goes first: a repository cached with one kind of file needs no network.
        for fetch in (False, True):
            for name in WEIGHT_NAMES:
                path = self._find(name, fetch=fetch)
                if path is not None:
                    return self._shards(path) if name.endswith(".index.json") else (path,)
        if self.folder is not None:
            loose = sorted(self.folder.glob("*.pth")) + sorted(self.folder.glob("*.safetensors"))
            if len(loose) == 1:
                return (loose[0],)
        raise InputError(
            f"{self.name} holds no weights ({', '.join(WEIGHT_NAMES[::2])}): "
            "add them, or ask for untrained ones with --random-weights"
        )

    def _shards(self, index: Path) -> tuple[Path, ...]:
        names = read_json(index).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise InputError(f"{index} has no 'weight_map' of file names: download the checkpoint again")
        shards = []
        for name in sorted(set(names.values())):
            path = self._find(name) if Path(name).name == name else None
            if path is None:
                raise InputError(f"{index} names '{name}', which is not there: download the checkpoint again")
            shards.append(path)
        return tuple(shards)


def find_source(name: str, published: Mapping[str, Mapping[str, Any]], *, random_weights: bool) -> Source:
    """The source called `name`: an existing directory or file, or else a Hub id.

    `published` gives the architectures known without network, used where `random_weights` need no file.
    Raises InputError where `name` is neither on this machine nor formed like a Hub id.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return Source(name, folder=path)
    if path.is_file():
        if path.suffix not in WEIGHT_SUFFIXES:
            raise InputError(f"{name} is no file of weights ({', '.join(WEIGHT_SUFFIXES)})")
        has_config = path.name in WEIGHT_NAMES and (path.parent / "config.json").is_file()
        return Source(name, folder=path.parent) if has_config else Source(name, file=path)
    if not HUB_ID.fullmatch(name) or path.suffix in WEIGHT_SUFFIXES:
        raise InputError(f"no such file or directory: {name} (and it is no Hub id of the form owner/model)")
    if random_weights and name in published:
        return Source(name, known_config=published[name])
    return Source(name)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; InputError where there is none."""
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object, not a {type(content).__name__}")
    return content


def _hub_file(repository: str, name: str, fetch: bool) -> Path | None:
    cached = huggingface_hub.try_to_load_from_cache(repository, name)
    if isinstance(cached, str):
        return Path(cached)
    if cached is not None or not fetch:  # not None: the Hub has said before that there is no such file
        return None
    try:
        if not constants.HF_HUB_OFFLINE:
            _announce(repository)
            if not _hub_answers(constants.ENDPOINT):
                raise _unreachable(repository)
        with _without_retry_messages():
            return Path(huggingface_hub.hf_hub_download(repository, name))
    except RepositoryNotFoundError as error:
        raise InputError(f"the Hub has no model '{repository}' that you may read") from error
    except LocalEntryNotFoundError as error:
        raise _unreachable(repository) from error
    except EntryNotFoundError:
        return None
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"'{repository}' cannot be fetched from the Hub: {reason}") from error


@functools.cache
def _announce(repository: str) -> None:
    """One line, once, before anything that may take long."""
    say(f"asking the Hub for '{repository}'", err=True)


@functools.cache
def _hub_answers(endpoint: str) -> bool:
    """Whether the Hub answers at all, within `HUB_SECONDS`: its client tries five times, ever more slowly.

    In a thread, since looking up a name may take as long as the system likes.
    """
    answers = queue.SimpleQueue[bool]()

    def ask() -> None:
        try:
            get_session().head(endpoint, timeout=HUB_SECONDS)
        except Exception:  # noqa: BLE001 - the client's versions raise what their HTTP libraries do
            answers.put(False)
        else:
            answers.put(True)

    threading.Thread(target=ask, name="asking the Hub", daemon=True).start()
    try:
        return answers.get(timeout=HUB_SECONDS)
    except queue.Empty:
        return False


def _unreachable(repository: str) -> InputError:
    folder = repository.split("/")[1]
    return InputError(
        f"'{repository}' is not on this machine and the Hub cannot be reached: where there is network, "
        f"run 'hf download {repository} --local-dir {folder}', copy that folder here and name it instead"
    )


@contextlib.contextmanager
def _without_retry_messages() -> Iterator[None]:
    """Five failed attempts are still one piece of news, which the caller tells."""
    before = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        hub_logging.set_verbosity(before)
