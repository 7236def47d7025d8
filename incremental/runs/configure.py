"""From what a user gives to a checked configuration: options over a benchmark's presets over defaults."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from ...errors import InputError, unknown
from ..config import OFF, RunConfig, checked, names_of
from ..learning.method import BaseMethod


def split_overrides(method: type[BaseMethod], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which of the given fields belong to the run and which to the method; InputError for one of neither."""
    of_run, of_method = names_of(RunConfig), names_of(method.Settings)
    for name in given:
        if name not in of_run + of_method:
            raise unknown("setting", name, of_run + of_method)
    return (
        {name: value for name, value in given.items() if name in of_run},
        {name: value for name, value in given.items() if name in of_method},
    )


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """FIELD=VALUE words as a dictionary of words; they are converted when they are checked.

    Only "none" becomes None at once where a field of the run is none by default: whether a file is given decides
    what is read before anything is checked.
    """
    by_default_none = {field.name for field in fields(RunConfig) if field.default is None}
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise InputError(f"--set takes FIELD=VALUE, not '{assignment}'")
        name, value = name.strip().replace("-", "_"), value.strip()
        if name == "plugins":
            raise InputError("plugins are given by --plugin FILE, not by --set")
        if name in values:
            raise InputError(f"--set gives {name} twice")
        values[name] = None if value == "none" and name in by_default_none else value
    return values


def check_settings(
    kind: type[BaseMethod],
    methods: Mapping[str, type[BaseMethod]],
    given: Mapping[str, Any],
    repeated: Mapping[str, Any],
) -> None:
    """InputError for a setting that only other methods have, by their names; `repeated` are from a config.json."""
    known = {*names_of(RunConfig), *names_of(kind.Settings)}
    for name in (*given, *repeated):
        owners = [other for other, one in methods.items() if name in names_of(one.Settings)]
        if name in known or not owners:
            continue
        if name not in given and repeated.get("method") in owners:
            raise InputError(
                f"the configuration is of {repeated['method']} and sets '{name}', which {kind.name} has not: "
                "leave out --method, or --config"
            )
        raise InputError(f"the setting '{name}' belongs to {', '.join(owners)}, not to {kind.name}")


def check_protocol(protocol: Mapping[str, Any], methods: Iterable[type[BaseMethod]]) -> None:
    """InputError for a setting in a data set's protocol that no run and no method has."""
    known = {*names_of(RunConfig), "other_settings"}.union(*(names_of(method.Settings) for method in methods))
    for name in protocol:
        if name not in known:
            raise unknown("setting in the data set's [protocol]", name, known)


def preset(method: type[BaseMethod], modality: str, protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a benchmark's protocol fixes for this method and modality."""
    known = names_of(RunConfig) + names_of(method.Settings)
    values = {name: value for name, value in protocol.items() if name in known and name != "epochs"}
    epochs = protocol.get("epochs", {}).get(method.family or method.name, {})
    if modality in epochs:
        values["epochs"] = epochs[modality]
    return values


def configure(method: type[BaseMethod], protocol: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[RunConfig, Any]:
    """The run's configuration and the method's settings: `given` over the benchmark's presets over defaults."""
    modality = str(given.get("modality", protocol.get("modality", "audio-visual")))
    run, settings = split_overrides(method, preset(method, modality, protocol) | dict(given))
    run["method"] = method.name
    if run.get("tasks") is not None and run.get("class_order_seed") is not None:
        raise InputError("--tasks fixes the class order: leave out --class-order-seed")
    if "classes_per_task" not in run and run.get("tasks") is None:
        raise InputError("how many classes arrive with each task? say --classes-per-task N")
    run.setdefault("classes_per_task", 1)
    config = checked(RunConfig, run)
    if config.modality not in method.modalities:
        raise InputError(
            f"method '{method.name}' needs --modality {' or '.join(method.modalities)}, not {config.modality}"
        )
    for name, off in OFF.items():
        if method.way == "gradient" and config.model_choice == "last" and getattr(config, name) != off:
            raise InputError(
                f"--{name.replace('_', '-')} is about accuracy on validation clips, which --model-choice last never "
                "looks at: leave one of them out"
            )
    return config, checked(method.Settings, settings)


def as_plain(config: RunConfig, settings: Any) -> dict[str, Any]:
    """Both as one plain dictionary, the way config.json holds it."""
    plain: dict[str, Any] = json.loads(json.dumps({**asdict(config), "settings": asdict(settings)}))
    return plain
