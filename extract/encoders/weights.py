"""Weights: read from files without running code in them, loaded key by key, identified by a hash."""

import argparse
import contextlib
import hashlib
import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
import transformers
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from ...errors import InputError

M = TypeVar("M", bound=nn.Module)

# What torch.load raises on files that are no checkpoints, and transformers on settings that are none.
UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)


def read_tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """All named tensors of a checkpoint's files, as they are stored, on the CPU.

    A pickled checkpoint may hold them under "model" (the AudioMAE authors' habit) or "state_dict".
    Raises InputError for files that are damaged, hold something else, or would run code when unpickled.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        part = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
        tensors.update(part)
    return tensors


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return dict(safetensors.torch.load_file(file))
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{file} is no readable safetensors file ({error}): download it again") from error


def _read_pickle(file: Path) -> dict[str, Tensor]:
    advice = "download it again, or re-save its weights as safetensors"
    try:
        # The authors' training script stores its command line beside the weights: a Namespace is plain data.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on files that are then refused anyway
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except UNREADABLE as error:
        forbidden = re.search(r"GLOBAL ([\w.]+)", str(error))
        if forbidden:
            raise InputError(
                f"{file} would run code when read (it asks for {forbidden[1]}) and has been refused: {advice}"
            ) from error
        raise InputError(f"{file} is damaged or no PyTorch checkpoint: {advice}") from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"{file} holds no named tensors: {advice}")
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise InputError(f"{file} holds more than named tensors ({listed(strange)}): {advice}")
    return {str(name): tensor for name, tensor in content.items()}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over the tensors in the order of their names: name, type, shape and bytes of each."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(_bytes(tensor))
    return total.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()


def without(tensors: Mapping[str, Tensor], prefix: str, unused: Iterable[str]) -> dict[str, Tensor]:
    """`tensors` without the base model's `prefix`, and without those whose names begin as an `unused` one."""
    drop = tuple(unused)
    plain = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in plain.items() if not name.startswith(drop)}


def pretrained(model_class: type[M], config: Any, tensors: Mapping[str, Tensor], source: str, **options: Any) -> M:
    """A `model_class` (of transformers) that holds exactly `tensors`, in float32, on the CPU.

    The names are those of published checkpoints; transformers knows what each of its versions calls them.
    Every value is compared with the file's afterwards: some 5.x versions leave VideoMAE's q and v biases at
    zero. Raises InputError that names what is missing, left over, of another shape, or lost on the way.
    """
    available = {_content(tensor) for tensor in tensors.values()}
    with _quiet_transformers(), _building(source):
        model, report = model_class.from_pretrained(  # type: ignore[attr-defined]
            None,
            config=config,
            state_dict=dict(tensors),
            dtype=torch.float32,
            attn_implementation=attention_of(model_class),
            ignore_mismatched_sizes=True,  # told below, by name, instead of by an exception without names
            output_loading_info=True,
            **options,
        )
    if report["mismatched_keys"]:
        name, here, wanted = sorted(report["mismatched_keys"], key=str)[0]
        raise InputError(f"{source}: '{name}' has shape {tuple(here)}, the configuration asks for {tuple(wanted)}")
    complain(
        f"{source} (read by transformers {transformers.__version__})",
        missing=report["missing_keys"],
        left_over=report["unexpected_keys"],
    )
    lost = [name for name, value in model.state_dict().items() if _content(value) not in available]
    if lost:
        raise InputError(
            f"{source}: transformers {transformers.__version__} does not load {listed(lost)} as the file has "
            "it; install a version that pyproject.toml allows"
        )
    return model  # type: ignore[no-any-return]


def attention_of(model_class: type[Any]) -> str:
    """How a model of transformers is to compute attention: by PyTorch's own function, where it can."""
    return "sdpa" if getattr(model_class, "_supports_sdpa", False) else "eager"


def complain(source: str, *, missing: Iterable[str], left_over: Iterable[str]) -> None:
    """Raise InputError where a checkpoint lacks tensors or holds ones that nothing here uses."""
    missing, left_over = sorted(missing), sorted(left_over)
    if missing:
        raise InputError(f"{source} lacks weights: {listed(missing)}; it is incomplete or another architecture")
    if left_over:
        raise InputError(f"{source} holds weights that no part uses: {listed(left_over)}; another architecture?")


def _content(tensor: Tensor) -> tuple[tuple[int, ...], bytes]:
    return tuple(tensor.shape), hashlib.sha256(_bytes(tensor.float())).digest()


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def randomly_initialised(build: Callable[[], M], seed: int, source: str) -> M:
    """What `build` makes from transformers' own initialisation, drawn from `seed` and nothing else.

    Raises InputError where the configuration makes no model.
    """
    with torch.random.fork_rng(devices=[]), _building(source):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs too
        return build()


@contextlib.contextmanager
def _building(source: str) -> Iterator[None]:
    """Within it a model is made on the CPU of a configuration that may say anything."""
    try:
        yield
    except UNREADABLE as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{source}: its configuration makes no model ({words})") from error


def frozen(model: M, device: torch.device, dtype: torch.dtype) -> M:
    """`model` ready for inference: no dropout, no gradients, on its device in its computing type."""
    return model.eval().requires_grad_(False).to(device=device, dtype=dtype)


def weight_facts(tensors: Mapping[str, Tensor] | None, seed: int | None, spread: float) -> dict[str, Any]:
    """The fingerprint's facts about the weights: their hash, or that they are random, from which seed and how wide."""
    if tensors is None:
        return {"random_weights": True, "seed": seed, "initializer_range": spread}
    return {"weights_sha256": digest(tensors)}


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Its progress bar and its report on keys would say the same as our errors, in many lines."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
