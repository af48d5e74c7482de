"""The entry point of the `lstune` command; what is slow to import waits until a command needs it."""

from __future__ import annotations

import errno
import io
import os
import sys
import time

__all__ = ["run"]

STARTED = time.monotonic()


def run() -> None:
    """Run the command line of this process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A letter of a column's name that the console does not know is no reason to lose the result.
        sys.stdout.reconfigure(errors="replace")
    try:
        _run()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # Whoever reads the output has gone, or the disk that it goes to is full: what waits is dropped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            print(f"Error: The output cannot be written. Received: {error.strerror}.", file=sys.stderr)
        sys.exit(1)


def _run() -> None:
    if sys.argv[1:] in (["--version"], ["-V"]):  # answered without the half second that typer and rich take
        from lstune._version import __version__

        print(f"lstune {__version__}", flush=True)
        return
    if sys.argv[1:2] == ["help"]:  # lstune help tune
        sys.argv[1:] = [*sys.argv[2:], "--help"]
    try:
        from lstune.cli.app import app
    except KeyboardInterrupt:  # later ones are the commands' own matter
        print("Aborted.", file=sys.stderr)
        sys.exit(130)
    app(prog_name="lstune")
