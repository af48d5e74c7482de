"""Trials that Keras trains, in processes of their own: what Keras leaves behind in memory goes with them.

TensorFlow keeps the compiled functions of every model that was ever trained in a process (some 12 MB for a
small LSTM; neither `clear_session` nor garbage collection gives them back). With `search(..., isolate=True)`
a worker process builds and trains the model, and is replaced by a new one when it has grown.

A worker is started as a program of its own, not forked and not through multiprocessing's start-up, which
would run a script without a main guard once more. What it needs is sent with cloudpickle, which takes
functions and classes of a notebook or a script, closures too.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from lstune.errors import explain, missing_extra
from lstune.kt.errors import FatalValueError, SearchOver

if TYPE_CHECKING:
    from lstune.kt.engine_trial import EngineTrial, FitCall
    from lstune.kt.trial import Trial
    from lstune.kt.tuner import Tuner

__all__ = ["Isolation", "OracleView", "receive", "resident_mib", "send"]

# A worker that is this much larger than after its first trial is replaced.
_GROWTH_MIB = 150.0
# Where its size cannot be read, it is replaced after this many trials.
_TRIALS = 10
# What stays behind of a tuner; the rest goes to the worker.
_STAYS = frozenset(
    {
        "oracle", "deadline", "stop_flag", "_changed", "_failure", "_display", "_isolation",
        "_keras_settings",
    }
)  # fmt: skip
_LENGTH = struct.Struct(">Q")


def send(pipe: IO[bytes], message: bytes) -> None:
    """Write a message with its length before it."""
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """The next message; None when the other side has gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(head)[0]
    message = pipe.read(size)
    return message if len(message) == size else None


def resident_mib() -> float | None:
    """This process' size in memory, where the system tells it."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, AttributeError):
        pass
    try:
        import psutil

        return float(psutil.Process().memory_info().rss) / 2**20
    except ImportError:
        return None


class OracleView:
    """What a worker's tuner has for an oracle: enough to train a trial, nothing to plan the search with."""

    def __init__(self, oracle: Any, trial: Trial) -> None:
        self.objective = oracle.objective
        self.seed = oracle.seed
        self.hyperparameters = oracle.hyperparameters
        self._numbers = oracle.numbers_of(trial.trial_id)

    def numbers_of(self, trial_id: str) -> tuple[int, int]:
        """As `Oracle.numbers_of`, for the one trial."""
        return self._numbers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        rule = "With isolate=True the oracle stays in the process of the search"
        raise AttributeError(explain(rule, f"oracle.{name} in a trial's own process", "Leave isolate out"))


class _WorkerError(Exception):
    """The traceback in the worker, shown as the cause of the error that is raised here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"in the trial's own process:\n\n{self.text}"


class _Worker:
    """A worker process, which takes one trial after another."""

    def __init__(self) -> None:
        paths = [path or os.getcwd() for path in sys.path]
        program = "from lstune.kt.isolation_worker import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **_keras_environment()},
        )
        self._trials = 0
        self._first: float | None = None
        self.spent = False

    def ask(self, job: bytes, show: Callable[[str], Any]) -> dict[str, Any]:
        """Have a job done; raises what was raised there. `show` gets what is printed meanwhile."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            send(self._process.stdin, job)
        while True:
            message = receive(self._process.stdout)
            if message is None:
                raise EOFError(str(self._process.wait()))
            kind, content = pickle.loads(message)
            if kind == "text":
                show(content)
                continue
            self._trials += 1
            self._first = content["mib"] if self._first is None else self._first
            self.spent = self._has_grown(content["mib"])
            if kind == "failed":
                _raise(content)
            return dict(content)

    def _has_grown(self, mib: float | None) -> bool:
        if mib is None or self._first is None:
            return self._trials >= _TRIALS
        return mib - self._first > _GROWTH_MIB

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()


def _keras_environment() -> dict[str, str]:
    """The worker's Keras shall run on this process' backend, whoever chose it."""
    import keras

    return {"KERAS_BACKEND": keras.backend.backend()}


def _raise(content: dict[str, Any]) -> None:
    try:
        error = pickle.loads(content["error"])
    except Exception:
        # Its class cannot come over, such as one that wants arguments of its own; its message can.
        error = RuntimeError(content["message"])
    raise error from _WorkerError(content["traceback"])


class Isolation:
    """The workers of one search. `close` ends them, also from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._closed = False

    def run(self, tuner: Tuner, trial: Trial, keeper: EngineTrial, call: FitCall) -> Any:
        """One execution of a trial: its results, with History made plain.

        Raises FatalValueError for what cannot be sent, and whatever the trial raised.
        """
        job = _packed(tuner, trial, keeper, call)
        worker = self._take()
        try:
            answer = worker.ask(job, _show)
        except EOFError as error:
            self._drop(worker)
            if tuner._failure is not None or self._closed:
                raise SearchOver from None
            rule = "The process that trained this trial ended by itself"
            fix = "Exit status -9 is mostly a want of memory"
            raise RuntimeError(explain(rule, f"exit status {error}", fix)) from None
        except Exception:
            self._give_back(worker)
            raise
        except BaseException:
            # Interrupted while it was at work.
            self._drop(worker)
            raise
        self._give_back(worker)
        trial.hyperparameters, trial.engine = answer["hyperparameters"], answer["engine"]
        keeper.best = answer["best"]
        tuner._note_reasons(answer["reasons"])
        return answer["results"]

    def _take(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise SearchOver
            if self._idle:
                return self._idle.pop()
            worker = _Worker()
            self._all.append(worker)
            return worker

    def _give_back(self, worker: _Worker) -> None:
        if worker.spent:
            self._drop(worker)
            return
        with self._lock:
            self._idle.append(worker)

    def _drop(self, worker: _Worker) -> None:
        worker.end()
        with self._lock:
            if worker in self._all:
                self._all.remove(worker)

    def close(self) -> None:
        """End all workers; trials that wait for one end with SearchOver."""
        with self._lock:
            self._closed = True
            workers, self._all, self._idle = self._all, [], []
        for worker in workers:
            worker.end()


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _packed(tuner: Tuner, trial: Trial, keeper: EngineTrial, call: FitCall) -> bytes:
    """All that a worker needs for one execution."""
    import keras

    try:
        import cloudpickle
    except ImportError as error:
        raise missing_extra("cloudpickle", "keras", "isolate=True") from error
    lite = object.__new__(type(tuner))
    lite.__dict__.update({name: value for name, value in vars(tuner).items() if name not in _STAYS})
    lite.__dict__["oracle"] = OracleView(tuner.oracle, trial)
    job = {
        "tuner": lite,
        "trial": trial,
        "execution": keeper.execution,
        "best": keeper.best,
        "call": call,
        "seconds": None if tuner.deadline is None else tuner.deadline - time.monotonic(),
        "floatx": keras.config.floatx(),
        "policy": keras.config.dtype_policy().name,
        "interactive_logging": keras.config.is_interactive_logging_enabled(),
    }
    try:
        return bytes(cloudpickle.dumps(job))
    except Exception as error:
        rule = (
            "isolate=True sends the tuner with its build function, the callbacks and fit's arguments to "
            "another process: none of them may hold what only lives in this one, such as locks or generators"
        )
        fix = f"It is in {_culprit(cloudpickle, job)}; make it there, or leave isolate out"
        raise FatalValueError(explain(rule, f"{type(error).__name__}: {error}", fix)) from error


def _culprit(cloudpickle: Any, job: dict[str, Any]) -> str:
    """Which part cannot be sent, in the user's words."""
    parts = {
        "build_model, or the HyperModel": job["tuner"].hypermodel,
        "the callbacks": job["call"].callbacks,
        "fit's arguments": (job["call"].args, job["call"].kwargs),
    }
    for name, part in parts.items():
        try:
            cloudpickle.dumps(part)
        except Exception:
            return name
    return "the tuner"
