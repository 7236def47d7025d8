"""Pages that are made while the site is built; MkDocs calls `on_config`, `on_files` and `on_page_markdown`.

The front page is README.md, so that nothing is said twice; other texts of the repository's root become pages too;
every package of avcil has a page with its public names and their docstrings, found and not listed; a notebook has a
page with its text and its code.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES_OF_THE_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Texts of the repository's root -> pages of the site."""
NO_MODULES = ("__init__", "__main__", "setup")


def packages(folder: Path = ROOT, name: str = "avcil") -> Iterator[tuple[str, Path]]:
    """Name and folder of the package `name` and of all packages inside it, in alphabetical order."""
    yield name, folder
    for child in sorted(folder.glob("*/__init__.py")):
        yield from packages(child.parent, f"{name}.{child.parent.name}")


def modules(folder: Path) -> list[str]:
    """Names of the modules that lie in a package's folder."""
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in NO_MODULES)


def public_names(folder: Path) -> list[str]:
    """A package's `__all__`, read without importing it; empty where it has none."""
    for node in ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def reference(name: str, folder: Path) -> str:
    """The page of a package: its `__all__` where it has one, else all of its modules."""
    names = public_names(folder)
    lines = [f"# {name}", "", f"::: {name}", "    options:", "      show_root_heading: false"]
    if names:
        return "\n".join([*lines, f"      members: {names}", ""])
    for module in modules(folder):
        lines += ["", f"## {name}.{module}", "", f"::: {name}.{module}", "    options:"]
        lines += ["      show_root_heading: false"]
    return "\n".join([*lines, ""])


def decisions() -> list[str]:
    """The pages of decisions, by number."""
    return sorted(f"decisions/{path.name}" for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def of_the_root(source: str) -> str:
    """A text of the repository's root whose links lead to the site's pages."""
    text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
    for name, page in PAGES_OF_THE_ROOT.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text


def notebooks() -> list[str]:
    """The notebooks in docs/."""
    return sorted(path.name for path in (ROOT / "docs").glob("*.ipynb"))


def of_notebook(name: str) -> str:
    """A notebook as a page: its text, and its code in blocks. No output is kept in it, so none is shown."""
    cells = json.loads((ROOT / "docs" / name).read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
    return "\n\n".join([*parts, f"[The notebook itself]({name})"]) + "\n"


def on_config(config: Any) -> Any:
    """Add what is found to the navigation."""
    inside = next(entry["Inside"] for entry in config.nav if "Inside" in entry)
    inside.insert(1, {"Decisions": ["decisions/index.md", *decisions()]})
    config.nav.append({"API": [{name: f"reference/{name}.md"} for name, _ in packages()]})
    config.watch += [str(ROOT / source) for source in PAGES_OF_THE_ROOT]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are no files in docs/."""
    from mkdocs.structure.files import File

    made = {page: of_the_root(source) for source, page in PAGES_OF_THE_ROOT.items()}
    made |= {f"reference/{name}.md": reference(name, folder) for name, folder in packages()}
    made |= {str(Path(name).with_suffix(".md")): of_notebook(name) for name in notebooks()}
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links to texts of the repository's root (`../README.md`) and to notebooks lead to their pages."""
    for name in notebooks():
        if page is None or page.file.src_uri != str(Path(name).with_suffix(".md")):
            markdown = markdown.replace(f"]({name})", f"]({Path(name).with_suffix('.md')})")
    for name, target in PAGES_OF_THE_ROOT.items():
        markdown = re.sub(rf"\]\(((?:\.\./)*)\.\./{re.escape(name)}", rf"](\g<1>{target}", markdown)
    return markdown
