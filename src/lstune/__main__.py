"""`python -m lstune` is the `lstune` command."""

from lstune.cli.main import run

run()
