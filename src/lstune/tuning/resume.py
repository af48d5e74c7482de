"""Go on with a run that was cut off, or let a finished one search longer."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from lstune.errors import RunError, explain
from lstune.search import Space
from lstune.series import load_series
from lstune.tuning.clock import parse_duration
from lstune.tuning.folder import RunFolder
from lstune.tuning.limits import current_options, is_finished
from lstune.tuning.progress import Progress, Silent
from lstune.tuning.run import Run, load
from lstune.tuning.sharing import storage_again
from lstune.tuning.work import Work

__all__ = ["resume"]


def resume(
    path: str | Path,
    *,
    trials: int | None = None,
    budget: float | str | None = None,
    workers: int | None = None,
    storage: str | None = None,
    progress: Progress | None = None,
    started: float | None = None,
) -> Run:
    """Go on with the run in `path`, whatever ended it, and write its result.

    Finished trials are kept, trials under way go on from their last saved state. `trials` is the new limit of
    trials in all, `budget` the time from now; without them the run's own limits hold: its budget less what
    its trials have used. New limits are the run's own until its result is there, should it be cut off again.
    `storage` says where the study is now, or gives the password that the folder does
    not keep (the environment's LSTUNE_STORAGE does too, and the driver's own files such as ~/.pgpass). With
    one worker the trials are those of the uninterrupted run.
    Raises RunError if the folder holds no run, or a finished one and no new limit is given.
    """
    began = time.monotonic() if started is None else started
    folder = RunFolder(path)
    settings = folder.read_json("settings")
    known = current_options(settings)
    new_limits = trials is not None or budget is not None
    if not new_limits and is_finished(folder):
        raise RunError(
            explain(
                "This run is finished", str(folder.path), "Give --trials or --budget to let it search longer"
            )
        )
    options = replace(
        known,
        trials=trials if new_limits else known.trials,
        budget=known.budget if budget is None else parse_duration(budget),
        workers=known.workers if workers is None else workers,
        storage=storage_again(known.storage, storage),
    )
    shown = progress or Silent()
    try:
        work = Work(
            load_series(folder.series),
            options,
            Space.from_dict(settings["space"], strict=False),  # as the run itself took it
            settings["reading"],
            shown,
            began,
            settings["series"].get("source"),
        )
        work.worker = settings.get("worker", work.worker)
        work.resume(folder, new_limits, fresh_budget=budget is not None)
        return load(folder.path)
    finally:
        shown.close()
