"""Configurations: the published presets row by row, and one clear line for everything that is not one."""

import dataclasses
import json
from typing import Any

import pytest
from avcil.errors import InputError
from avcil.incremental import config as room
from avcil.incremental.config import STRICT, RunConfig, checked, described
from avcil.incremental.learning.gradient import Method
from avcil.incremental.learning.method import Settings
from avcil.incremental.methods import all_methods, find_method
from avcil.incremental.runs.configure import as_plain, check_protocol, configure, parse_assignments
from avcil.manifests import published
from avcil.tests.incremental.synthetic import METHODS
from pydantic.dataclasses import dataclass

DATASETS = ("ave", "kinetics-sounds", "vggsound100")
SHARED = {
    "ave": {"classes_per_task": 7, "memory_size": 340},
    "kinetics-sounds": {"classes_per_task": 6, "memory_size": 500},
    "vggsound100": {"classes_per_task": 10, "memory_size": 1500},
}
LAMBDAS = {"ave": (0.5, 1.0, 0.5, 0.05), "kinetics-sounds": (0.1, 1.0, 0.5, 0.05), "vggsound100": (0.1, 1.0, 0.5, 0.05)}
"""lambda_I, lambda_C, lambda, tau."""
EPOCHS = {
    "fine-tuning": ("300/200/150", "300/150/150", "300/200/200"),
    "oracle": ("300/200/150", "200/100/100", "300/200/200"),
    "lwf": ("300/200/200", "200/200/100", "300/200/200"),
    "icarl-nme": ("300/200/150", "200/100/100", "300/200/200"),
    "icarl-fc": ("300/200/150", "200/100/100", "300/200/200"),
    "ss-il": ("300/200/200", "300/100/100", "300/200/200"),
    "afc-nme": ("300/200/150", "300/100/100", "300/200/200"),
    "afc-lsc": ("300/200/150", "300/100/100", "300/200/200"),
    "av-cil": ("-/-/200", "-/-/200", "-/-/200"),
}
"""Audio / visual / both, for each data set."""


def configured(method: str, dataset: str | None = None, **given: Any) -> tuple[RunConfig, Any]:
    protocol = published(dataset).protocol if dataset else {"classes_per_task": 2}
    return configure(find_method(method), protocol, {"cache": ""} | given)


def refusal(method: str = "av-cil", **given: Any) -> str:
    with pytest.raises(InputError) as error:
        configured(method, **given)
    assert "\n" not in str(error.value)
    return str(error.value)


# ------------------------------------------------------------------------------------------------- presets


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", METHODS)
def test_published_presets(method: str, dataset: str):
    for modality, epochs in zip(
        ("audio", "visual", "audio-visual"), EPOCHS[method][DATASETS.index(dataset)].split("/"), strict=True
    ):
        if epochs == "-":
            with pytest.raises(InputError, match="needs --modality audio-visual"):
                configured(method, dataset, modality=modality)
            continue
        config, settings = configured(method, dataset, modality=modality)
        assert config.epochs == int(epochs)
        assert (config.method, config.modality) == (method, modality)
        assert (config.batch_size, config.memory_batch_size, config.evaluation_batch_size) == (256, 128, 128)
        assert (config.learning_rate, config.weight_decay) == (1e-3, 1e-4)
        assert (config.model_choice, config.seed) == ("best", 0)
        assert {name: getattr(config, name) for name in SHARED[dataset]} == SHARED[dataset]
        if method == "av-cil":
            names = ("lambda_instance", "lambda_class", "lambda_spatial", "similarity_temperature")
            assert tuple(getattr(settings, name) for name in names) == LAMBDAS[dataset]


def test_every_method_learnt_by_gradient_is_in_the_table():
    assert set(EPOCHS) == set(METHODS)


def test_a_misspelt_setting_of_a_data_set_is_refused_with_the_nearest_name():
    methods = all_methods().values()
    for name in ("ave", "kinetics-sounds", "vggsound100"):
        check_protocol(published(name).protocol, methods)
    with pytest.raises(InputError, match=r"\[protocol\] 'memory_sise': did you mean 'memory_size'\?"):
        check_protocol({"memory_sise": 3}, methods)


def test_released_choices_are_the_defaults():
    """What the published numbers were made with."""
    expected: dict[str, dict[str, Any]] = {
        "lwf": {"temperature": 2.0, "cross_entropy_over": "new-classes", "kl_direction": "teacher-student"},
        "icarl-nme": {"distillation": "doubled-sigmoid", "herding_repeats": True, "normalise_means": False},
        "icarl-fc": {"distillation": "doubled-sigmoid", "herding_repeats": True},
        "ss-il": {"temperature": 2.0, "second_task_loss": "separated"},
        "afc-lsc": {"proxies": 10, "lambda_discrepancy": 0.5, "importances": "clip", "margin": 0.0},
        "afc-nme": {"balanced_epochs": 0, "discrepancy_growth": "sqrt-task", "herding_repeats": True},
        "av-cil": {"attention_distillation": "vad", "class_similarity": "released", "temperature": 2.0},
    }
    for method, values in expected.items():
        _, settings = configured(method, "ave")
        assert {name: getattr(settings, name) for name in values} == values


def test_what_is_given_wins_over_presets_and_presets_over_defaults():
    config, settings = configured("av-cil", "kinetics-sounds", epochs="7", lambda_class="0.25", batch_size=12)
    assert (config.epochs, config.batch_size, config.memory_size) == (7, 12, 500)
    assert (settings.lambda_class, settings.lambda_instance) == (0.25, 0.1)


def test_a_family_shares_its_epochs_and_a_stranger_gets_the_default():
    class Own(Method):
        name = "own"

    class OfFamily(Method):
        name = "own-2"
        family = "afc"

    protocol = published("ave").protocol
    assert configure(Own, protocol, {"cache": ""})[0].epochs == 100
    assert configure(OfFamily, protocol, {"cache": "", "modality": "audio"})[0].epochs == 300


# --------------------------------------------------------------------------------------------- bad values


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ({"lamda_class": 1}, "lambda_class"),
        ({"epoch": 1}, "epochs"),
        ({"seeds": 3}, "seed"),
        ({"clas_similarity": "released"}, "class_similarity"),
        ({"learning_rat": 1}, "learning_rate"),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest_name(given: dict[str, Any], nearest: str):
    (name,) = given
    assert refusal(**given) == f"unknown setting '{name}': did you mean '{nearest}'?"


def test_a_setting_of_another_method_is_unknown():
    assert refusal("fine-tuning", lambda_class=1).startswith("unknown setting 'lambda_class'")


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": 0},
        {"epochs": "many"},
        {"epochs": 2.5},
        {"epochs": "none"},
        {"classes_per_task": 0},
        {"seed": -1},
        {"batch_size": 0},
        {"memory_size": -1},
        {"memory_batch_size": 0},
        {"evaluation_batch_size": 0},
        {"learning_rate": 0},
        {"learning_rate": "nan"},
        {"learning_rate": "inf"},
        {"weight_decay": -1e-9},
        {"weight_decay": "inf"},
        {"model_choice": "first"},
        {"modality": "sound"},
        {"precision": "float16"},
        {"teacher": "never"},
        {"residence_gigabytes": 0},
        {"checkpoint_seconds": -1},
        {"lambda_class": -1},
        {"lambda_instance": "nan"},
        {"lambda_spatial": 1.5},
        {"similarity_temperature": 0},
        {"temperature": "inf"},
        {"class_similarity": "paper"},
        {"attention_distillation": "grad_cam"},
        {"kl_direction": "both"},
    ],
    ids=str,
)
def test_a_bad_value_is_told_in_one_line_with_its_field_and_itself(given: dict[str, Any]):
    ((name, value),) = given.items()
    message = refusal(**given)
    assert message.startswith((f"{name}: ", f"unknown value for {name} {value!r}: "))
    assert f"(given {value!r})" in message or message.startswith("unknown")


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ({"modality": "audi"}, "unknown value for modality 'audi': did you mean 'audio'?"),
        ({"precision": "half"}, "unknown value for precision 'half': valid: auto, bfloat16, float32"),
        ({"precision": "bfloat"}, "unknown value for precision 'bfloat': did you mean 'bfloat16'?"),
        ({"attention_distillation": "grad_cam"}, "'grad_cam': did you mean 'grad-cam'?"),
    ],
)
def test_a_wrong_word_is_told_with_the_nearest_one(given: dict[str, Any], near: str):
    assert near in refusal(**given)


@dataclass(frozen=True, config=STRICT)
class WithWidths(Settings):
    widths: tuple[int, ...] = (8,)
    names: tuple[str, ...] | None = None


def test_a_tuple_is_given_in_words_parted_by_commas():
    assert checked(WithWidths, {"widths": "4, 16", "names": "a,b"}) == WithWidths((4, 16), ("a", "b"))
    assert checked(WithWidths, {"widths": "4", "names": "none"}) == WithWidths((4,), None)
    assert checked(WithWidths, {"widths": ""}) == WithWidths(())
    assert checked(WithWidths, {"widths": [4, 16]}) == WithWidths((4, 16))
    with pytest.raises(InputError, match=r"widths: has to be a whole number"):
        checked(WithWidths, {"widths": "4,x"})


def test_classes_per_task_has_to_be_said_where_no_benchmark_and_no_file_says_it():
    with pytest.raises(InputError, match="--classes-per-task"):
        configure(find_method("lwf"), {}, {"cache": ""})
    assert configure(find_method("lwf"), {}, {"cache": "", "tasks": "tasks.csv"})[0].tasks == "tasks.csv"


# ------------------------------------------------------------------------------------------- --set and words


def test_assignments():
    given = parse_assignments(("lambda-class=.5", " epochs = 3 ", "cache=a=b", "class_similarity=equation7"))
    assert given == {"lambda_class": ".5", "epochs": "3", "cache": "a=b", "class_similarity": "equation7"}


@pytest.mark.parametrize("word", ["epochs", "=3", "", "epochs:3"])
def test_what_is_no_assignment(word: str):
    with pytest.raises(InputError) as error:
        parse_assignments((word,))
    assert str(error.value) == f"--set takes FIELD=VALUE, not '{word}'"


def test_none_is_nothing_where_nothing_is_the_default_and_a_word_elsewhere():
    given = parse_assignments(
        ("tasks=none", "class_order_seed=none", "residence_gigabytes=none", "attention_distillation=none")
    )
    config, settings = configured("av-cil", **given)
    assert (config.tasks, config.class_order_seed, config.residence_gigabytes) == (None, None, None)
    assert settings.attention_distillation == "none"
    with pytest.raises(InputError, match="--classes-per-task"):  # no tasks, so they have to be cut
        configure(find_method("av-cil"), {}, {"cache": ""} | parse_assignments(("tasks=none",)))
    assert refusal(**parse_assignments(("epochs=none",))).startswith("epochs: ")


def test_words_become_what_their_fields_are():
    given = parse_assignments(("herding_repeats=false", "learning_rate=1e-2", "class_order_seed=3", "seed=5"))
    config, settings = configured("icarl-fc", **given)
    assert settings.herding_repeats is False
    assert (config.learning_rate, config.class_order_seed, config.seed) == (0.01, 3, 5)


# --------------------------------------------------------------------------------------------- on disk, shown


@pytest.mark.parametrize("method", METHODS)
def test_a_configuration_survives_json(method: str):
    config, settings = configured(method, "ave", plugins=["a.py"], residence_gigabytes=0.5)
    plain = json.loads(json.dumps(as_plain(config, settings)))
    assert plain == as_plain(config, settings)
    given = {**plain, **plain["settings"]}
    del given["settings"], given["method"]
    assert configured(method, **given) == (config, settings)


def test_configurations_cannot_be_changed():
    for one in configured("av-cil"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("kind", [RunConfig, *dict.fromkeys(method.Settings for method in all_methods().values())])
def test_every_field_says_what_it_means(kind: type):
    found = described(kind)
    assert list(found) == list(room.names_of(kind))
    assert all(len(meaning) > 10 for _, meaning in found.values())
    if kind is not RunConfig:
        assert {name: default for name, (default, _) in found.items()} == dataclasses.asdict(checked(kind, {}))


def test_settings_that_would_be_ignored_are_refused():
    with pytest.raises(InputError, match="leave out --class-order-seed"):
        configure(find_method("lwf"), {}, {"cache": "", "tasks": "tasks.csv", "class_order_seed": 3})
    with pytest.raises(InputError, match="--plugin FILE"):
        parse_assignments(("plugins=mine.py",))
