"""Pages about a run: computed first (`collect`), drawn second; the only place that knows plotly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["FORMATS", "collect", "render", "short_html", "write_comparison", "write_report"]

FORMATS = {"html": "report.html", "md": "report.md", "json": "report.json"}


def collect(folder: str | Path) -> Any:
    """The `ReportData` of a finished run's folder. Raises RunError if it is none."""
    from lstune.report.gather import collect as collect_run

    return collect_run(folder)


def render(data: Any, format: str = "html") -> str:
    """A report as text: "html" (one page that needs no network), "md" or "json".

    Raises UserError for another format.
    """
    from lstune.errors import UserError, explain

    if format not in FORMATS:
        raise UserError(explain(f"A report's format must be one of {', '.join(FORMATS)}", format))
    if format == "html":
        from lstune.report.page import to_html

        return to_html(data)
    from lstune.report import text

    return text.to_markdown(data) if format == "md" else text.to_json(data)


def write_report(folder: str | Path, out: str | Path | None = None, format: str = "html") -> Path:
    """Make the report of a run's folder and write it, by default into that folder; returns its path.

    Raises RunError if the folder holds no finished run or the file cannot be written.
    """
    from lstune.errors import RunError, explain
    from lstune.files import write_whole

    page = render(collect(folder), format)
    path = Path(folder) / FORMATS[format] if out is None else Path(out)
    try:
        write_whole(path, page)
    except OSError as error:
        raise RunError(explain("The report cannot be written", f"{path}: {error.strerror}")) from None
    return path


def write_comparison(result: dict[str, Any], path: Path) -> None:
    """Write the page of a comparison of methods; `result` is the content of its compare.json."""
    from lstune.files import write_whole
    from lstune.report.comparison import to_html

    write_whole(path, to_html(result))


def short_html(result: dict[str, Any], path: str | Path) -> str:
    """A run in a notebook: verdict, errors and where the full report is."""
    from lstune.report.text import short_html as short

    return short(result, path)
