"""The worker's side of `isolation`: builds and trains one trial after another until its pipe is closed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import signal
import sys
import time
import traceback
from types import SimpleNamespace
from typing import IO, Any

from lstune.engine.state import StopFlag
from lstune.kt.isolation import receive, resident_mib, send

__all__ = ["serve"]


class _Relay(io.TextIOBase):
    """Stands for sys.stdout: what is printed appears where the search runs, in a notebook too."""

    encoding = "utf-8"

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        send(self._pipe, pickle.dumps(("text", text)))
        return len(text)


def serve() -> None:
    """Answer jobs from standard input on standard output, which nothing else may write to."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = _Relay(answers)
    # Ctrl-C is for the search, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The search itself says why Keras trains.
    logging.getLogger("lstune.kt").addHandler(logging.NullHandler())
    logging.getLogger("lstune.kt").propagate = False
    first = True
    while (job := receive(jobs)) is not None:
        answer = pickle.dumps(_answer(job, first))
        first = False
        with contextlib.suppress(BrokenPipeError):
            send(answers, answer)


def _answer(job: bytes, first: bool) -> tuple[str, dict[str, Any]]:
    try:
        return "done", {**_run(pickle.loads(job), first), "mib": resident_mib()}
    except BaseException as error:
        return "failed", {
            "error": _pickled(error),
            "message": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
            "mib": resident_mib(),
        }


def _pickled(error: BaseException) -> bytes:
    """The error, or nothing where it does not survive; the search then takes its message."""
    import cloudpickle

    with contextlib.suppress(Exception):
        packed = bytes(cloudpickle.dumps(error))
        pickle.loads(packed)
        return packed
    return b""


def _run(job: dict[str, Any], first: bool) -> dict[str, Any]:
    import keras

    from lstune.kt.engine_trial import EngineTrial
    from lstune.kt.keras_settings import KerasSettings

    tuner, trial = job["tuner"], job["trial"]
    keras.config.set_floatx(job["floatx"])
    KerasSettings(job["policy"], job["interactive_logging"]).apply()
    tuner.deadline = None if job["seconds"] is None else time.monotonic() + job["seconds"]
    tuner.stop_flag, tuner._failure, tuner._isolation = StopFlag(), None, None
    tuner._keras_settings = None
    tuner._keras_was_used = not first
    keeper = EngineTrial(tuner, trial)
    keeper.begin(job["execution"])
    keeper.best = job["best"]
    # This process' own random numbers would be others in every run.
    keras.utils.set_random_seed(keeper.seed_of(trial))
    results = tuner._train_here(trial, keeper, job["call"])
    return {
        "results": _plain(results),
        "best": keeper.best,
        "hyperparameters": trial.hyperparameters,
        "engine": trial.engine,
        "reasons": tuner._reasons,
    }


def _plain(results: Any) -> Any:
    """Results without the model that Keras' History holds."""
    if isinstance(results, list):
        return [_plain(result) for result in results]
    history = getattr(results, "history", None)
    if isinstance(history, dict):
        return SimpleNamespace(history=history, epoch=list(getattr(results, "epoch", [])))
    return results
