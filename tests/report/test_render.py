import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from lstune.cli.app import app
from lstune.errors import UserError
from lstune.report import collect, render, write_report
from lstune.report.data import Importance
from lstune.report.figures import figures
from lstune.report.figures._parts import plot_name, value_range
from lstune.report.words import coverage_note, effect_rows, number, ordinal


@pytest.fixture(scope="module")
def page(run):
    return (run.path / "report.html").read_text(encoding="utf-8")


def body(page):
    """The page without plotly.js."""
    return page[: page.index("<script>")] + page[page.index("</script>", page.index("<script>")) :]


def test_a_run_ends_with_its_report(run, page):
    from html import escape

    assert escape(run.verdict[1:]).replace(" %", "\N{NO-BREAK SPACE}%") in page
    assert len(page.encode()) < 6_000_000


def test_the_page_needs_no_network(page):
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", body(page))
    assert "@import" not in page.split("</style>")[0]


def test_every_figure_has_its_place(run, page):
    for name in figures(collect(run.path)):
        assert f'id="plot-{name}"' in page
    assert page.count('class="plot') == len(figures(collect(run.path)))


def test_names_cannot_break_the_page(undated):
    page = body((undated.path / "report.html").read_text(encoding="utf-8"))
    assert "<i>b" not in page.replace("<\\/script><i>b", "")
    assert page.count("</script>") == 3
    text = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(text)["figures"]["forecast"]


def test_shared_lists_are_written_once(run, page):
    data = collect(run.path)
    assert page.count(json.dumps(data.forecasts.x, separators=(",", ":"))) == 1


def test_json_holds_every_number(run):
    data = collect(run.path)
    found = json.loads(render(data, "json"))
    assert found["schema"] == 1
    assert found["verdict"]["text"] == run.verdict
    assert len(found["trials"]) == 14
    assert found["residuals"]["values"] == data.residuals.values


def test_markdown_has_the_verdict_and_the_tables(run):
    text = render(collect(run.path), "md")
    assert run.verdict[1:] in text
    assert "| lstune |" in text
    assert "## Best trials" in text
    widths = {
        len(line.split(" | ")) for line in text.split("## Best trials")[1].split("##")[0].splitlines() if line
    }
    assert len(widths) <= 2  # heading and rows agree; the rule line has no spaces round its bars


def test_a_notebook_shows_the_verdict(run):
    text = run._repr_html_()
    assert "<table>" in text
    assert run.verdict[1:20] in text
    assert "report.html" in text


def test_the_command_writes_and_prints(run, tmp_path):
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["report", str(run.path), "--out", str(out)])
    assert result.exit_code == 0
    assert result.stdout.strip() == str(out)
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    result = CliRunner().invoke(app, ["report", str(run.path), "--format", "json", "--out", "-"])
    assert json.loads(result.stdout)["horizon"] == 3
    result = CliRunner().invoke(app, ["report", str(run.path), "--format", "pdf"])
    assert result.exit_code == 2
    assert "html, md, json" in result.stderr


def test_an_unknown_format_is_refused(run):
    with pytest.raises(UserError, match="format"):
        render(None, "pdf")


def test_a_report_can_be_made_without_numba(run, tmp_path):
    code = (
        "import sys; sys.modules['numba'] = None; sys.argv = ['lstune', *sys.argv[1:]]\n"
        "from lstune.cli.main import run; run()"
    )
    out = tmp_path / "report.md"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(run.path), "--format", "md", "--out", str(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "# waves: value" in out.read_text(encoding="utf-8")


def test_it_is_made_in_a_moment(run, tmp_path):
    # Alone it takes 0.2 s; ten times that means that something has gone wrong.
    began = time.process_time()
    write_report(run.path, tmp_path / "report.html")
    assert time.process_time() - began < 2.0


def test_numbers_are_short():
    assert [number(v) for v in (None, float("nan"), 0.0, 12, 1234.5678, 0.00012345, 1.5e12)] == [
        "-",
        "-",
        "0",
        "12",
        "1,235",
        "0.0001234",
        "1.500e+12",
    ]


def test_intervals_that_fail_are_called_so(run):
    data = collect(run.path)
    assert coverage_note(replace(data, coverage={"80": 0.81, "95": 0.99})) == ""
    assert "too narrow: 40 %" in coverage_note(replace(data, coverage={"80": 0.40}))
    assert "too wide" in coverage_note(replace(data, coverage={"80": 0.95}))


def with_values(data, values):
    rows = [replace(data.trials[0], number=k, value=value) for k, value in enumerate(values)]
    return replace(data, trials=rows, naive_validation=None)


def test_runaway_trials_do_not_squeeze_the_others(run):
    data = collect(run.path)
    low, high = value_range(with_values(data, [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 90.0, 1e6]))
    assert low < 1.0
    assert 1.5 < high < 4.0
    assert value_range(with_values(data, [2.0, 2.0, 2.0])) == pytest.approx([1.9, 2.1])
    assert value_range(with_values(data, [2.0])) is None
    near = replace(with_values(data, [1.0, 1.1, 1.2, 1.3, 1.4]), naive_validation=1.9)
    assert value_range(near)[1] > 1.9
    far = replace(near, naive_validation=30.0)
    assert value_range(far)[1] < 2.0


def test_best_and_worst_values_are_told(run):
    found = Importance({"a": 0.6, "b": 0.001}, 50, 9, {"a": [(1, 0.2), (2, -0.1)], "b": [(1, 0.0), (2, 0.0)]})
    assert effect_rows(replace(collect(run.path), importance=found)) == [
        ("a", "60 %", "2 (-10.0 %)", "1 (+20.0 %)")
    ]


def test_names_of_columns_are_plain_text_in_plots(run):
    assert plot_name("<b>a</b> & $") == "&lt;b&gt;a&lt;/b&gt; &amp; $"
    # The page takes what begins with these for a colour, or for a list.
    assert plot_name("$model") == "&#36;model"
    assert plot_name("@3") == "&#64;3"
    assert plot_name("word " * 20) == "word word word word word wo..."
    drawn = figures(replace(collect(run.path), target="$ a share"))
    for name in ("forecast", "overview"):
        assert drawn[name]["layout"]["yaxis"]["title"]["text"] == "&#36; a share"


def test_numbers_are_words_of_good_english(run):
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 13, 21, 112)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "13th", "21st", "112th"]
    )
    one = replace(collect(run.path), counts={"complete": 1, "pruned": 0, "failed": 0})
    page = render(one)
    assert "every 3rd origin" in page
    assert "1 was trained to the end, 0 stopped early" in page
    assert "<b>1</b><span>setting tried in" in page
