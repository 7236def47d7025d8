"""docs/commands.md is what the commands say now."""

from avcil.docs import commands


def test_the_page_is_what_the_commands_say():
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), "write it anew: python docs/commands.py"


def test_every_program_and_every_subcommand_is_there():
    typed = [context.command_path for context in commands.contexts()]
    assert {"avcil-extract", "avcil-incr", "python -m avcil.demo", "python -m avcil.manifests"} <= set(typed)
    assert {"avcil-extract run", "avcil-extract import-released", "avcil-incr table", "avcil-incr run"} <= set(typed)
    assert {"avcil predict", "avcil incr run", "avcil extract", "avcil manifests list", "avcil demo"} <= set(typed)
    assert len(set(typed)) == len(typed)


def test_a_command_is_described_once():
    page = commands.page()
    assert "### avcil-incr run\n" in page
    assert "### avcil predict\n" in page
    assert "avcil incr run" not in page


def test_the_terminal_changes_nothing(monkeypatch):
    wide = commands.page()
    monkeypatch.setenv("COLUMNS", "40")
    assert commands.page() == wide
    assert max(len(line) for line in wide.splitlines()) > 90
