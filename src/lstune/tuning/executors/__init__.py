"""Where trials run. To add an executor: a file here and one line in `EXECUTORS`."""

from lstune.tuning.executors.base import Board, Execute, Outcome
from lstune.tuning.executors.threads import run_threads

__all__ = ["EXECUTORS", "Board", "Execute", "Outcome"]

EXECUTORS: dict[str, Execute] = {
    "threads": run_threads,
}
