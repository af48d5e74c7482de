"""Results as text that fits 80 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "WIDTH",
    "comparison_table",
    "datasets_table",
    "forecast_table",
    "format_number",
    "format_setting",
    "result_table",
]

WIDTH = 80


def format_number(value: Any, digits: int = 4) -> str:
    """A number in `digits` significant digits without an exponent where that stays short."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if -4 <= size < 9:
        return f"{value:,.{max(0, digits - 1 - size)}f}"
    return f"{value:.{digits - 1}e}"


def format_setting(setting: Mapping[str, Any]) -> str:
    """A setting as "units 64, lookback 32, ..."."""
    parts = []
    for name, value in setting.items():
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        parts.append(f"{name} {shown}")
    return ", ".join(parts)


def result_table(result: Mapping[str, Any], path: str) -> str:
    """The compact table after a run: series, setting, errors beside the baselines, verdict."""
    about, trials, seconds = result["series"], result["trials"], result["seconds"]
    counts = f"{trials['complete']} complete, {trials['pruned']} stopped early, {trials['failed']} failed"
    head = f"{about['target']}, {about['rows']:,} rows ({about['freq'] or 'no dates'}), "
    head += f"{_day(about['start'])} to {_day(about['end'])}"
    lines = [
        "",
        *_field("Series", head),
        *_field("Trials", f"{counts}, {seconds['total']:.1f} s"),
        *_field("Best", format_setting(result["best"])),
        *_field("Forecast", _mixture(result["forecaster"])),
        "",
        *_errors(result),
        "",
        *_field("Verdict", result["verdict"]["text"]),
        *_field("Saved in", f"{path} (open report.html in it)"),
    ]
    return "\n".join(lines)


def _field(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:<10}",
        subsequent_indent=" " * 10,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _day(stamp: str) -> str:
    return stamp.removesuffix("T00:00:00").replace("T", " ")


def _mixture(mixture: Mapping[str, Any]) -> str:
    from lstune.series import counted

    baselines = {_label(name): share for name, share in mixture["baselines"].items()}
    if not mixture["networks"]:
        reason = mixture.get("reason") or "no setting clearly beat it"
        return f"the {next(iter(baselines))} forecast: {reason}"
    count, settings = mixture["networks"], len(mixture["settings"])
    text = f"{counted(count, 'network')} of {counted(settings, 'setting')}"
    return text + "".join(
        f", {100 * share:.0f} % {name}" for name, share in baselines.items() if share >= 0.005
    )


def _label(name: str) -> str:
    from lstune.evaluation import BASELINES

    return BASELINES[name].label if name in BASELINES else name.replace("_", " ")


def _errors(result: Mapping[str, Any]) -> list[str]:
    test = result["test"]
    rows = [("validation", result["validation"]), (f"test ({test['rows']:,} rows)", test)]
    if result.get("best_trial"):
        rows.insert(0, ("best trial, as searched", {"mae": result["best_trial"]["mae"], "rmse": None}))
    rows += [(f"  {_label(name)}", errors) for name, errors in result["baselines"].items()]
    out = [f"{'Errors':<10}{'':<22}{'MAE':>12}{'RMSE':>12}{'vs. ours':>12}"]
    for name, errors in rows:
        own = test["mae"]
        ratio = f"{100 * (errors['mae'] / own - 1):+.1f} %" if own and name.startswith("  ") else ""
        mae, rmse = format_number(errors["mae"]), format_number(errors["rmse"])
        out.append(f"{'':<10}{name:<22}{mae:>12}{rmse:>12}{ratio:>12}".rstrip())
    return out


def forecast_table(table: Any) -> str:
    """The rows of `Forecaster.predict` as aligned columns."""
    frame = table.dropna(axis=1, how="all")
    stamps = [_day(s.isoformat()) if hasattr(s, "isoformat") else str(s) for s in frame.index]
    wide = max([len("timestamp"), *map(len, stamps)])
    # Intervals from the outside in do not all fit; the outermost pair says most.
    columns = [c for c in frame.columns if c == "forecast" or c.endswith("_95")] or list(frame.columns)[:3]
    lines = [f"{'timestamp':<{wide}}" + "".join(f"{name:>15}" for name in columns)]
    for stamp, (_, row) in zip(stamps, frame.iterrows(), strict=True):
        cells = (format_number(row[name], 6) for name in columns)
        lines.append(f"{stamp:<{wide}}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def comparison_table(result: Mapping[str, Any], path: str) -> str:
    """A comparison of methods: best errors on the way at equal times and epochs, and what they say."""
    summary, series = result["summary"], result["series"]
    about = f"{series['target']}, {series['rows']:,} rows; naive error {format_number(result['naive'])}"
    lines = ["", *_field("Series", about)]
    if summary:
        seeds = sorted({row["seeds"] for row in summary["end"].values()})
        count = " to ".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1])))
        lines += ["", f"Best validation MAE so far, median of {count} seed{'s' if seeds[-1] > 1 else ''}"]
        for axis in ("seconds", "epochs"):
            lines += ["", *_on_the_way(summary, axis)]
        lines += [
            "",
            f"{'At the end':<16}{'trials':>8}{'median':>12}{'lowest':>12}{'highest':>12}{'to naive':>12}",
        ]
        for name, row in summary["end"].items():
            gain = "-" if row["to_naive"] is None else f"{100 * row['to_naive']:+.1f} %"
            cells = "".join(f"{format_number(row[key]):>12}" for key in ("median", "lowest", "highest"))
            lines.append(f"{name[:15]:<16}{row['trials']:>8,.0f}{cells}{gain:>12}")
    lines += ["", *_field("Summary", " ".join(result["text"]))]
    if result["missing"]:
        lines += _field(
            "Missing", f"{result['missing']} searches; the same command with --out {path} goes on"
        )
    return "\n".join([*lines, *_field("Saved in", f"{path} (open compare.html in it)" if summary else path)])


def _on_the_way(summary: Mapping[str, Any], axis: str) -> list[str]:
    """A line for each method: its spent seconds or epochs, and its median error at three common places."""
    from lstune.tuning.clock import format_seconds

    found = summary[axis]
    seconds = axis == "seconds"
    heads = [f"at {format_seconds(place) if seconds else format(place, ',.0f')}" for place in found["at"]]
    lines = [f"{'By ' + axis:<16}{axis:>10}" + "".join(f"{head:>14}" for head in heads)]
    for name, places in found["methods"].items():
        cells = "".join(f"{format_number(place['median']):>14}" for place in places)
        lines.append(f"{name[:15]:<16}{summary['end'][name][axis]:>10,.0f}{cells}")
    return lines


def datasets_table() -> str:
    """The shipped datasets: name, rows, step, columns, title and licence."""
    from lstune.datasets import describe, list_datasets

    lines: list[str] = []
    for name in list_datasets():
        about = describe(name)
        text = f"{about.title}. {about.rows:,} rows, one a {about.step}; target {about.target}"
        others: Sequence[str] = [column for column in about.columns if column != about.target]
        text += f"; also {', '.join(others)}" if others else ""
        lines += _field(name, f"{text}. {about.licence}.")
    return "\n".join(lines)
