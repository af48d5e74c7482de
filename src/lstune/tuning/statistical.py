"""Which statistical baselines a run is compared with, and how long it waits for them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lstune.evaluation import start_statistical, wanted_statistical
from lstune.series import Series, Split, scored_origins
from lstune.tuning.clock import Budget
from lstune.tuning.options import TuneOptions

__all__ = ["fitted_beside", "statistical_baselines"]

# Fitting them takes some ten seconds of a core: too much of a shorter budget.
_LEAST_BUDGET = 30.0
# The most that a run without a budget waits, counted from its start.
_MOST_SECONDS = 120.0


def statistical_baselines(options: TuneOptions) -> tuple[str, ...]:
    """The names of the statistical baselines that the options ask for; "auto" asks for none in a short run.

    Raises UserError for unknown names, MissingExtraError where statsforecast is asked for and not there.
    """
    names = wanted_statistical(options.baselines)
    short = options.limit is not None and options.limit < _LEAST_BUDGET
    return () if short and options.baselines == "auto" else names


@contextlib.contextmanager
def fitted_beside(
    names: Sequence[str], series: Series, split: Split, options: TuneOptions, budget: Budget
) -> Iterator[Callable[[float], tuple[dict[str, Any], list[str]]]]:
    """Fit the baselines `names` on the rows before the test tail, in a process beside what the caller does.

    What is given out takes the seconds of the budget to keep, waits until no more are left, and returns
    forecasts (N, H) of the test tail by name, with a note on each baseline that is missing.
    """
    if not names:
        yield lambda keep: ({}, [])
        return
    began, limit = time.monotonic(), min(_MOST_SECONDS, max(1.0, budget.left()))
    try:
        # Where Python is embedded, this is another program or none.
        if "python" not in Path(sys.executable or "").name.lower():
            raise FileNotFoundError("there is no Python to start")
        fit = start_statistical(
            names,
            series.values,
            scored_origins(series, split.test, options.horizon),
            horizon=options.horizon,
            season=series.season if series.seasonal else 1,
            limit=limit,
        )
    except OSError as error:  # that, or no room for temporary files
        note = f"Statistical baselines are left out: {error.strerror or error}."
        yield lambda keep: ({}, [note])
        return

    def collect(keep: float) -> tuple[dict[str, Any], list[str]]:
        return fit.collect(min(limit - (time.monotonic() - began), budget.left() - keep))

    with contextlib.closing(fit):
        yield collect
