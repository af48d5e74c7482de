"""The report as one HTML page: no network, light and dark, from a phone's width up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from lstune.report import words
from lstune.report.data import ErrorRow, ReportData
from lstune.report.figures import figures, first_view, slice_names

__all__ = ["make_page", "make_payload", "to_html"]

_SHORTEST = 24  # lists at least this long are written once and shared


def to_html(data: ReportData) -> str:
    """The page; about 4.9 MB, nearly all of it plotly.js."""
    drawn = figures(data)
    sections = [
        ("verdict", "Verdict", _verdict(data)),
        ("forecast", "Forecast", _forecast(data, drawn)),
        ("honest", "Validation and test", _honest(data)),
        ("search", "Search", _search(data, drawn)),
        ("mattered", "What mattered", _mattered(data, drawn)),
        ("residuals", "Residuals", _residuals(data, drawn)),
        ("trials", "Trials", _trials(data)),
        ("about", "This run", _about(data)),
    ]
    payload = make_payload(drawn, table=_table(data))
    return make_page(f"{data.name}: {data.target}", words.subtitle(data), sections, payload)


def make_page(title: str, subtitle: str, sections: Sequence[tuple[str, str, str]], payload: str) -> str:
    """A page of sections (key, title in the menu, HTML), empty ones left out, with what the script draws."""
    # Reading the file, rather than importing plotly, saves a second at the end of every run.
    library = resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    assets = resources.files("lstune.report").joinpath("assets")
    style = assets.joinpath("report.css").read_text(encoding="utf-8")
    script = assets.joinpath("report.js").read_text(encoding="utf-8")
    shown = [(key, title, body) for key, title, body in sections if body]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in shown)
    body = "".join(f'<section id="{key}">{text}</section>' for key, _, text in shown)
    title = escape(title)
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{title} - lstune</title><link rel="icon" href="data:,"><style>{style}</style>',
            f"<script>{library}</script></head>\n<body>",
            f'<div class="bar"><div><nav aria-label="Parts of the report">{links}</nav>',
            '<button id="theme" type="button">Dark</button></div></div>\n<main>',
            f'<header><h1>{title}</h1><p class="soft">{escape(subtitle)}</p></header>',
            body.replace(" %", "\N{NO-BREAK SPACE}%"),
            f'</main>\n<script id="data" type="application/json">{payload}</script>',
            f"<script>{script}</script></body></html>\n",
        ]
    )


# ---- the data for the script -----------------------------------------------------------------------------


def make_payload(drawn: dict[str, Any], **more: Any) -> str:
    """Figures (and `more`) as JSON for a script element; long lists that come twice are written once."""
    pool: list[Any] = []
    known: dict[str, int] = {}
    shared = _share(drawn, pool, known)
    found = {"figures": shared, "pool": pool, **more}
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


def _share(value: Any, pool: list[Any], known: dict[str, int]) -> Any:
    """The same with each long list of plain values exchanged for its place in the pool."""
    if isinstance(value, dict):
        return {key: _share(item, pool, known) for key, item in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) < _SHORTEST or isinstance(value[0], (dict, list)):
        return [_share(item, pool, known) for item in value]
    text = json.dumps(value)
    if text not in known:
        known[text] = len(pool)
        pool.append(value)
    return f"@{known[text]}"


_COLUMNS = ("trial", "state", "mae", "epochs", "seconds")


def _table(data: ReportData) -> dict[str, Any]:
    names = _named(data)
    rows = [
        [
            row.number,
            row.state,
            row.value,
            row.epochs,
            row.seconds,
            *(_cell(row.params.get(n)) for n in names),
            row.reason or None,
        ]
        for row in data.trials
    ]
    return {"columns": _headings(data), "rows": rows, "sort": 2, "best": data.best_trial}


def _named(data: ReportData) -> list[str]:
    return data.searched or sorted({name for row in data.trials for name in row.params})


def _headings(data: ReportData) -> list[str]:
    return [*_COLUMNS, *_named(data), "reason"]


def _cell(value: Any) -> Any:
    return str(value) if isinstance(value, bool) else value


# ---- sections --------------------------------------------------------------------------------------------


def _plot(name: str, drawn: dict[str, Any], label: str, kind: str = "") -> str:
    if name not in drawn:
        return ""
    return f'<div id="plot-{escape(name)}" class="plot {kind}" role="img" aria-label="{escape(label)}"></div>'


def _verdict(data: ReportData) -> str:
    kind = "yes" if data.verdict["has_skill"] else "no"
    more = f"Made of {words.mixture(data.mixture)}. Best setting: {words.setting(_brief(data))}."
    more = f"{more} {words.coverage_note(data)}".strip()
    own = next((row for row in data.errors if row.own), None)
    other = next((row for row in data.errors if row.name == data.verdict["label"]), None)
    facts = []
    if own is not None:
        facts.append((words.number(own.mae), f"mean absolute error on the test tail ({data.target})"))
    if other is not None:
        facts.append((words.number(other.mae), f"{other.name}, the best of the others, on the same rows"))
    for level, share in data.coverage.items():
        facts.append((words.percent(share), f"of the test tail inside the {level} % interval"))
    total = sum(data.counts.values())
    failed = f", {data.counts['failed']} failed" if data.counts.get("failed") else ""
    tried = "setting" if total == 1 else "settings"
    facts.append((f"{total:,}", f"{tried} tried in {words.duration(data.seconds.get('total'))}{failed}"))
    items = "".join(f"<li><b>{escape(value)}</b><span>{escape(label)}</span></li>" for value, label in facts)
    return (
        f'<div class="verdict {kind}"><p>{escape(words.headline(data))}</p><p>{escape(more)}</p></div>'
        f'<ul class="facts">{items}</ul>'
    )


def _brief(data: ReportData) -> dict[str, Any]:
    """The best setting without what was never searched."""
    return {k: v for k, v in data.best.items() if k in data.searched} or data.best


def _forecast(data: ReportData, drawn: dict[str, Any]) -> str:
    if "forecast" not in drawn and "overview" not in drawn:
        return f"<h2>Errors on the test tail</h2>{_errors(data)}"
    ahead = (
        f", joined end to end from every {words.ordinal(data.horizon)} origin"
        if data.horizon > 1
        else ", one step ahead"
    )
    found = data.forecasts
    hidden = (
        f" The first {found.hidden:,} rows of the tail are not drawn."
        if found and found.hidden >= data.horizon
        else ""
    )
    parts = [
        "<h2>Forecast</h2>",
        f'<p class="soft">The test tail{ahead}: no decision saw these rows. Then the coming rows. '
        f"Drag to zoom, double-click to return.{hidden}</p>",
        _views(data),
        _plot("forecast", drawn, "Test tail with forecasts, and the coming rows", "tall"),
        _errors(data),
    ]
    if "steps" in drawn:
        parts.append("<h3>Error at each step of the horizon</h3>")
        parts.append(_plot("steps", drawn, "Mean absolute error by step"))
    parts.append("<h3>The whole series</h3>")
    parts.append(_plot("overview", drawn, "The whole series with validation rows and test tail"))
    return "".join(parts)


def _views(data: ReportData) -> str:
    if data.forecasts is None or len(data.forecasts.x) <= first_view(data):
        return ""
    return (
        '<div class="views"><button type="button" data-view="latest" aria-pressed="true">Latest rows</button>'
        '<button type="button" data-view="all" aria-pressed="false">Whole tail</button></div>'
    )


def _errors(data: ReportData) -> str:
    full = any(row.mase is not None for row in data.errors if not row.own)
    lines = "".join(_error_line(row, full) for row in data.errors)
    extra = (
        "<th class='extra'>MASE</th><th class='extra'>sMAPE</th><th class='extra'>direction</th>"
        if full
        else ""
    )
    head = f"<tr><th>forecast</th><th>MAE</th><th>RMSE</th>{extra}<th>lstune is</th></tr>"
    note = (
        '<p class="soft">MASE: error in units of the seasonal naive error on earlier rows. Direction: share '
        "of moves whose sign was right; a forecast of no move counts half.</p>"
    )
    return (
        f'<h3>Errors on the test tail</h3><div class="wide"><table><thead>{head}</thead>'
        f"<tbody>{lines}</tbody></table></div>{note if full else ''}"
    )


def _error_line(row: ErrorRow, full: bool) -> str:
    cells = [f"<td>{escape(row.name)}</td><td>{words.number(row.mae)}</td><td>{words.number(row.rmse)}</td>"]
    if full:
        cells.append(f'<td class="extra">{words.number(row.mase, 3)}</td>')
        cells.append(f'<td class="extra">{words.number(row.smape, 3)} %</td>')
        cells.append(f'<td class="extra">{words.percent(row.direction)}</td>')
    cells.append(f"<td>{_versus(row.versus)}</td>")
    kind = ' class="own"' if row.own else ""
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _versus(ratio: float | None) -> str:
    if ratio is None:
        return ""
    size = f"{100 * abs(1 - ratio):.1f} %"
    return "the same" if size == "0.0 %" else f"{size} {'better' if ratio < 1 else 'worse'}"


def _honest(data: ReportData) -> str:
    if not data.honesty:
        return ""
    lines = "".join(
        f'<tr><td>{escape(row.name)}</td><td class="text">{escape(row.rows)}</td>'
        f"<td>{words.number(row.mae)}</td><td>{words.number(row.baseline_mae)}</td>"
        f"<td>{words.number(row.ratio, 3)}</td></tr>"
        for row in data.honesty
    )
    base = escape(data.honesty[0].baseline)
    head = f'<tr><th></th><th class="text">rows</th><th>MAE</th><th>{base}</th><th>ratio</th></tr>'
    optimism = ""
    if data.optimism is not None:
        optimism = (
            f" From the spread of the {len(data.trials)} trials, about {words.number(data.optimism, 2)} of "
            "the best validation error is expected to be luck."
        )
    return (
        "<h2>Validation and test</h2>"
        '<p class="soft">The best of many settings looks better on the rows it was chosen on than it is. '
        f"The two kinds of rows differ, so compare the ratios to {base}: lower is better, 1 is no gain."
        f"{optimism}</p>"
        f'<div class="wide"><table><thead>{head}</thead><tbody>{lines}</tbody></table></div>'
    )


def _search(data: ReportData, drawn: dict[str, Any]) -> str:
    if "progress" not in drawn:
        return ""
    parts = [
        "<h2>Search</h2>",
        f'<p class="soft">Each point is a setting with its error on the validation rows. {_counts(data)}</p>',
        _plot("progress", drawn, "Validation error of each trial, and the best so far"),
        '<div class="pair">',
    ]
    for name, title, label in (
        ("curves", "Learning curves of all trials", "Validation error by epoch"),
        ("training", "The best trial in training", "Loss on training and validation rows by epoch"),
        ("rungs", "Rungs", "Trials that trained so many epochs"),
    ):
        if name in drawn:
            parts.append(f"<div><h3>{title}</h3>{_plot(name, drawn, label)}</div>")
    return "".join(parts) + "</div>"


def _counts(data: ReportData) -> str:
    counts = data.counts
    whole = counts.get("complete", 0)
    return (
        f"{whole} {'was' if whole == 1 else 'were'} trained to the end, "
        f"{counts.get('pruned', 0)} stopped early, "
        f"{counts.get('failed', 0)} failed. Search {words.duration(data.seconds.get('search'))}, "
        f"training on more rows {words.duration(data.seconds.get('refit'))}."
    )


def _mattered(data: ReportData, drawn: dict[str, Any]) -> str:
    names = [name for name in slice_names(data) if f"slice-{name}" in drawn]
    if not names:
        return ""
    parts = ["<h2>What mattered</h2>", f'<p class="soft">{escape(words.importance_note(data))}</p>']
    if data.edges:
        items = "".join(f"<li>{escape(text)}</li>" for text in data.edges)
        parts.append(f'<ul class="notes">{items}</ul>')
    parts.append(_plot("importance", drawn, "Importance of each hyperparameter"))
    parts.append(_effects(data))
    parts.append(
        "<h3>Error by value</h3>"
        '<p class="soft">Validation error against each hyperparameter. Stronger points trained longer; '
        "the ring is the best.</p>"
    )
    slices = "".join(f"<div><h4>{escape(name)}</h4>{_small(name, drawn)}</div>" for name in names)
    parts.append(f'<div class="grid">{slices}</div>')
    if "parallel" in drawn:
        parts.append(
            "<h3>All together</h3>"
            '<p class="soft">One line for each trial, the best ones strongest. Drag along an axis to pick '
            "lines; drag its name to move it.</p>"
            f'<div class="wide">{_plot("parallel", drawn, "Settings of all trials", "tall")}</div>'
        )
    return "".join(parts)


def _effects(data: ReportData) -> str:
    rows = words.effect_rows(data)
    if not rows:
        return ""
    lines = "".join(
        f'<tr><td>{escape(name)}</td><td class="text">{escape(best)}</td>'
        f'<td class="text">{escape(worst)}</td></tr>'
        for name, _, best, worst in rows
    )
    return (
        '<div class="wide"><table><thead><tr><th>hyperparameter</th><th class="text">best near</th>'
        f'<th class="text">worst near</th></tr></thead><tbody>{lines}</tbody></table></div>'
        '<p class="soft">In brackets: the expected error there against the average setting, all else '
        "averaged out.</p>"
    )


def _small(name: str, drawn: dict[str, Any]) -> str:
    return _plot(f"slice-{name}", drawn, f"Validation error by {name}", "small")


def _residuals(data: ReportData, drawn: dict[str, Any]) -> str:
    if "residuals" not in drawn:
        return ""
    parts = [
        "<h2>Residuals</h2>",
        f'<p class="soft">What the forecast missed on the test tail, one step ahead. '
        f"{escape(words.residual_note(data))}</p>",
        _plot("residuals", drawn, "Residuals over time"),
        '<div class="pair">',
        f"<div><h3>How large they are</h3>{_plot('histogram', drawn, 'Histogram of residuals')}</div>",
    ]
    if "acf" in drawn:
        parts.append(
            f"<div><h3>Whether they repeat</h3>{_plot('acf', drawn, 'Autocorrelation of residuals')}</div>"
        )
    return "".join(parts) + "</div>"


def _trials(data: ReportData) -> str:
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in _headings(data)
    )
    return (
        '<h2>Trials</h2><p class="soft">Click a heading to sort. Filter by words, or by tests such as '
        "<code>units&gt;32</code>, <code>mae&lt;1.5</code>, <code>state=complete</code>.</p>"
        '<div class="tools"><input id="filter" type="search" placeholder="Filter trials" '
        'aria-label="Filter trials"><span id="shown" class="soft"></span></div>'
        f'<div class="scroll"><table id="trials"><thead><tr>{heads}</tr></thead>'
        "<tbody></tbody></table></div>"
    )


def _about(data: ReportData) -> str:
    parts = ["<h2>This run</h2>"]
    if data.command:
        parts.append(
            '<h3>The same again</h3><pre><code id="command">'
            f'{escape(data.command)}</code></pre><button type="button" data-copy="command">Copy</button>'
        )
    if data.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in data.notes)
        parts.append(f'<h3>What was done to the data</h3><ul class="notes">{notes}</ul>')
    options = {k: v for k, v in data.settings.items() if v is not None}
    options |= {k: words.duration(options[k]) for k in ("budget", "trial_timeout") if k in options}
    versions = {**data.versions, "data (sha256)": data.fingerprint or "-"}
    parts.append(f'<div class="pair"><div><h3>Best setting</h3>{_list(data.best)}</div><div>')
    parts.append(f"<h3>Options</h3>{_list(options)}<h3>Versions and data</h3>{_list(versions)}</div></div>")
    return "".join(parts)


def _list(values: dict[str, Any]) -> str:
    rows = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(words.plain(v))}</dd>" for k, v in values.items())
    return f"<dl>{rows}</dl>"
