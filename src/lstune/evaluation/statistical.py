"""AutoETS, AutoARIMA and AutoTheta beside the simple forecasts, where statsforecast is installed.

Each is fitted once, on the rows before the first forecast, and carried forward over the rest with its
parameters as they are (`_filters.py`), so that nothing leaks. The fitting runs in a process of its own: it
can take long and cannot be interrupted from within, so only a process can be told to end in time. Task and
answers go through temporary files without a name, which vanish with the last process that has them open:
however one of the two ends, nothing stays behind. Long series are fitted on their last rows.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lstune.errors import UserError, explain, missing_extra
from lstune.evaluation.baselines import BASELINES

__all__ = ["StatisticalFit", "is_statsforecast_installed", "start_statistical", "wanted_statistical"]

F64 = npt.NDArray[np.float64]
STATISTICAL = tuple(row.name for row in BASELINES.values() if row.extra == "stats")
# Rows that a model is fitted on at most: beyond them the fit hardly moves, and takes ever longer.
_MOST_ROWS = {"auto_arima": 1000}
_MOST_ROWS_OTHERS = 2000
# Longer seasons than a day of hours make these models slower than the whole run.
_LONGEST_SEASON = 24
_PROGRAM = "lstune.evaluation._fit_statistical"


def is_statsforecast_installed() -> bool:
    """Whether the extra `stats` is there; does not import it, which takes seconds."""
    return importlib.util.find_spec("statsforecast") is not None


def wanted_statistical(asked: str) -> tuple[str, ...]:
    """The statistical baselines meant by `asked`: "auto", "simple", or names with commas between.

    "auto" means all of them where statsforecast is installed and none elsewhere.
    Raises UserError for unknown names, MissingExtraError where a name needs a package that is not there.
    """
    if asked == "simple":
        return ()
    if asked == "auto":
        return STATISTICAL if is_statsforecast_installed() else ()
    names = tuple(part.strip() for part in asked.split(","))
    unknown = [name for name in names if name not in STATISTICAL]
    if unknown:
        rule = f"baselines must be auto, simple, or some of {', '.join(STATISTICAL)} with commas between"
        raise UserError(explain(rule, asked, "The simple ones are always there"))
    if not is_statsforecast_installed():
        raise missing_extra("statsforecast", "stats", f"The baseline {BASELINES[names[0]].label}")
    return names


@dataclass
class StatisticalFit:
    """Models being fitted by another process; `close` it. Forecasts come back in the order of `names`.

    Without a process, `failed` says why there is none.
    """

    names: tuple[str, ...]
    shape: tuple[int, int]
    answers: IO[bytes]
    process: subprocess.Popen[bytes] | None
    failed: str = ""

    def collect(self, patience: float) -> tuple[dict[str, F64], list[str]]:
        """Forecasts (N, H) by name and a note on each that is missing, after at most `patience` seconds.

        Ends the process: what is not there by then is not waited for.
        """
        until = time.monotonic() + patience
        while self.process is not None and self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        self._end()
        answers = dict(_read_answers(self.answers))
        found: dict[str, F64] = {}
        notes = []
        for name in self.names:
            forecasts = answers.get(name, self.failed or "it was not fitted in time")
            if isinstance(forecasts, str):
                notes.append(f"{BASELINES[name].label} is left out: {forecasts.rstrip('.')}.")
            elif forecasts.shape != self.shape or not np.isfinite(forecasts).all():
                notes.append(f"{BASELINES[name].label} is left out: its forecasts are not finite.")
            else:
                found[name] = forecasts
        return found, notes

    def close(self) -> None:
        """End the process if it still runs."""
        self._end()
        self.answers.close()

    def _end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5.0)


def start_statistical(
    names: Sequence[str], values: Any, origins: Any, *, horizon: int, season: int, limit: float
) -> StatisticalFit:
    """Begin to fit the models `names` on the values (T,) up to the first of the origins (N,).

    season: rows in a season, 1 for none; a longer one than a day of hours counts as a day where a day divides
    it, else as none. limit: seconds after which the process ends by itself; it also ends soon after this one.
    """
    series, at = np.asarray(values, dtype=np.float64), np.asarray(origins, dtype=np.int64)
    period = season if season <= _LONGEST_SEASON else _LONGEST_SEASON if season % _LONGEST_SEASON == 0 else 1
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process, failed = None, ""
    answers = tempfile.TemporaryFile()  # noqa: SIM115  (closed with what is returned)
    try:
        with tempfile.TemporaryFile() as task:
            np.savez(task, values=series, origins=at, horizon=horizon, season=max(1, period))
            task.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-m", _PROGRAM, str(os.getpid()), f"{limit:.1f}", *names],
                env={**os.environ, **one},
                stdin=task,
                stdout=answers,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C means the search, which then still wants these
            )
    except OSError as error:
        failed = f"no process for it ({error})"
    return StatisticalFit(tuple(names), (len(at), horizon), answers, process, failed)


def write_answer(file: IO[bytes], name: str, answer: F64 | str) -> None:
    """Append a model's forecasts (N, H), or why there are none, to what `_read_answers` reads."""
    forecasts = np.empty((0, 0)) if isinstance(answer, str) else np.ascontiguousarray(answer, dtype="<f8")
    failed = answer if isinstance(answer, str) else None
    head = {"name": name, "shape": forecasts.shape, "failed": failed}
    file.write(json.dumps(head).encode() + b"\n" + forecasts.tobytes())
    file.flush()


def _read_answers(file: IO[bytes]) -> Iterator[tuple[str, F64 | str]]:
    """What was written whole: the last answer may have been cut off."""
    file.seek(0)
    while (line := file.readline()).endswith(b"\n"):
        head = json.loads(line)
        data = file.read(8 * head["shape"][0] * head["shape"][1])
        forecasts = np.frombuffer(data[: len(data) // 8 * 8], dtype="<f8")
        if forecasts.size < head["shape"][0] * head["shape"][1]:
            return
        yield head["name"], head["failed"] or forecasts.reshape(head["shape"]).astype(np.float64)


def fitted_rows(name: str, known: int) -> range:
    """The rows that the model `name` is fitted on, of `known` ones."""
    return range(max(0, known - _MOST_ROWS.get(name, _MOST_ROWS_OTHERS)), known)
