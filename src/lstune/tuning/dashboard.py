"""The dashboard of a run: its study in a browser, while the search goes on or after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lstune.errors import RunError, explain
from lstune.search import Fixed, Space
from lstune.search.dashboard import serve_dashboard
from lstune.search.storage import open_storage
from lstune.tuning.clock import format_seconds
from lstune.tuning.folder import RunFolder
from lstune.tuning.limits import current_options
from lstune.tuning.options import TuneOptions
from lstune.tuning.sharing import storage_again

__all__ = ["dashboard"]


def dashboard(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    storage: str | None = None,
    ready: Callable[[str], None] = print,
) -> None:
    """Show the study of the run in the folder `run` by optuna-dashboard, until Ctrl-C.

    A run under way may be looked at. `storage` is needed only where the study is in a database whose password
    is known nowhere else. `ready` gets the address. Raises RunError if the folder holds no run,
    MissingExtraError without optuna-dashboard.
    """
    folder = RunFolder(run)
    settings = folder.read_json("settings")
    options = current_options(settings)
    where = storage_again(options.storage, storage)
    if where is None and not folder.journal.exists():
        raise RunError(explain("The run has no study yet", f"no {folder.journal.name} in {folder.path}"))
    store = open_storage(where or folder.journal, study=options.study or folder.path.resolve().name)
    serve_dashboard(
        store,
        host=host,
        port=port,
        ready=ready,
        metric="validation MAE",
        about=_about(settings, options),
        ended=lambda: _ended(folder),
    )


def _ended(folder: RunFolder) -> bool:
    """Whether the run has its result, and has not been resumed since."""
    try:
        return folder.result.stat().st_mtime_ns >= folder.trials.stat().st_mtime_ns
    except OSError:  # not there yet, or just being written
        return False


def _about(settings: Mapping[str, Any], options: TuneOptions) -> dict[str, Any]:
    """What the dashboard tells of the study."""
    series = settings["series"]
    space = Space.from_dict(settings["space"], strict=False)
    params = [(name, space[name]) for name in space]
    fixed = [(name, param) for name, param in params if isinstance(param, Fixed)]
    limits = {"budget": options.budget and format_seconds(options.budget), "trials": options.trials}
    found = {
        "data": series.get("source") or series["name"],
        "target": settings["reading"].get("target"),
        "horizon": options.horizon,
        "method": options.method,
        "scheduler": options.scheduler,
        **limits,
        "seed": options.seed,
        "fixed": ", ".join(f"{name} {param.value}" for name, param in fixed),
        "lstune": settings.get("lstune"),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}
