"""Trials on threads of this process: the engine's kernels run without the GIL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from lstune.errors import StorageError
from lstune.tuning.executors.base import Board, Outcome
from lstune.tuning.folder import BROKEN_DISK

__all__ = ["run_threads"]

_TICK = 0.1  # seconds between two looks at the clock
_POLL = 0.5  # seconds between two questions whether other processes have left something to do


class _Pool:
    """State shared by the workers; `lock` guards the board and everything here."""

    def __init__(self, board: Board, run: Callable[[Any, Callable[[int, float], bool]], Outcome]) -> None:
        self.board = board
        self.run = run
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.running = 0
        self.stopping = False
        self.error: BaseException | None = None

    def work(self) -> None:
        try:
            while (job := self._take()) is not None:
                self._do(job)
        except BaseException as error:  # a fault of the board itself must reach the caller's thread
            with self.changed:
                self.error = self.error or error
                self.stopping = True
                self.changed.notify_all()

    def _take(self) -> Any | None:
        with self.changed:
            while not self.stopping:
                job = self.board.ask()
                if job is not None:
                    self.running += 1
                    return job
                # Nothing now: another trial's result may free a promotion. Without running trials it cannot.
                elsewhere = self.board.elsewhere
                if self.board.exhausted or (self.running == 0 and not elsewhere):
                    self.changed.notify_all()
                    return None
                self.changed.wait(_POLL if elsewhere else None)
        return None

    def _do(self, job: Any) -> None:
        def report(epoch: int, value: float) -> bool:
            with self.lock:
                return self.board.report(job, epoch, value)

        started = time.monotonic()
        outcome: Outcome | None = None
        try:
            outcome = self.run(job, report)
        except StorageError:
            raise
        except Exception as error:  # one bad trial never ends the study; a broken disk does
            if isinstance(error, OSError) and error.errno in BROKEN_DISK:
                raise
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            outcome = Outcome("failed", None, 0, text, time.monotonic() - started)
        finally:
            with self.changed:
                self.running -= 1
                if outcome is not None:
                    self.board.tell(job, outcome)
                self.changed.notify_all()


def run_threads(
    board: Board,
    run: Callable[[Any, Callable[[int, float], bool]], Outcome],
    *,
    workers: int,
    should_stop: Callable[[], bool],
    halt: Callable[[], None],
    tick: Callable[[], None],
) -> bool:
    """Run jobs on `workers` threads; see `Execute`.

    The first Ctrl-C ends the search and returns True; a second one, while jobs are ending, is raised.
    """
    pool = _Pool(board, run)
    threads = [
        threading.Thread(target=pool.work, name=f"lstune-{index}", daemon=True) for index in range(workers)
    ]
    for thread in threads:
        thread.start()
    interrupted = False

    def finish() -> None:
        halt()
        with pool.changed:
            pool.stopping = True
            pool.changed.notify_all()

    try:
        while any(thread.is_alive() for thread in threads):
            _join_one(threads)
            tick()
            if pool.error is not None or (should_stop() and not pool.stopping):
                finish()
    except KeyboardInterrupt:
        interrupted = True
        finish()
    except BaseException:
        finish()
        raise
    for thread in threads:
        thread.join()
    if pool.error is not None:
        raise pool.error
    return interrupted


def _join_one(threads: list[threading.Thread]) -> None:
    for thread in threads:
        if thread.is_alive():
            thread.join(_TICK)
            return
