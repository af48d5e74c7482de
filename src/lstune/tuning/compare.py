"""Methods compared on one series: the same space, fold and budget for each, over several seeds.

Only the validation rows are scored; the test tail is never looked at. The folder of a comparison holds
compare.json, compare.html, and under searches/ a folder for each method and seed with its study, trials.csv
and curve.json, the best error so far against time and epochs.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstune._version import __version__
from lstune.errors import RunError, UserError, explain, nearest
from lstune.files import write_whole
from lstune.search import METHODS, SCHEDULERS, Space, Study, TrialRecord, TrialState, method_parts
from lstune.search.params import plain
from lstune.series import Series
from lstune.tuning.clock import format_seconds, parse_duration
from lstune.tuning.comparison import describe_summary, summarise
from lstune.tuning.folder import RunFolder, default_folder, disk_errors
from lstune.tuning.options import DEFAULT_BUDGET, TuneOptions
from lstune.tuning.plan import Plan
from lstune.tuning.progress import Progress, Silent
from lstune.tuning.run import open_series
from lstune.tuning.work import Work

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEFAULT_METHODS", "Comparison", "Contender", "compare", "parse_methods"]

DEFAULT_METHODS = ("random", "tpe", "gp", "smac", "hyperband")
COMPARE_SCHEMA = 1
# Trials of the rehearsal: enough for every sampler to leave its random beginning.
_REHEARSED = 14


@dataclass(frozen=True)
class Contender:
    """A method as it was named ("tpe+asha"): a name of `METHODS`, and a scheduler or None for its own."""

    label: str
    method: str
    scheduler: str | None


@dataclass(frozen=True)
class Comparison:
    """A comparison of methods: its folder and the content of compare.json."""

    path: Path
    result: dict[str, Any]

    @property
    def summary(self) -> str:
        """What the comparison says, in sentences."""
        return " ".join(self.result["text"])

    @property
    def table(self) -> pd.DataFrame:
        """A row for each method, the lowest median error first."""
        import pandas as pd

        frame = pd.DataFrame.from_dict(self.result["summary"].get("end", {}), orient="index")
        return frame.rename_axis("method")

    @property
    def curves(self) -> pd.DataFrame:
        """The best error so far of every search: method, seed, seconds, epochs, error."""
        import pandas as pd

        parts = [
            pd.DataFrame(search["curve"]).assign(method=search["method"], seed=search["seed"])
            for search in self.result["searches"]
        ]
        columns = ["method", "seed", "seconds", "epochs", "error"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def __repr__(self) -> str:
        return f"Comparison({str(self.path)!r}: {self.summary})"


def parse_methods(methods: str | Sequence[str]) -> list[Contender]:
    """Contenders from "random,tpe+median" or a list of such names. Raises UserError."""
    names = methods.split(",") if isinstance(methods, str) else methods
    if not isinstance(names, Iterable) or not (names := list(names)):
        raise _no_method(names)
    found: dict[tuple[str, str], Contender] = {}
    for name in names:
        if not isinstance(name, str):
            raise _no_method(name)
        name = name.strip()
        method, plus, scheduler = name.partition("+")
        if method not in METHODS or (plus and scheduler not in SCHEDULERS):
            raise _no_method(name)
        sampler, own = method_parts(method)
        parts = sampler, scheduler or own
        if parts in found:
            raise UserError(
                explain("The methods must differ", f"{found[parts].label} and {name}, which are the same")
            )
        found[parts] = Contender(name, method, scheduler or None)
    return list(found.values())


def _no_method(received: Any) -> UserError:
    return UserError(
        explain(
            f"Methods are {', '.join(METHODS)}, alone or with +{', +'.join(SCHEDULERS)} behind it",
            repr(received) if received is None else received,
            nearest(received, METHODS) or "Separate them by commas, as in random,tpe,gp+median",
        )
    )


def compare(
    data: Any,
    *,
    methods: str | Sequence[str] = DEFAULT_METHODS,
    seeds: int = 3,
    seed: int = 0,
    target: str | None = None,
    timestamp: str | None = None,
    features: Sequence[str] | str = (),
    known: Sequence[str] | str = (),
    reading: Mapping[str, Any] | None = None,
    horizon: int = 1,
    trials: int | None = None,
    budget: float | str | None = None,
    test_fraction: float = 0.15,
    validation_fraction: float = 0.15,
    space: Space | Mapping[str, Any] | str | Path | None = None,
    workers: int | None = None,
    trial_timeout: float | str | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare search methods on a series: which one finds the lowest validation error, and how surely.

    Every method searches the same space on the same rows with the same first settings, workers and limits,
    once for each seed. The test tail is not looked at. Arguments as of `tune`, but for:
        methods: names of methods, each alone or with a scheduler ("tpe+median").
        seeds: how many times each method searches, with the seeds `seed`, `seed + 1`, ...
        trials, budget: the limits of each single search, of one method with one seed. 60 s if neither is
            given. Reading, compiling and a rehearsal of each method are not counted.
        out: the comparison's folder; runs/compare-NAME-DATE-TIME if None. In the folder of a comparison that
            was begun, the searches that are missing are made, and one that was cut off goes on; further
            methods and seeds may be asked for.

    Returns the Comparison. Raises UserError for what the caller can mend. Ctrl-C ends the comparison with
    what was found.
    """
    contenders = parse_methods(methods)
    base = TuneOptions(
        horizon=horizon,
        trials=trials,
        budget=parse_duration(budget) if budget is not None else None if trials else DEFAULT_BUDGET,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        seed=seed,
        workers=workers,
        trial_timeout=None if trial_timeout is None else parse_duration(trial_timeout, "A trial timeout"),
    )
    seeds = plain(seeds)
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise UserError(explain("seeds must be a whole number of 1 or more", seeds))
    shown = progress or Silent()
    try:
        columns = {"target": target, "timestamp": timestamp, "features": features, "known": known}
        columns |= reading or {}
        series = open_series(data, base.training_share, **columns)
        folder = RunFolder(out) if out is not None else default_folder(f"compare-{series.name}")
        contest = _Contest(series, base, space, folder, shown)
        contest.run(contenders, range(base.seed, base.seed + seeds))
        return Comparison(folder.path, folder.read_json("compared"))
    finally:
        shown.close()


class _Contest:
    """A comparison under way."""

    def __init__(
        self, series: Series, options: TuneOptions, space: Any, folder: RunFolder, progress: Progress
    ) -> None:
        self.series = series
        self.options = options
        self.changes = space
        # The method does not matter to it: all search the same space on the same rows.
        self.plan = Plan(series, options, space)
        self.folder = folder
        self.progress = progress
        self.searches: list[dict[str, Any]] = []
        self.about: dict[str, Any] = {}

    def run(self, contenders: Sequence[Contender], seeds: Sequence[int]) -> None:
        """Make the searches that are missing, seed by seed, and keep compare.json and the page current."""
        for note in self.series.notes:
            self.progress.note(note)
        self.about = self._about()
        begun = self.folder.is_there()
        if not begun:  # a method that cannot search this space must leave no folder
            self._rehearse(contenders)
            self.folder.make()
        again = f"give the same command with --out {self.folder.path} (finished searches are kept)"
        self.folder.acquire()
        try:
            with disk_errors(self.folder, again):
                self.searches = self._earlier()
                known = {(entry["method"], entry["seed"]) for entry in self.searches}
                # All methods of one seed before the next: one that is cut off compares the same seeds.
                pairs = [
                    (seed, one) for seed in seeds for one in contenders if (one.label, seed) not in known
                ]
                if pairs and begun:
                    self._rehearse(contenders)
                self._write(len(pairs))
                self._announce(len(pairs))
                self._make(pairs)
        finally:
            self.folder.release()

    def _make(self, pairs: Sequence[tuple[int, Contender]]) -> None:
        for place, (seed, one) in enumerate(pairs, start=1):
            self.progress.stage(f"{one.label}, seed {seed} ({place} of {len(pairs)})")
            entry = self._search(one, seed)
            if entry["ended"] == "interrupted":
                left = len(pairs) - place + 1
                self.progress.note(f"Interrupted with {left} of {len(pairs)} searches to go: {_GO_ON}")
                return
            self.searches.append(entry)
            self._write(len(pairs) - place)

    def _about(self) -> dict[str, Any]:
        """What must be the same for all searches of a comparison."""
        options = self.options.to_dict()
        names = ("horizon", "trials", "budget", "test_fraction", "validation_fraction", "trial_timeout")
        return {
            "data": self.series.fingerprint,
            **{name: options[name] for name in names},
            "workers": self.options.threads,
            "space": json.loads(json.dumps(self.plan.space.to_dict())),
        }

    def _earlier(self) -> list[dict[str, Any]]:
        """The searches that the folder holds. Raises RunError where they were made otherwise."""
        if self.folder.settings.exists():
            raise RunError(
                explain("A comparison needs a folder of its own", f"{self.folder.path}, with a run in it")
            )
        if not self.folder.compared.exists():
            return []
        found = self.folder.read_json("compared")
        differ = [
            name if name in ("data", "space") else f"{name} {found['asked'].get(name)}, now {value}"
            for name, value in self.about.items()
            if found.get("asked", {}).get(name) != value
        ]
        if differ:
            raise RunError(
                explain(
                    "A comparison goes on only as it was begun",
                    f"other {', '.join(differ)}",
                    "Give the same options, or another --out",
                )
            )
        return list(found["searches"])

    def _options(self, one: Contender, seed: int) -> TuneOptions:
        return replace(
            self.options, method=one.method, scheduler=one.scheduler, seed=seed, baselines="simple"
        )

    def _rehearse(self, contenders: Sequence[Contender]) -> None:
        """First suggestions of each method on a study in memory, with made-up errors.

        A method that cannot search this space is refused before anything is written, and loading a method's
        packages is not counted against the first search that needs them.
        """
        from lstune.engine.warmup import prepare

        self.progress.stage("Rehearsing")
        prepare()
        for one in contenders:
            plan = Plan(self.series, self._options(one, 0), self.changes)
            study = Study(**plan.study_settings(), n_trials=_REHEARSED)
            while (job := study.ask()) is not None:
                study.tell(job.number, 1.0 + 0.01 * (job.number * 7 % 13) + 1.0 / job.stop_epoch)

    def _announce(self, count: int) -> None:
        limits = []
        if self.options.trials is not None:
            limits.append(f"{self.options.trials} trials")
        if self.options.budget is not None:
            limits.append(format_seconds(self.options.budget))
        done = f" ({len(self.searches)} are there)" if self.searches else ""
        total = (
            f", {format_seconds(count * self.options.budget)} in all"
            if self.options.budget is not None
            else ""
        )
        if count:
            self.progress.note(f"{count} searches of at most {' or '.join(limits)} each{total}{done}.")

    def _search(self, one: Contender, seed: int) -> dict[str, Any]:
        """Search with one method and seed, or go on with it; the entry in compare.json."""
        place = RunFolder(self.folder.path / "searches" / f"{one.label}-{seed}")
        place.path.mkdir(parents=True, exist_ok=True)
        recorder = _Recorder(place)
        recorder.begin()
        options = self._options(one, seed)
        work = Work(self.series, options, self.changes, {}, self.progress, recorder.began)
        found, interrupted = work.search_alone(place, recorder)
        recorder.save()
        if interrupted:
            ended = "interrupted"
        elif work.budget.left() <= 0:
            ended = "budget"
        else:
            full = self.options.trials is not None and len(found) >= self.options.trials
            ended = "trials" if full else "exhausted"
        entry = _entry(one, work.plan, seed, ended, found, recorder)
        best = "no trial succeeded" if entry["best"] is None else f"best {entry['best']:.6g}"
        counts = f"{sum(entry['trials'].values())} trials, {entry['epochs']:,} epochs"
        cut = "cut off, " if interrupted else ""
        spent = format_seconds(entry["seconds"])
        self.progress.note(f"{one.label}, seed {seed}: {cut}{best}, {counts}, {spent}")
        return entry

    def _write(self, missing: int) -> None:
        from lstune.report import write_comparison

        naive, rows = self.plan.validation_naive(), self.plan.split.folds[-1].validation
        summary = summarise(self.searches, naive) if self.searches else {}
        about = {
            "schema": COMPARE_SCHEMA,
            "lstune": __version__,
            "series": {
                "name": self.series.name,
                "target": self.series.target,
                "rows": len(self.series),
                "freq": self.series.freq,
                "fingerprint": self.series.fingerprint,
                "validation_rows": [rows.start, rows.stop],
            },
            "asked": self.about,
            "naive": naive,
            "missing": missing,
            "searches": self.searches,
            "summary": summary,
            "text": describe_summary(summary) if summary else ["No search has ended yet."],
        }
        self.folder.write_json("compared", about)
        if not self.searches:
            return
        try:
            write_comparison(self.folder.read_json("compared"), self.folder.compared_page)
        except Exception as error:  # a page that cannot be drawn must not cost the searches
            self.progress.note(f"{self.folder.compared_page.name} could not be written: {error}")


_GO_ON = "the same command with --out on this folder goes on."


class _Recorder:
    """Notes a search's best error so far with the seconds and epochs spent, in curve.json.

    The clock of a search that goes on starts where it stopped: what was trained after the last piece of a
    trial ended is lost in a crash, with its seconds. Epochs that are trained or reported again count once.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.path = folder.curve
        known = folder.read_json("curve") if self.path.exists() else {}
        self.seconds = float(known.get("seconds", 0.0))
        self.trained = {int(number): int(epoch) for number, epoch in known.get("trained", {}).items()}
        self.points = [tuple(point) for point in known.get("points", [])]
        self.began = 0.0

    @property
    def epochs(self) -> int:
        """Epochs trained by all trials together."""
        return sum(self.trained.values())

    def begin(self) -> None:
        """Start the clock."""
        self.began = time.monotonic() - self.seconds

    def report(self, number: int, epoch: int, value: float) -> None:
        """Note an epoch's error."""
        self.seconds = time.monotonic() - self.began
        self.trained[number] = max(epoch, self.trained.get(number, 0))
        if not self.points or value < self.points[-1][2]:
            self.points.append((round(self.seconds, 3), self.epochs, value))

    def tell(self) -> None:
        """Keep what is known, before the study does so: what it holds as ended is not reported again."""
        self.save()

    def save(self) -> None:
        """Write curve.json."""
        self.seconds = time.monotonic() - self.began
        data = {"seconds": round(self.seconds, 3), "trained": self.trained, "points": self.points}
        write_whole(self.path, json.dumps(data) + "\n")


def _entry(
    one: Contender, plan: Plan, seed: int, ended: str, trials: Sequence[TrialRecord], recorder: _Recorder
) -> dict[str, Any]:
    states = Counter(trial.state for trial in trials)
    best = min((t for t in trials if t.has_value), key=lambda t: (t.value, t.number), default=None)
    seconds, epochs, error = zip(*recorder.points, strict=True) if recorder.points else ((), (), ())
    return {
        "method": one.label,
        "sampler": plan.sampler,
        "scheduler": plan.scheduler,
        "seed": seed,
        "ended": ended,
        "seconds": round(recorder.seconds, 3),
        "epochs": recorder.epochs,
        "trials": {
            "complete": states[TrialState.COMPLETE],
            "pruned": states[TrialState.PRUNED] + states[TrialState.PAUSED],
            "failed": states[TrialState.FAILED] + states[TrialState.DIVERGED],
        },
        "best": error[-1] if error else None,
        "setting": dict(best.params) if best is not None else {},
        "curve": {"seconds": list(seconds), "epochs": list(epochs), "error": list(error)},
    }
