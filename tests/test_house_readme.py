"""The README's examples run, and its commands and files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
TEXTS = {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")}


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of every `lstune ...` command in shell blocks and between backquotes."""
    lines = [
        line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()
    ]
    lines += re.findall(r"`([^`\n]+)`", text)
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part) for part in parts if part.startswith("lstune ")]


def test_the_two_commands_are_the_only_shell_blocks():
    shell = [block.strip() for block in blocks("sh")]
    assert shell == ["pip install . && lstune tune amzn --budget 60s", "pip install '.[test]' && pytest"]


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_and_option_exists(name):
    import typer.main

    from lstune.cli.app import app

    group = typer.main.get_command(app)
    seen = 0
    for words in commands(TEXTS[name]):
        if words[1].startswith("-"):
            continue
        command = group.commands.get(words[1])
        assert command is not None, f"{name} tells of `{' '.join(words)}`, which is no command"
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words[2:]:
            if word.startswith("--"):
                assert word in known, f"{name}: {words[1]} has no option {word}"
        seen += 1
    assert seen or name != "README.md"


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_is_named_exists(name):
    paths = re.findall(r"\]\((?!http)([^)#]+)\)", TEXTS[name])
    paths += re.findall(r"`((?:benchmarks|tests|tools|docs|examples|\.ci)/[\w/.]+)`", TEXTS[name])
    rooms = re.findall(
        r"`((?:series|engine|search|evaluation|tuning|datasets|report|kt|cli)/[\w/.]*)`", TEXTS[name]
    )
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), f"{name} names {path}, which does not exist"
    for path in rooms:
        assert (ROOT / "src" / "lstune" / path).exists(), f"{name} names {path}, which does not exist"


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    """As it is written, with less time to search."""
    (example,) = blocks("python")
    code = example.replace('budget="60s"', 'budget="6s"')
    assert code != example
    assert len(example.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    run = names["run"]
    assert run.verdict in capsys.readouterr().out
    assert len(run.predict(steps=14)) == 14
    assert run.path.is_dir()
    assert tmp_path in run.path.resolve().parents
