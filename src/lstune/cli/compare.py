"""The command `compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lstune.cli.options import (
    Data,
    Features,
    Horizon,
    Known,
    Read,
    Seed,
    Set,
    SpaceFile,
    Target,
    TestFraction,
    Timestamp,
    TrialTimeout,
    ValidationFraction,
    Workers,
)

__all__ = ["compare"]


def compare(
    data: Data,
    methods: Annotated[
        str, typer.Option(help="Methods with commas between, each alone or with a scheduler, as tpe+median.")
    ] = "random,tpe,gp,smac,hyperband",
    seeds: Annotated[int, typer.Option(help="Times that each method searches.")] = 3,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time of each single search, of one method with one seed: 60s, 10m. "
            "60s if neither this nor --trials is given."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Most settings to try in each single search.")] = None,
    target: Target = None,
    timestamp: Timestamp = None,
    features: Features = "",
    known: Known = "",
    read: Read = None,
    horizon: Horizon = 1,
    test_fraction: TestFraction = 0.15,
    validation_fraction: ValidationFraction = 0.15,
    seed: Seed = 0,
    space: SpaceFile = None,
    set_: Set = None,
    workers: Workers = None,
    trial_timeout: TrialTimeout = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the comparison; runs/compare-NAME-DATE-TIME if not given. "
            "One that was begun is gone on with."
        ),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print compare.json on stdout and nothing else.")
    ] = False,
) -> None:
    """Compare search methods on a series, over several seeds.

    Every method has the same space, validation rows, first settings and limits. Prints
    the best validation errors at equal times and at equal epochs; the test tail is not
    looked at. Takes methods x seeds x budget in all, which is said before it starts.
    """
    from lstune.cli.display import make_progress
    from lstune.cli.table import comparison_table
    from lstune.series import parse_reading
    from lstune.tuning.compare import compare as compare_methods
    from lstune.tuning.overrides import changed_space

    done = compare_methods(
        data,
        methods=methods,
        seeds=seeds,
        seed=seed,
        target=target,
        timestamp=timestamp,
        features=features,
        known=known,
        reading=parse_reading(read or []),
        horizon=horizon,
        trials=trials,
        budget=budget,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        space=changed_space(space, set_ or []),
        workers=workers,
        trial_timeout=trial_timeout,
        out=out,
        progress=make_progress(sys.stderr),
    )
    if json_:
        typer.echo((done.path / "compare.json").read_text(encoding="utf-8").rstrip("\n"))
    else:
        typer.echo(comparison_table(done.result, str(done.path)))
