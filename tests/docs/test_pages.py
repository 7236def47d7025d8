"""The site's pages: found, not listed; and every public name has something to say."""

import ast
import importlib
import inspect
import itertools
import json
import re
from pathlib import Path

import avcil
import pytest
from avcil.docs import pages

WITH_PUBLIC_NAMES = {name: folder for name, folder in pages.packages() if pages.public_names(folder)}


def make_package(folder: Path, init: str, *modules: str) -> None:
    folder.mkdir()
    (folder / "__init__.py").write_text(init)
    for module in modules:
        (folder / f"{module}.py").touch()


def test_packages_are_found_inside_packages(tmp_path):
    make_package(tmp_path / "top", "", "module", "setup")
    make_package(tmp_path / "top" / "inner", "")
    make_package(tmp_path / "top" / "inner" / "most", "")
    (tmp_path / "top" / "no_package").mkdir()
    found = dict(pages.packages(tmp_path / "top", "top"))
    assert list(found) == ["top", "top.inner", "top.inner.most"]
    assert found["top.inner.most"] == tmp_path / "top" / "inner" / "most"
    assert pages.modules(tmp_path / "top") == ["module"]


def test_the_packages_of_avcil_are_found():
    found = dict(pages.packages())
    assert {"avcil.cache", "avcil.manifests", "avcil.incremental.methods", "avcil.extract.encoders"} <= set(found)
    assert not [name for name in found if name.startswith(("avcil.tests", "avcil.build", "avcil.docs"))]


def test_a_package_shows_its_public_names_or_all_its_modules(tmp_path):
    make_package(tmp_path / "chosen", '__all__ = ["one", "Two"]\n', "hidden")
    make_package(tmp_path / "whole", '"""Nothing chosen."""\n', "b", "a")
    assert "members: ['one', 'Two']" in pages.reference("chosen", tmp_path / "chosen")
    assert "hidden" not in pages.reference("chosen", tmp_path / "chosen")
    shown = [line for line in pages.reference("whole", tmp_path / "whole").splitlines() if line.startswith(":::")]
    assert shown == ["::: whole", "::: whole.a", "::: whole.b"]


def test_links_of_the_readme_lead_to_pages():
    text = pages.of_the_root("README.md")
    assert "](methods.md)" in text
    assert "](docs/" not in text


def test_links_to_texts_of_the_root_lead_to_their_pages():
    def moved(text: str) -> str:
        return pages.on_page_markdown(text, None, None, None)

    assert moved("[a](../README.md#x) [b](methods.md)") == "[a](index.md#x) [b](methods.md)"
    assert moved("[c](../../CONTRIBUTING.md)") == "[c](../contributing.md)"


@pytest.mark.parametrize("package", WITH_PUBLIC_NAMES)
def test_every_public_name_exists_and_is_described(package: str):
    """A class or function by a docstring of its own, a constant by one under it in the file where it is made."""
    module = importlib.import_module(package)
    for name in pages.public_names(WITH_PUBLIC_NAMES[package]):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            words = value.__doc__ or ""
            assert words.strip(), f"{package}.{name} has no docstring"
            assert not words.startswith(f"{name}("), f"{package}.{name} has only the docstring that a dataclass makes"
        else:
            assert is_described(WITH_PUBLIC_NAMES[package], name), f"{package}.{name} has no docstring under it"


def is_described(folder: Path, name: str) -> bool:
    """Whether a file of a package has `name = ...` with a docstring on the next line."""
    for path in folder.rglob("*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for statement, after in itertools.pairwise(body):
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    return False


def test_the_list_of_decisions_is_complete_and_has_their_titles():
    listed = re.findall(r"- \[(.+)\]\((.+)\)", (pages.ROOT / "docs/decisions/index.md").read_text(encoding="utf-8"))
    titles = {
        page: (pages.ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        for page in pages.decisions()
    }
    assert [(title, f"decisions/{page}") for title, page in listed] == [(titles[page], page) for page in titles]


def test_the_citation_is_of_this_version():
    assert f"version: {avcil.__version__}\n" in (pages.ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_a_notebook_is_a_page_of_its_text_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "words"]},
        {"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": [{"text": "1"}]},
    ]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "one.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    assert pages.notebooks() == ["one.ipynb"]
    assert pages.of_notebook("one.ipynb") == (
        "# Title\n\nwords\n\n```python\na = 1\na\n```\n\n[The notebook itself](one.ipynb)\n"
    )
    assert pages.on_page_markdown("[a](one.ipynb)", None, None, None) == "[a](one.md)"
