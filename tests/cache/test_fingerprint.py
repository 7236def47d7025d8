import hashlib
from typing import Any

import pytest
from avcil.cache import Fingerprint

FACTS: dict[str, Any] = {
    "visual_encoder": {"name": "é", "layers": [1, 2], "random_weights": None},
    "recipe": {"sample_rate": 16000, "mean": -4.25},
    "storage": "float16",
}


def test_digest_is_the_hash_of_sorted_compact_utf8_json():
    by_hand = (
        '{"recipe":{"mean":-4.25,"sample_rate":16000},"storage":"float16",'
        '"visual_encoder":{"layers":[1,2],"name":"é","random_weights":null}}'
    )
    assert Fingerprint(FACTS).digest == hashlib.sha256(by_hand.encode("utf-8")).hexdigest()


def test_order_of_keys_and_tuples_make_no_difference():
    turned = {key: FACTS[key] for key in reversed(FACTS)}
    turned["visual_encoder"] = {"random_weights": None, "layers": (1, 2), "name": "é"}
    assert Fingerprint(turned) == Fingerprint(FACTS)
    assert Fingerprint(turned).digest == Fingerprint(FACTS).digest
    assert hash(Fingerprint(turned)) == hash(Fingerprint(FACTS))


@pytest.mark.parametrize(
    "changed",
    [
        {**FACTS, "storage": "int8"},
        {**FACTS, "recipe": {"sample_rate": 16000, "mean": -4.5}},
        {**FACTS, "recipe": {"sample_rate": 16000.5, "mean": -4.25}},
        {**FACTS, "more": 1},
        {**FACTS, "visual_encoder": {**FACTS["visual_encoder"], "random_weights": 0}},
    ],
)
def test_any_changed_fact_changes_the_digest(changed):
    assert Fingerprint(changed).digest != Fingerprint(FACTS).digest
    assert len(Fingerprint(changed).differences(Fingerprint(FACTS))) == 1


def test_differences_name_each_fact_and_both_values():
    other = Fingerprint({"recipe": {"sample_rate": 11430}, "storage": "float16", "extra": {"a": {"b": True}}})
    assert Fingerprint(FACTS).differences(other) == [
        "extra.a.b: nothing here, true there",
        "recipe.mean: -4.25 here, nothing there",
        "recipe.sample_rate: 16000 here, 11430 there",
        "visual_encoder.layers: [1, 2] here, nothing there",
        'visual_encoder.name: "é" here, nothing there',
        "visual_encoder.random_weights: null here, nothing there",
    ]
    assert Fingerprint(FACTS).differences(Fingerprint(FACTS)) == []


def test_one_line_names_the_most_telling_differences_first_and_cuts_hashes():
    here = Fingerprint({"audio_encoder": {"encoder": "x", **{f"fact{n}": n for n in range(9)}}, "storage": "int8"})
    there = Fingerprint({"audio_encoder": {"encoder": "a" * 64}, "storage": "float16"})
    assert here.difference(there) == (
        'storage: "int8" here, "float16" there; audio_encoder.encoder: "x" here, "aaaaaaaaaaaa…" there; '
        "audio_encoder.fact0: 0 here, nothing there; audio_encoder.fact1: 1 here, nothing there; and 7 more"
    )
    assert here.difference(here) == ""


@pytest.mark.parametrize(
    ("facts", "random"),
    [
        (FACTS, False),
        ({"audio_encoder": {"random_weights": 0}}, True),  # a seed of 0 is a seed
        ({"audio_encoder": {"random_weights": 17}}, True),
        ({"audio_encoder": {"random_weights": True}}, True),
        ({"audio_encoder": {"random_weights": False}}, False),
        ({"audio_encoder": {"weights_sha256": "random_weights"}}, False),
    ],
)
def test_random_weights_in_any_encoder_are_known(facts, random):
    assert Fingerprint(facts).random_weights is random


def test_facts_that_json_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        Fingerprint({"mean": float("nan")})
    with pytest.raises(TypeError):
        Fingerprint({"path": object()})
