"""AutoETS, AutoARIMA and AutoTheta beside the simple forecasts, where statsforecast is installed.

Each is fitted once, on the rows before the first forecast, and carried forward over the rest with its
parameters as they are (`_filters.py`), so that nothing leaks. The fitting runs in a process of its own: it
can take long and cannot be interrupted from within, so only a process can be told to end in time. Long series
are fitted on their last rows.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Models being fitted by another process; `close` it. Forecasts come back in the order of `names`."""

    names: tuple[str, ...]
    folder: Path
    process: subprocess.Popen[bytes] | None
    shape: tuple[int, int]

    def collect(self, patience: float) -> tuple[dict[str, F64], list[str]]:
        """Forecasts (N, H) by name after at most `patience` seconds, and a note on each that is missing."""
        until = time.monotonic() + patience
        while self.process is not None and self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        found: dict[str, F64] = {}
        notes = []
        for name in self.names:
            label = BASELINES[name].label
            made, failed = self.folder / f"{name}.npy", self.folder / f"{name}.txt"
            if made.exists():
                forecasts = np.load(made, allow_pickle=False)
                if forecasts.shape == self.shape and np.isfinite(forecasts).all():
                    found[name] = forecasts
                    continue
                notes.append(f"{label} is left out: its forecasts are not finite.")
            elif failed.exists():
                notes.append(f"{label} is left out: {failed.read_text(encoding='utf-8').strip()}")
            else:
                notes.append(f"{label} is left out: it was not fitted in time.")
        return found, notes

    def close(self) -> None:
        """End the process if it still runs, and remove what it wrote."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5.0)
        shutil.rmtree(self.folder, ignore_errors=True)


def start_statistical(
    names: Sequence[str], values: Any, origins: Any, *, horizon: int, season: int, limit: float
) -> StatisticalFit:
    """Begin to fit the models `names` on the values (T,) up to the first of the origins (N,).

    season: rows in a season, 1 for none; a longer one than a day of hours counts as a day where a day divides
    it, else as none. limit: seconds after which the process ends by itself, whatever became of this one.
    """
    series, at = np.asarray(values, dtype=np.float64), np.asarray(origins, dtype=np.int64)
    folder = Path(tempfile.mkdtemp(prefix="lstune-stats-"))
    period = season if season <= _LONGEST_SEASON else _LONGEST_SEASON if season % _LONGEST_SEASON == 0 else 1
    np.savez(folder / "task.npz", values=series, origins=at, horizon=horizon, season=max(1, period))
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [
        sys.executable,
        "-m",
        "lstune.evaluation._fit_statistical",
        str(folder),
        f"{limit:.1f}",
        *names,
    ]
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **one},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C means the search, which then still wants these
        )
    except OSError as error:
        for name in names:
            (folder / f"{name}.txt").write_text(f"no process for it ({error})", encoding="utf-8")
        process = None
    return StatisticalFit(tuple(names), folder, process, (len(at), horizon))


def fitted_rows(name: str, known: int) -> range:
    """The rows that the model `name` is fitted on, of `known` ones."""
    return range(max(0, known - _MOST_ROWS.get(name, _MOST_ROWS_OTHERS)), known)
