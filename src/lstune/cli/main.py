"""The entry point of the `lstune` command; what is slow to import waits until a command needs it."""

from __future__ import annotations

import sys
import time

__all__ = ["run"]

STARTED = time.monotonic()


def run() -> None:
    """Run the command line of this process."""
    if sys.argv[1:] in (["--version"], ["-V"]):  # answered without the half second that typer and rich take
        from lstune._version import __version__

        print(f"lstune {__version__}")
        return
    try:
        from lstune.cli.app import app
    except KeyboardInterrupt:  # later ones are the commands' own matter
        print("Aborted.", file=sys.stderr)
        sys.exit(130)
    app(prog_name="lstune")
