"""The report as Markdown and JSON, and a run's short form for notebooks."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from lstune.report import words
from lstune.report.data import ReportData

__all__ = ["REPORT_SCHEMA", "short_html", "to_json", "to_markdown"]

REPORT_SCHEMA = 1
_SHOWN_TRIALS = 20


def to_json(data: ReportData) -> str:
    """Every number of the report; "-" and NaN are null."""
    found = {"schema": REPORT_SCHEMA, **dataclasses.asdict(data)}
    return json.dumps(_finite(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_markdown(data: ReportData) -> str:
    """The report without its plots."""
    blocks = [
        f"# {data.name}: {data.target}",
        words.subtitle(data) + ".",
        f"**{words.headline(data)}**",
        f"Made of {words.mixture(data.mixture)}. {_coverage(data)}".rstrip(),
        "## Errors on the test tail",
        _table(
            ["forecast", "MAE", "RMSE", "MASE", "sMAPE %", "direction"],
            [
                [
                    row.name,
                    words.number(row.mae),
                    words.number(row.rmse),
                    words.number(row.mase, 3),
                    words.number(row.smape, 3),
                    words.percent(row.direction),
                ]
                for row in data.errors
            ],
        ),
        "## Validation and test",
        _table(
            ["", "rows", "MAE", *(row.baseline for row in data.honesty[:1]), "ratio"],
            [
                [
                    row.name,
                    row.rows,
                    words.number(row.mae),
                    words.number(row.baseline_mae),
                    words.number(row.ratio, 3),
                ]
                for row in data.honesty
            ],
        ),
    ]
    if data.optimism is not None:
        blocks.append(
            f"About {words.number(data.optimism, 2)} of the best validation error is expected to be luck."
        )
    if data.forecasts is not None and data.forecasts.future:
        blocks += ["## Coming rows", _future(data)]
    blocks += ["## What mattered", words.importance_note(data)]
    if data.importance is not None:
        blocks.append(_table(["hyperparameter", "share", "best near", "worst near"], words.effect_rows(data)))
    blocks += [f"- {text}" for text in data.edges]
    if data.residuals is not None:
        blocks += ["## Residuals", words.residual_note(data)]
    blocks += ["## Best trials", _trials(data), "## This run"]
    if data.command:
        blocks.append(f"```\n{data.command}\n```")
    blocks += [f"- {note}" for note in data.notes]
    about = {**data.best, **{k: v for k, v in data.settings.items() if v is not None}, **data.versions}
    blocks.append(_table(["", ""], [[k, words.plain(v)] for k, v in about.items()]))
    blocks.append(f"Data (sha256): `{data.fingerprint}`")
    return "\n\n".join(blocks) + "\n"


def _coverage(data: ReportData) -> str:
    parts = [
        f"{words.percent(share)} inside the {level} % interval" for level, share in data.coverage.items()
    ]
    return f"On the test tail {' and '.join(parts)}. {words.coverage_note(data)}" if parts else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "|".join([" --- "] + [" ---: "] * (len(head) - 1)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def _future(data: ReportData) -> str:
    found = data.forecasts
    assert found is not None
    head = ["", "forecast"] + [
        f"{side} {b.level:g} %" for b in found.future_bands for side in ("low", "high")
    ]
    rows = []
    for at, (stamp, value) in enumerate(zip(found.future_x, found.future, strict=True)):
        cells = [str(stamp), words.number(value, 5)]
        for band in found.future_bands:
            inside = at < len(band.low)
            cells += [words.number(side[at], 5) if inside else "-" for side in (band.low, band.high)]
        rows.append(cells)
    return _table(head, rows)


def _trials(data: ReportData) -> str:
    ranked = sorted((row for row in data.trials if row.value is not None), key=lambda row: row.value or 0.0)
    names = data.searched
    return _table(
        ["trial", "MAE", "epochs", *names],
        [
            [str(row.number), words.number(row.value), str(row.epochs)]
            + [words.plain(row.params.get(name, "")) for name in names]
            for row in ranked[:_SHOWN_TRIALS]
        ],
    )


def short_html(result: dict[str, Any], path: str | Path) -> str:
    """Verdict and errors of a run for a notebook, styled by the notebook's own theme."""
    test, verdict = result["test"], result["verdict"]
    rows = [("lstune", test["mae"], test["rmse"])]
    rows += [(words.label(name), e["mae"], e["rmse"]) for name, e in result["baselines"].items()]
    lines = "".join(
        f'<tr><td style="text-align:left">{escape(name)}</td><td>{words.number(mae)}</td>'
        f"<td>{words.number(rmse)}</td></tr>"
        for name, mae, rmse in rows
    )
    text = str(verdict["text"])
    report = Path(path) / "report.html"
    link = f'<a href="{escape(report.as_posix())}">{escape(report.as_posix())}</a>'
    best = escape(words.setting(result["best"]))
    return (
        f"<div><p><b>{escape(text[:1].upper() + text[1:])}</b></p>"
        f"<table><thead><tr><th>test tail, {test['rows']:,} rows</th><th>MAE</th><th>RMSE</th></tr></thead>"
        f"<tbody>{lines}</tbody></table><p>Best setting: {best}<br>Report: {link}</p></div>"
    )
