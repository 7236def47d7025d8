"""Names of encoders become files: directories, single files, the Hub's cache, the Hub."""

import json
import logging
import threading

import huggingface_hub
import pytest
from avcil.errors import InputError
from avcil.extract.encoders import source
from avcil.extract.encoders.source import find_source
from huggingface_hub.errors import LocalEntryNotFoundError

PUBLISHED = {"owner/model": {"model_type": "videomae"}}


def find(name, random_weights=False):
    return find_source(str(name), PUBLISHED, random_weights=random_weights)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/dir", "nowhere", "owner/model.pth", "a/b/c", "../x"])
def test_what_is_neither_here_nor_a_hub_id_is_refused(name):
    with pytest.raises(InputError, match="no such file or directory"):
        find(name)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="is no file of weights"):
        find(tmp_path / "notes.txt")


@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_a_configuration_that_is_no_json_object_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json (cannot be read as JSON|must hold a JSON object)"):
        _ = find(tmp_path).kind


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_type": "videomae"}, "videomae"),
        ({"architecture": "vit_base_patch16_224"}, "timm"),
        ({"hello": 1}, "unknown"),
        (None, "weights"),
    ],
)
def test_the_configuration_tells_the_kind(tmp_path, config, kind):
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert find(tmp_path).kind == kind


def test_weights_are_found_by_their_usual_names(tmp_path):
    with pytest.raises(InputError, match="holds no weights"):
        find(tmp_path).weights()
    (tmp_path / "pretrained.pth").touch()
    assert find(tmp_path).weights() == (tmp_path / "pretrained.pth",)
    (tmp_path / "pytorch_model.bin").touch()
    assert find(tmp_path).weights() == (tmp_path / "pytorch_model.bin",)
    (tmp_path / "model.safetensors").touch()
    assert find(tmp_path).weights() == (tmp_path / "model.safetensors",)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, "has no 'weight_map'"),
        ({"weight_map": {"a": "absent.safetensors"}}, "names 'absent.safetensors', which is not there"),
        ({"weight_map": {"a": "../outside.safetensors"}}, "names '../outside.safetensors', which is not there"),
    ],
)
def test_an_index_of_shards_must_name_files_beside_it(tmp_path, index, message):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.safetensors").touch()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=message):
        find(folder).weights()


def test_random_weights_of_a_published_model_need_no_file():
    source = find("owner/model", random_weights=True)
    assert source.kind == "videomae"
    assert source.processor is None


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """A Hub cache that holds one repository with pytorch_model.bin, and no network."""
    repository = tmp_path / "hub" / "models--owner--model"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "videomae"}))
    (snapshot / "preprocessor_config.json").write_text("{}")
    (snapshot / "pytorch_model.bin").touch()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_a_repository_in_the_hub_cache_needs_no_network(hub_cache):
    source = find("owner/model")
    assert source.kind == "videomae"
    assert source.processor == {}
    assert source.weights() == (hub_cache / "pytorch_model.bin",)


def test_without_network_one_line_says_what_to_fetch_and_where_to_put_it(hub_cache):
    with pytest.raises(InputError) as refusal:
        _ = find("another/model").config
    message = str(refusal.value)
    assert message.startswith("'another/model' is not on this machine and the Hub cannot be reached")
    assert "hf download another/model --local-dir model" in message
    assert "\n" not in message


def test_the_hubs_own_complaints_stay_quiet(hub_cache, monkeypatch):
    logger = logging.getLogger("huggingface_hub.utils._http")
    said = []

    def fails(repository, name):
        logger.warning("Retrying in 1s [Retry 1/5].")
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fails)
    monkeypatch.setattr(logging.Logger, "callHandlers", lambda self, record: said.append(record.getMessage()))
    with pytest.raises(InputError, match="cannot be reached"):
        _ = find("another/model").config
    assert said == []
    logger.warning("Heard.")
    assert said == ["Heard."]  # only that moment was quiet


@pytest.mark.parametrize("answers", ["never", "with an error"])
def test_a_hub_out_of_reach_is_told_at_once_and_not_waited_for(hub_cache, monkeypatch, capsys, answers):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(source, "HUB_SECONDS", 0.05)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("five slow attempts"))
    for cached in (source._hub_answers, source._announce):
        cached.cache_clear()
    held = threading.Event()

    class Session:
        def head(self, endpoint, timeout):
            if answers == "never":
                held.wait(20)
            raise ConnectionError("no route")

    monkeypatch.setattr(source, "get_session", Session)
    with pytest.raises(InputError, match="the Hub cannot be reached"):
        _ = find("another/model").config
    held.set()
    assert capsys.readouterr().err == "asking the Hub for 'another/model'\n"
    source._hub_answers.cache_clear()
