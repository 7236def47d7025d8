"""A run as a call: what the command line does, for notebooks, sweeps and clusters.

from avcil.incremental import configure, run, load_runs, frame

configured = configure("av-cil", dataset="ave", cache="caches/ave", epochs=50)
run(configured, "runs/av-cil", seeds=3)
print(frame(load_runs("runs/av-cil")))
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, say, unknown
from ...files import sha256_of
from ...plugins import line_of, plugin_error
from ...wording import number_of
from ..config import GradientSettings, RunConfig, names_of
from ..learning.method import BaseMethod
from ..learning.state import Stopped
from ..methods import all_methods, executed_plugins
from ..results.files import content_of
from . import configure as configuration
from .experiment import place_for, run_once, run_repeats
from .listeners import Guarded, Listener
from .problem import Data, Problem, absolute, load_data, load_problem
from .provenance import ways_of
from .repeats import Repeats, repeats_of


@dataclass(frozen=True)
class ConfiguredRun:
    """A run that could be started: everything about it is known and checked but its features."""

    kind: type[BaseMethod]
    """The method."""
    config: RunConfig
    settings: Any
    """The method's own settings."""
    problem: Problem
    plugins: Mapping[str, str]
    """SHA-256 of what was executed of each plugin, by path."""
    unused: tuple[str, ...] = ()
    """Settings that were given and that a method which is solved has no use for."""
    memory_by_default: bool = False
    """Whether nobody, not the data set either, said how large the exemplar memory is to be."""

    def plain(self) -> dict[str, Any]:
        """As config.json has it."""
        return configuration.as_plain(self.config, self.settings)

    def check_place(self, out: Path, repeats: Repeats | None = None) -> list[Path]:
        """The folders of finished runs in `out`; InputError where it is taken by another run.

        To be asked before features are loaded, which takes its time.
        """
        configs = {out: self.config} if repeats is None else repeats.configs(self.config, out)
        places = [place_for(config, self.settings, folder) for folder, config in configs.items()]
        return [place.path for place in places if place.finished]

    def notes(self, data: Data) -> list[str]:
        """Lines on settings that are in order and may not be what was meant."""
        lines = []
        if self.unused:
            lines.append(f"not used, since {self.kind.name} is solved in one pass: {', '.join(self.unused)}")
        lines += [*self._shortened(), *self._unvalidated(data)]
        size, train = self.config.memory_size, data.table.splits.count("train")
        if not ways_of(self.kind)["memory"]:
            return lines
        if size > train:
            lines.append(f"memory_size {size} is more than the {train} training clips: all of them are kept")
        elif self.memory_by_default:
            of_this = f"this list has {train} training clips"
            lines.append(f"memory_size is {size}, which is AVE's, since nothing else was given; {of_this}")
        return lines

    def _shortened(self) -> list[str]:
        """Lines on settings that cannot shorten anything, or leave one epoch to choose from."""
        config = self.config
        if self.kind.way != "gradient":
            return []
        lines = []
        if config.patience is not None and config.patience >= config.epochs:
            lines.append(f"patience {config.patience} ends no task: they have {number_of(config.epochs, 'epoch')}")
        if config.epochs > 1 and config.validate_every >= config.epochs:
            lines.append(
                f"validate_every {config.validate_every}: only the last of {config.epochs} epochs is validated"
            )
        return lines

    def _unvalidated(self, data: Data) -> list[str]:
        """A line on classes that have no part in the choice of the best epoch, if there are any."""
        table = data.table
        if self.kind.way != "gradient" or self.config.model_choice != "best":
            return []
        validated = set(table.labels[table.of("val", range(len(table.class_order)))].tolist())
        lacking = [name for label, name in enumerate(table.class_order) if label not in validated]
        if not lacking:
            return []
        count = number_of(len(lacking), "class", "classes")
        return [f"no validation clip of {count}, which have no part in the choice of the best epoch: {lacking[0]}"]

    def load(self) -> Data:
        """Clips and features, for one run or several seeds."""
        return load_data(self.config, self.problem, self.kind)


def configure(
    method: str | None = None,
    *,
    config_file: Path | str | None = None,
    plugins: Iterable[Path | str] = (),
    **given: Any,
) -> ConfiguredRun:
    """Check what a run is to be.

    Args:
        method: its name, as `avcil-incr methods` lists it.
        config_file: a run's config.json to repeat; files that it names are relative to its folder. What else is given
            wins over it. Plugins that it names are run as well, unless others are given; a line on standard error names
            each before it is.
        plugins: Python files with methods of your own. They are run.
        given: fields of `RunConfig` and of the method's settings, by name. They win over the settings that the data set
            was published with, which win over defaults.

    Raises:
        InputError: in one line, for an unknown name (with the nearest valid one) or a value out of range, or where a
            plugin that the configuration names has changed since.
    """
    if isinstance(plugins, str | Path):
        raise InputError(f"plugins is a list of files: plugins=['{plugins}']")
    given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    given_plugins = [str(Path(path).resolve()) for path in plugins]
    repeated = {} if config_file is None else repeated_settings(Path(config_file), announced=not given_plugins)
    values = {**repeated, **given}
    method = method or values.get("method")
    if method is None:
        raise InputError("say what to run: --method NAME (avcil-incr methods lists them)")
    values["plugins"] = given_plugins or values.get("plugins", [])
    methods = all_methods(map(Path, values["plugins"]))
    executed = executed_plugins(values["plugins"])
    if method not in methods:
        raise unknown("method", str(method), methods)
    kind = methods[str(method)]
    problem = load_problem(values.get("dataset"), values.get("manifest"), values.get("classes"))
    configuration.check_protocol(problem.protocol, methods.values())
    configuration.check_settings(kind, methods, given, repeated)
    values = absolute(values, Path.cwd())
    if values.get("cache") is None and values.pop("cache", problem.protocol.get("cache")) is None:
        raise InputError("say where the features are: --cache DIR")
    config, settings = configuration.configure(kind, problem.protocol, values)
    unused = () if kind.way == "gradient" else tuple(name for name in names_of(GradientSettings) if name in given)
    by_default = values.get("memory_size") is None and "memory_size" not in problem.protocol
    return ConfiguredRun(kind, config, settings, problem, executed, unused, by_default)


def repeated_settings(path: Path, *, announced: bool) -> dict[str, Any]:
    """The settings of a config.json, flat, its files made absolute from its folder.

    `announced`: its plugins are about to be run, which is said and checked.
    """
    content = content_of(path)
    of_run = dict(content["run"])
    settings: dict[str, Any] = of_run.pop("settings", {})
    for name in settings:
        if name in names_of(RunConfig):
            raise InputError(f"{path}: not a run's config.json: run.settings.{name} belongs into run")
    folder = path.resolve().parent
    plugins = [str((folder / plugin).resolve()) for plugin in of_run.get("plugins", [])]
    if announced:
        known = content["provenance"].get("plugins") or {}
        for plugin in plugins:
            if plugin in known and Path(plugin).is_file() and sha256_of(Path(plugin)) != known[plugin]:
                raise InputError(
                    f"{path} names the plugin {plugin}, which has changed since: "
                    "give it with --plugin to use it as it is"
                )
        for plugin in plugins:
            say(f"the configuration {path} runs the plugin {plugin}", err=True)
    return absolute(of_run, folder) | {"plugins": plugins} | settings


def run(
    configured: ConfiguredRun,
    out: Path | str,
    *,
    seeds: int | None = None,
    class_orders: int | None = None,
    listeners: Sequence[Listener] = (),
    data: Data | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> list[Mapping[str, Any]]:
    """Run what was configured, or resume it; the content of each run's metrics.json. A finished run is left as it is.

    Args:
        configured: from `configure`.
        out: folder of the results.
        seeds: run this many seeds, from the configured one on, in OUT/seed-N.
        class_orders: run this many class orders, the published or given one in OUT/seed-N and those drawn from
            `class_order_seed` K = 1, 2, ... in OUT/order-K/seed-N; one seed of each, unless `seeds` says more.
        listeners: told of the course of every run. One that raises an exception is named in a warning and told nothing
            more; the run goes on.
        data: what `configured.load()` gave, where several calls are to share the loaded features.
        stop_asked: asked between steps whether to stop.

    Raises:
        InputError: `out` holds another run, or one of another cause; the features lack clips; `data` were loaded for a
            run that learns something else, or in another way.
        Stopped: as `stop_asked` wanted; the same call resumes the run to the same bits.
    """
    out, repeats = Path(out), repeats_of(seeds, class_orders)
    configured.check_place(out, repeats)
    kind, config, settings = configured.kind, configured.config, configured.settings
    if data is None:
        data = configured.load()
    else:
        data.check(config, configured.problem, kind)
    guarded = [Guarded(listener) for listener in listeners]
    with plugins_told(configured.plugins):
        if repeats is None:
            return [run_once(kind, config, settings, data, out, guarded, stop_asked, configured.plugins)]
        return run_repeats(kind, config, settings, data, out, repeats, guarded, stop_asked, configured.plugins)


@contextmanager
def plugins_told(plugins: Iterable[str]) -> Iterator[None]:
    """InputError, in one line with its place, for what the code of one of these files raises within it."""
    try:
        yield
    except (InputError, Stopped):
        raise
    except Exception as error:
        for plugin in plugins:
            if line_of(Path(plugin), error):
                raise plugin_error(Path(plugin), error) from error
        raise
