"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Baselines",
    "BudgetOption",
    "Data",
    "Ensemble",
    "Features",
    "Folds",
    "Horizon",
    "Json",
    "Known",
    "Method",
    "Out",
    "Read",
    "Scheduler",
    "Seed",
    "Set",
    "SpaceFile",
    "Storage",
    "StudyName",
    "Target",
    "TestFraction",
    "Timestamp",
    "TrialTimeout",
    "Trials",
    "ValidationFraction",
    "Workers",
    "Yes",
]

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A CSV or Parquet file, or the name of a shipped dataset.")
]
Target = Annotated[str | None, typer.Option(help="Column to forecast; found out if there is one.")]
Timestamp = Annotated[str | None, typer.Option(help="Time column; found out if not given.")]
Features = Annotated[str, typer.Option(help='Further input columns: "a,b", or "all".')]
Known = Annotated[
    str,
    typer.Option(
        help="Input columns known beforehand (holidays, a weather forecast); rows at the end of "
        "the file give their coming values, with the target left empty."
    ),
]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="NAME=VALUE",
        help="How to read the file: freq=h, missing=?, max_gap=48, series_id=a, "
        "repeats=sum, decimal=, and others. Repeatable.",
    ),
]
Horizon = Annotated[int, typer.Option(help="Rows to forecast at once.")]
Method = Annotated[
    str,
    typer.Option(
        help="How to search: auto, tpe, gp, smac, cmaes, random, qmc, hyperband, bohb, grid, manual.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="How epochs are given out: asha, hyperband, median, none; by default the method's."),
]
Trials = Annotated[int | None, typer.Option(help="Most settings to try.")]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        help="Time from start to written result: 60s, 10m, 2h. Without this and --trials it is 60s; "
        "grid and manual end by themselves."
    ),
]
TestFraction = Annotated[float, typer.Option(help="Share of the rows kept for the one final test.")]
ValidationFraction = Annotated[float, typer.Option(help="Share of the rows that settings are compared on.")]
Folds = Annotated[int, typer.Option(help="Rolling origins that finalists are compared on.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
SpaceFile = Annotated[Path | None, typer.Option(help="TOML, JSON or YAML file with changes to the space.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Fix or change a hyperparameter: units=32, units=16..64, loss=mae,mse. Repeatable.",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Trials at once; one for each core if not given.")]
Ensemble = Annotated[bool, typer.Option(help="Mix the best settings (and the naive forecast), or take one.")]
Baselines = Annotated[
    str,
    typer.Option(
        help="What to compare with: auto (statistical models too, where statsforecast is installed), simple, "
        "or some of auto_theta,auto_ets,auto_arima."
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar="LSTUNE_STORAGE",
        help="Database URL (or journal file) for the study; a file in the run's folder if not given.",
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option(
        "--study",
        help="Name of the study in the storage. Runs on the same data that give the same name work on it "
        "together, and --trials counts over all of them.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Search a grid however many settings it has.")]
TrialTimeout = Annotated[
    str | None, typer.Option(help="Longest time for a trial between rungs; longer ones count as failed.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for the run; runs/NAME-DATE-TIME if not given.")]
Json = Annotated[bool, typer.Option("--json", help="Print result.json on stdout and nothing else.")]
