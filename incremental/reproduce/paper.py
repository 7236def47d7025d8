"""The tables of "Audio-Visual Class-Incremental Learning" (Pian et al., ICCV 2023): rows, and their published figures.

A row is what `configure` has to be given besides data set and features. Tables 1 and 2 are every method on both
modalities and on one; their figures belong to a data set and stand in its TOML file. The figures of Tables 3 to 8 are
here, Mean Accuracy in percent by data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...manifests import published_figures, published_names


@dataclass(frozen=True)
class PaperRow:
    """One line of a table, or one cell of a table of weights."""

    name: str
    """As the paper calls it."""
    given: Mapping[str, Any]
    """The settings in which it differs from the data set's presets; `method` is among them."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Published Mean Accuracy by data set, in percent."""
    forgetting: Mapping[str, float] = field(default_factory=dict)
    """Published Average Forgetting by data set, in percent; Table 1 alone has it."""
    contested: Mapping[str, str] = field(default_factory=dict)
    """By data set, what else the paper prints for this row, in words; only where it disagrees with itself."""


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper."""

    number: int
    title: str
    rows: tuple[PaperRow, ...]


METHODS = {
    "Fine-tuning": "fine-tuning",
    "LwF": "lwf",
    "iCaRL-NME": "icarl-nme",
    "iCaRL-FC": "icarl-fc",
    "SS-IL": "ss-il",
    "AFC-NME": "afc-nme",
    "AFC-LSC": "afc-lsc",
    "AV-CIL": "av-cil",
    "Oracle": "oracle",
}
"""What the paper calls each method, in its order, and what --method does."""


CONTESTED = {
    ("icarl-fc", "kinetics-sounds"): "the paper prints both 65.05 and 65.54",
    **dict.fromkeys(
        (("icarl-nme", "vggsound100"), ("afc-nme", "vggsound100"), ("afc-lsc", "vggsound100")),
        "the paper's Tables 1 and 2 print different figures, of which this is Table 1's",
    ),
}
"""Where the paper disagrees with itself on a Mean Accuracy with both modalities, by method and data set."""


def published_in_table_1_or_2(method: str, modality: str, place: int = 0) -> dict[str, float]:
    """Mean Accuracy of a method by data set, as the data sets' files have it; `place` 1: Average Forgetting."""
    found = {}
    for name in published_names():
        figures = published_figures(name).get(method, {}).get(modality, ())
        if len(figures) > place:
            found[name] = figures[place]
    return found


def _methods(title: str, *modalities: str) -> tuple[PaperRow, ...]:
    return tuple(
        PaperRow(
            title.format(name=name, modality=modality),
            {"method": method} | ({} if modality == "audio-visual" else {"modality": modality}),
            published_in_table_1_or_2(method, modality),
            published_in_table_1_or_2(method, modality, place=1),
            {name: words for (of, name), words in CONTESTED.items() if (of, "audio-visual") == (method, modality)},
        )
        for modality in modalities
        for name, method in METHODS.items()
        if modality == "audio-visual" or method != "av-cil"
    )


def _av_cil(name: str, figures: Mapping[str, float], **settings: Any) -> PaperRow:
    return PaperRow(name, {"method": "av-cil", **settings}, figures)


def _parts() -> tuple[PaperRow, ...]:
    """Table 3: I-AVSS, C-AVSS and VAD on or off."""
    figures = {
        "none": 62.15,
        "I": 68.38,
        "C": 63.81,
        "VAD": 63.49,
        "I + C": 69.01,
        "I + VAD": 72.35,
        "C + VAD": 63.95,
        "I + C + VAD": 74.04,
    }
    off: dict[str, dict[str, Any]] = {
        "I": {"lambda_instance": 0.0},
        "C": {"lambda_class": 0.0},
        "VAD": {"attention_distillation": "none"},
    }
    rows = []
    for name, figure in figures.items():
        settings: dict[str, Any] = {}
        for part in off.keys() - set(name.split(" + ")):
            settings |= off[part]
        rows.append(_av_cil(name, {"ave": figure}, **dict(sorted(settings.items()))))
    return tuple(rows)


def _weights(dataset: str, figures: Mapping[tuple[float, float], float]) -> tuple[PaperRow, ...]:
    """Tables 4 to 6: weights of the two similarity constraints."""
    return tuple(
        _av_cil(f"lambda_I = {i:g}, lambda_C = {c:g}", {dataset: figure}, lambda_instance=i, lambda_class=c)
        for (i, c), figure in figures.items()
    )


def _other_tasks() -> tuple[PaperRow, ...]:
    """Table 7: AVE in 4 classes x 7 tasks, Kinetics-Sounds in 5 x 6."""
    figures = {
        "ave": (37.54, 50.25, 60.02, 65.50, 65.29, 68.61, 61.93, 71.76, 78.23),
        "kinetics-sounds": (37.45, 63.10, 63.29, 65.13, 68.38, 67.74, 65.86, 73.24, 80.50),
    }
    classes = {"ave": 4, "kinetics-sounds": 5}
    return tuple(
        PaperRow(
            f"{name}, {classes[dataset]} classes a task",
            {"method": method, "classes_per_task": classes[dataset]},
            {dataset: figures[dataset][place]},
        )
        for dataset in figures
        for place, (name, method) in enumerate(METHODS.items())
    )


TABLES: dict[int, PaperTable] = {
    table.number: table
    for table in (
        PaperTable(1, "Methods, audio-visual", _methods("{name}", "audio-visual")),
        PaperTable(2, "Methods, one modality", _methods("{name}, {modality}", "audio", "visual")),
        PaperTable(3, "Parts of AV-CIL", _parts()),
        PaperTable(
            4,
            "Weights of the similarity constraints, AVE",
            _weights(
                "ave",
                {
                    (0.1, 1): 71.82,
                    (0.3, 1): 73.63,
                    (0.5, 1): 74.04,
                    (0.8, 1): 72.85,
                    (1, 1): 72.37,
                    (0.5, 0.8): 73.82,
                    (0.5, 0.5): 72.07,
                    (0.5, 0.3): 73.56,
                    (0.5, 0.1): 72.57,
                },
            ),
        ),
        PaperTable(
            5,
            "Weights of the similarity constraints, Kinetics-Sounds",
            _weights(
                "kinetics-sounds",
                {
                    (0.1, 1): 73.06,
                    (0.3, 1): 71.12,
                    (0.5, 1): 70.40,
                    (0.8, 1): 68.30,
                    (1, 1): 68.84,
                    (0.1, 0.8): 72.77,
                    (0.1, 0.5): 72.24,
                    (0.1, 0.3): 72.54,
                    (0.1, 0.1): 72.07,
                },
            ),
        ),
        PaperTable(
            6,
            "Weights of the similarity constraints, VGGSound100",
            _weights(
                "vggsound100",
                {
                    (0.1, 1): 72.80,
                    (0.3, 1): 71.10,
                    (0.5, 1): 70.00,
                    (0.8, 1): 69.24,
                    (1, 1): 68.87,
                    (0.1, 0.8): 72.73,
                    (0.1, 0.5): 72.62,
                    (0.1, 0.3): 72.37,
                    (0.1, 0.1): 72.25,
                },
            ),
        ),
        PaperTable(7, "Other numbers of tasks", _other_tasks()),
        PaperTable(
            8,
            "What is distilled of the teacher's gaze",
            (
                _av_cil("D-AVSC only", {"ave": 69.01}, attention_distillation="none"),
                _av_cil("Grad-CAM distillation", {"ave": 70.82}, attention_distillation="grad-cam"),
                _av_cil("VAD", {"ave": 74.04}),
            ),
        ),
    )
}
"""Every table by its number."""
