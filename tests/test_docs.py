"""The documentation: current, complete, and its examples run."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
# The notebook from Keras Tuner has a page and a test of its own.
TUTORIALS = [ROOT / "examples" / f"{page.stem}.py" for page in PAGES if page.parent.name == "tutorials"]
# Enough to run through every line of an example, and no more.
QUICK = (
    "trials=2, space={'units': 4, 'layers': 1, 'epochs': 2, 'lookback': 24, 'transform': 'difference', "
    "'supervision': 'every', 'stride': 'lookback/2', 'batch_size': 32}"
)


@pytest.mark.parametrize("page", ["cli", "python"])
def test_generated_pages_are_current(page):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"make_{page}_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\nRun: python tools/make_{page}_docs.py"


def test_every_command_and_option_is_documented():
    import typer.main

    from lstune.cli.app import app

    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():
        part = text.split(f"## lstune {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help":
                    assert f"`{option}`" in part, f"docs/cli.md lacks {name} {option}"


def commands(text: str) -> list[list[str]]:
    lines = [
        line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()
    ]
    lines += re.findall(r"`(lstune [^`\n]+)`", text)
    return [shlex.split(line, comments=True) for line in lines if line.startswith("lstune ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_that_pages_tell_of_exist(page):
    import typer.main

    from lstune.cli.app import app

    group = typer.main.get_command(app)
    for words in commands(page.read_text(encoding="utf-8")):
        if words[1].startswith("-"):
            continue
        assert words[1] in group.commands, f"{page.name} tells of `{' '.join(words)}`"
        known = {o for p in group.commands[words[1]].params for o in (*p.opts, *p.secondary_opts)}
        for word in words[2:]:
            if word.startswith("--"):
                assert word in known, f"{page.name}: {words[1]} has no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_files_exist(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    for path in re.findall(r"`((?:benchmarks|tests|tools|examples|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"
    for name in re.findall(r'^--8<-- "([\w.]+):', text, re.M):
        assert (ROOT / "examples" / name).exists(), f"{page.name} includes {name}"


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r": ([\w/-]+\.md)$", menu, re.M)
    assert sorted(listed) == [page.relative_to(ROOT / "docs").as_posix() for page in PAGES]


def test_every_hyperparameter_is_explained():
    from lstune.tuning.settings import HYPERPARAMETERS

    text = (ROOT / "docs" / "hyperparameters.md").read_text(encoding="utf-8")
    for name in HYPERPARAMETERS:
        assert f"`{name}`" in text, f"docs/hyperparameters.md lacks {name}"


def test_the_space_that_is_searched_by_itself_is_told():
    from lstune.search import Choice, Fixed
    from lstune.tuning.defaults import Nature, default_space

    text = (ROOT / "docs" / "hyperparameters.md").read_text(encoding="utf-8")
    part = text.split("## What lstune tries by itself")[1].split("\n## ")[0]
    space = default_space(Nature(1000, season=7, positive=True))
    for name, param in space.items():
        if isinstance(param, Fixed):
            shown = f"`{param.value}`" if isinstance(param.value, str) else f"{param.value:g}"
            assert f"`{name}` {shown}" in part
            continue
        row = part.split(f"| `{name}` |")[1].split("\n")[0]
        values = param.options if isinstance(param, Choice) else [param.low, param.high]
        for value in values if name != "lookback" else [8, 128]:
            assert f"{value:g}" in row if isinstance(value, float) else str(value) in row, f"{name}: {value}"


def test_every_option_of_reading_is_explained():
    from lstune.series import READ_OPTIONS

    text = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    for name in READ_OPTIONS:
        assert f"| `{name}` |" in text, f"docs/reading.md lacks {name}"


def test_every_method_is_explained():
    from lstune.search import METHODS, SCHEDULERS

    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    for name in (*METHODS, *SCHEDULERS):
        assert f"`{name}`" in text, f"docs/methods.md lacks {name}"


@pytest.mark.parametrize("example", TUTORIALS, ids=lambda path: path.stem)
def test_examples_run(example, tmp_path, monkeypatch, capsys):
    code = example.read_text(encoding="utf-8")
    quick = re.sub(r"space=\{.*\},\n", "", code)
    quick = quick.replace('budget="60s"', QUICK)
    assert quick != code
    path = tmp_path / example.name
    path.write_text(quick, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(path))
    assert names["run"].verdict in capsys.readouterr().out
    assert (names["run"].path / "report.html").exists()


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import mkdocs, material"], capture_output=True).returncode != 0,
    reason="needs the extra docs",
)
def test_the_site_can_be_built(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "cli" / "index.html").exists()


@pytest.mark.parametrize("example", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_show_all_of_their_script(example):
    page = (ROOT / "docs" / "tutorials" / f"{example.stem}.md").read_text(encoding="utf-8")
    parts = re.findall(r"\[start:(\w+)\]", example.read_text(encoding="utf-8"))
    assert re.findall(rf'^--8<-- "{example.name}:(\w+)"', page, re.M) == parts
    assert page.count("```text") >= 2, "run tools/run_tutorials.py"
