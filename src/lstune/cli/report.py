"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where to write it; into RUN if not given, - prints it."),
    ] = None,
    format: Annotated[str, typer.Option(help="html, md or json.")] = "html",
) -> None:
    """Make a run's report again, here or on another machine.

    Needs the run's folder and neither the data file nor a compiler.
    """
    from lstune.report import collect, render, write_report

    if out == "-":
        typer.echo(render(collect(run), format).rstrip("\n"))
    else:
        typer.echo(write_report(run, out, format))
