"""A run's folder as it was written; needs neither the engine nor a compiler."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstune.errors import LstuneError, RunError, explain
from lstune.files import DAMAGED, read_object
from lstune.search import Space, TrialRecord, TrialState

if TYPE_CHECKING:
    from lstune.series import Series

__all__ = ["RESULT_NAMES", "Folder", "read_folder"]

# What every result.json of schema 1 has.
RESULT_NAMES = ("series", "horizon", "trials", "seconds", "best", "test", "baselines", "verdict")


@dataclass(frozen=True)
class Folder:
    """The files of a run. `seconds` maps trial numbers to seconds spent; `arrays` is predictions.npz,
    `spec` how the study was set up.

    `series`, `space` and `arrays` are None or empty in folders of earlier versions that lack them.
    """

    path: Path
    result: dict[str, Any]
    settings: dict[str, Any]
    forecaster: dict[str, Any]
    series: Series | None
    space: Space | None
    trials: list[TrialRecord]
    spec: dict[str, Any]
    seconds: dict[int, float]
    arrays: dict[str, Any]
    future: dict[str, list[Any]]


def read_folder(path: str | Path) -> Folder:
    """Read a finished run. Raises RunError if the folder holds none, or a file of it is damaged."""
    path = Path(path)
    result = _json(path / "result.json", RESULT_NAMES)
    settings = _json(path / "settings.json")
    table = _table(path / "trials.csv")
    with _whole(path / "trials.csv"):
        seconds = {int(row["trial"]): float(row["seconds"]) for row in table if row.get("seconds")}
    trials, spec = _study(path, settings, table)
    return Folder(
        path=path,
        result=result,
        settings=settings,
        forecaster=_json(path / "model" / "forecaster.json"),
        series=_series(path / "series.npz"),
        space=Space.from_dict(settings["space"], strict=False) if settings.get("space") else None,
        trials=trials,
        spec=spec,
        seconds=seconds,
        arrays=_arrays(path / "predictions.npz"),
        future=_columns(path / "forecast.csv"),
    )


def training_history(path: Path, number: int) -> dict[str, list[float]]:
    """Loss and validation loss of a trial by epoch, from its saved state; empty if that is gone."""
    file = path / "states" / f"{number:06d}.npz"
    try:
        with open(file, "rb") as source, np.load(source, allow_pickle=False) as stored:
            history = json.loads(str(stored["header"])).get("history", {})
        return {name: [float(value) for value in values] for name, values in history.items()}
    except DAMAGED:
        return {}


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What a damaged file brings up, as a RunError that names it."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(str(path)) from error
    except (*DAMAGED, csv.Error) as error:
        raise RunError(explain(f"{path.name} is damaged", f"{path}: {error}")) from error


def _json(path: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON file that must hold an object; one without needed `names` may be missing."""
    try:
        with _whole(path):
            return read_object(path, names)
    except FileNotFoundError:
        if not names:
            return {}
        begun = (path.parent / "settings.json").exists()
        raise RunError(
            explain(
                "A report needs the folder of a finished run, with result.json in it",
                str(path.parent),
                f"Finish it: lstune resume {path.parent}"
                if begun
                else "Give the folder that `lstune tune` made",
            )
        ) from None


def _series(path: Path) -> Series | None:
    if not path.exists():
        return None
    from lstune.series import load_series

    return load_series(path)


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with _whole(path), open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return {}


def _table(path: Path, strict: bool = False) -> list[dict[str, str]]:
    """Lines of a CSV file by column name; `strict`: each must have all of them."""
    try:
        with _whole(path), open(path, encoding="utf-8", newline="") as file:
            head, *rows = list(csv.reader(file)) or [[]]
            # The parameter `epochs` may come after the column of that name: the first one counts.
            return [dict(reversed(list(zip(head, row, strict=strict)))) for row in rows]
    except FileNotFoundError:
        return []


def _columns(path: Path) -> dict[str, list[Any]]:
    """forecast.csv by column; empty cells become None."""
    rows = _table(path, strict=True)
    if not rows:
        return {}
    names = list(reversed(rows[0]))
    out: dict[str, list[Any]] = {}
    for name in names:
        cells = [row.get(name, "") for row in rows]
        with _whole(path):
            out[name] = cells if name == "timestamp" else [float(cell) if cell else None for cell in cells]
    return out


def _study(
    path: Path, settings: dict[str, Any], table: list[dict[str, str]]
) -> tuple[list[TrialRecord], dict[str, Any]]:
    """The study's records and set-up; where its storage is out of reach, what trials.csv says."""
    journal = path / "study.journal"
    if journal.exists():
        from lstune.search import Study
        from lstune.search.storage import open_storage

        try:
            study = Study.load(open_storage(journal, study=_study_name(journal)), resume=False)
        except LstuneError as error:
            if not table:
                raise RunError(str(error)) from error
        else:
            return study.trials, study.spec
    with _whole(path / "trials.csv"):
        return [_from_row(row, settings) for row in table], {}


def _study_name(journal: Path) -> str:
    """The name that the journal's first line gives its study: the folder may have been moved since."""
    try:
        with open(journal, encoding="utf-8") as file:
            return str(json.loads(file.readline())["study_name"])
    except (OSError, LookupError, TypeError, ValueError):
        return "lstune"


def _from_row(row: dict[str, str], settings: dict[str, Any]) -> TrialRecord:
    params = {name: _value(row[name]) for name in settings.get("space", {}) if row.get(name)}
    return TrialRecord(
        number=int(row["trial"]),
        params=params,
        state=TrialState(row["state"]),
        value=float(row["validation_mae"]) if row["validation_mae"] else None,
        epochs=int(row["epochs_trained"] or 0),
        reason=row["reason"] or None,
    )


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(text, text)
