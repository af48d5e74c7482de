"""Write docs/cli.md from the commands themselves.

python tools/make_cli_docs.py            # write
python tools/make_cli_docs.py --check    # fail if the page is not current
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _pages import write_or_check

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEAD = """# Commands

Progress and errors go to stderr, results to stdout. A mistake that you can mend ends with exit code 2, a
search without any usable result with 1. Ctrl-C ends a search, and the run finishes with what was found; a
second one aborts with 130, as any does elsewhere. `--help` behind a command prints what stands here.
"""


def make() -> str:
    """The page."""
    import typer.main

    from lstune.cli.app import app

    group: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name, command in group.commands.items():
        context = command.make_context(name, ["x"] * _needed(command), resilient_parsing=True)
        context.info_name = f"lstune {name}"
        usage = " ".join(part for part in command.collect_usage_pieces(context) if part)
        parts.append(f"## lstune {name}\n\n{_text(command.help)}\n\n```\nlstune {name} {usage}\n```\n")
        rows = [row for row in map(_row, command.params) if row is not None]
        if rows:
            parts.append("| name | meaning |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _needed(command: Any) -> int:
    return sum(param.param_type_name == "argument" for param in command.params)


def _text(help: str | None) -> str:
    """Paragraphs without the line breaks of the source."""
    return "\n\n".join(" ".join(part.split()) for part in (help or "").split("\n\n"))


def _row(param: Any) -> str | None:
    """One argument or option as a row: its spelling, help, and value where none is given."""
    text = " ".join((getattr(param, "help", None) or "").split()).replace("|", "\\|")
    if param.param_type_name == "argument":
        return f"| `{param.metavar or str(param.name).upper()}` | {text} |"
    if param.name == "help":
        return None
    names = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    default = param.default
    if not param.is_flag and default not in (None, "", []):
        text += f" Without it: `{default}`."
    if param.is_flag and param.secondary_opts:
        text += f" Without it: `{(param.opts if default else param.secondary_opts)[0]}`."
    return f"| {names} | {text} |"


if __name__ == "__main__":
    write_or_check(PAGE, make())
