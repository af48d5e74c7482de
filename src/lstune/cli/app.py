"""The commands. Each one parses, calls the library and prints."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lstune.cli import main as entry
from lstune.cli.compare import compare
from lstune.cli.dashboard import dashboard
from lstune.cli.options import (
    Baselines,
    BudgetOption,
    Data,
    Ensemble,
    Features,
    Folds,
    Horizon,
    Json,
    Known,
    Method,
    Out,
    Read,
    Scheduler,
    Seed,
    Set,
    SpaceFile,
    Storage,
    StudyName,
    Target,
    TestFraction,
    Timestamp,
    Trials,
    TrialTimeout,
    ValidationFraction,
    Workers,
    Yes,
)
from lstune.cli.report import report
from lstune.errors import LstuneError, RunError, UserError, explain
from lstune.files import write_whole

__all__ = ["app"]

F = TypeVar("F", bound=Callable[..., Any])

app = typer.Typer(
    help="Tune LSTMs on time series: fast, and honest about what they are worth.",
    epilog="Start with: lstune tune amzn --budget 60s",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)


def _guarded(command: F) -> F:
    """Turn errors raised on purpose into one message on stderr and their exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LstuneError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("Aborted.", err=True)
            raise typer.Exit(130) from None

    return wrapped  # type: ignore[return-value]


def _version(wanted: bool) -> None:
    if wanted:
        from lstune._version import __version__

        typer.echo(f"lstune {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Show the version and exit.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    pass


@app.command()
@_guarded
def tune(
    data: Data,
    target: Target = None,
    timestamp: Timestamp = None,
    features: Features = "",
    known: Known = "",
    read: Read = None,
    horizon: Horizon = 1,
    method: Method = "tpe",
    scheduler: Scheduler = None,
    trials: Trials = None,
    budget: BudgetOption = None,
    test_fraction: TestFraction = 0.15,
    validation_fraction: ValidationFraction = 0.15,
    folds: Folds = 1,
    seed: Seed = 0,
    space: SpaceFile = None,
    set_: Set = None,
    workers: Workers = None,
    ensemble: Ensemble = True,
    baselines: Baselines = "auto",
    storage: Storage = None,
    study: StudyName = None,
    trial_timeout: TrialTimeout = None,
    yes: Yes = False,
    out: Out = None,
    json_: Json = False,
) -> None:
    """Find a good LSTM for a series, and forecast.

    Searches settings, retrains the best, tests them once on rows that no decision
    saw, says what they are worth, and forecasts the coming rows.
    """
    from lstune.cli.display import make_progress
    from lstune.series import parse_reading
    from lstune.tuning.overrides import changed_space
    from lstune.tuning.run import tune as tune_series

    run = tune_series(
        data,
        target=target,
        timestamp=timestamp,
        features=features,
        known=known,
        reading=parse_reading(read or []),
        horizon=horizon,
        method=method,
        scheduler=scheduler,
        trials=trials,
        budget=budget,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        folds=folds,
        seed=seed,
        space=changed_space(space, set_ or []),
        workers=workers,
        ensemble=ensemble,
        baselines=baselines,
        storage=storage,
        study=study,
        trial_timeout=trial_timeout,
        large_grid=yes,
        out=out,
        progress=make_progress(sys.stderr),
        started=entry.STARTED,
    )
    _show(run, json_)


def _show(run: Any, as_json: bool) -> None:
    from lstune.cli.table import result_table

    if as_json:
        typer.echo((run.path / "result.json").read_text(encoding="utf-8").rstrip("\n"))
    else:
        typer.echo(result_table(run.result, str(run.path)))


@app.command()
@_guarded
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    trials: Annotated[int | None, typer.Option(help="New limit of trials in all.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Time from now: 60s, 10m, 2h. If neither is given, the run's own limits hold."),
    ] = None,
    workers: Workers = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Database URL of the run's study, where it has moved or its password is needed again "
            "(folders keep none; LSTUNE_STORAGE or ~/.pgpass will do as well)."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Go on with a run that was cut off.

    Finished trials are kept; trials that were under way go on from their last saved
    state. With a new limit, a finished run searches on.
    """
    from lstune.cli.display import make_progress
    from lstune.tuning.resume import resume as go_on

    done = go_on(
        run,
        trials=trials,
        budget=budget,
        workers=workers,
        storage=storage,
        progress=make_progress(sys.stderr),
        started=entry.STARTED,
    )
    _show(done, json_)


@app.command()
@_guarded
def forecast(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    steps: Annotated[
        int | None, typer.Option(help="Rows to forecast; the run's horizon if not given.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="File with newer rows of the same series to start from.")
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(help="File with the coming rows of the columns that are known beforehand."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a CSV file (JSON with --json) instead of printing.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON records.")] = False,
) -> None:
    """Forecast coming rows with a finished run."""
    from lstune.cli.table import forecast_table
    from lstune.series import counted
    from lstune.tuning.run import load

    if out is not None and (os.path.isdir(out) or not os.path.isdir(out.parent)):
        raise UserError(
            explain("--out must name a file in a folder that exists", str(out), f"Make {out.parent} first")
        )
    table = load(run).predict(steps, data, known)
    if json_:
        records = json.loads(
            table.reset_index().to_json(orient="records", date_format="iso", double_precision=10)
        )
        text = json.dumps(records, indent=2) + "\n"
    else:
        text = table.to_csv()
    if out is not None:
        try:
            write_whole(out, text)
        except OSError as error:
            raise RunError(explain("The forecast cannot be written", f"{out}: {error.strerror}")) from None
        typer.echo(f"{counted(len(table), 'row')} written to {out}", err=True)
    elif json_:
        typer.echo(text, nl=False)
    else:
        typer.echo(forecast_table(table))
    if table.attrs["note"]:
        typer.echo(table.attrs["note"], err=True)
    bare = int(table.isna().any(axis=1).sum())
    if bare:
        typer.echo(
            f"The last {counted(bare, 'row')} of {len(table)} {'has' if bare == 1 else 'have'} no interval: "
            "none was measured so far ahead.",
            err=True,
        )


app.command()(_guarded(report))
app.command()(_guarded(compare))
app.command()(_guarded(dashboard))


@app.command()
@_guarded
def datasets() -> None:
    """List the series that come with lstune."""
    from lstune.cli.table import datasets_table

    typer.echo(datasets_table())


@app.command()
@_guarded
def warmup() -> None:
    """Compile the engine now rather than in the first run."""
    from lstune.engine.warmup import warmup as compile_engine

    typer.echo(f"The engine is compiled and cached ({compile_engine():.1f} s).")
