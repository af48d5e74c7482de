"""The command `dashboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lstune.cli.options import Storage

__all__ = ["dashboard"]


def dashboard(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, finished or under way.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any that is free.")] = 8080,
    storage: Storage = None,
) -> None:
    """Show a run's study in a browser, by optuna-dashboard.

    Serves until Ctrl-C. Needs the extra: pip install 'lstune[dashboard]'.
    """
    from lstune.tuning.dashboard import dashboard as serve

    serve(
        run,
        host=host,
        port=port,
        storage=storage,
        ready=lambda address: typer.echo(f"Open {address} (Ctrl-C ends it)", err=True),
    )
