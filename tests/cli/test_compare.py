"""`lstune compare` on the command line: what it prints, its mistakes, Ctrl-C of a real process, its page."""

import json
import signal
import subprocess
import sys

import pytest

from lstune.cli.table import WIDTH, comparison_table
from lstune.report.comparison import figures_of, to_html

from .test_cli import TINY, call
from .test_cli import file as file  # the fixture

ARGS = ["--target", "sales", "--workers", 1, *TINY, "--set", "units=2..9", "--set", "patience=0"]


@pytest.fixture(scope="module")
def done(file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "comparison"
    args = ["--methods", "random,gp+none", "--seeds", 2, "--trials", 4, *ARGS, "--out", out]
    result = call("compare", file, *args)
    assert result.exit_code == 0, result.stderr
    return out, result, args


def test_the_table_fits_80_columns_and_says_what_was_found(done):
    out, result, _ = done
    assert all(len(line) <= WIDTH for line in result.stdout.splitlines())
    for words in (
        "random",
        "gp+none",
        "By seconds",
        "By epochs",
        "median",
        "to naive",
        "Lowest median error",
    ):
        assert words in result.stdout
    assert str(out) in result.stdout
    assert "4 searches of at most 4 trials each." in result.stderr
    assert "gp+none, seed 1 (4 of 4)" in result.stderr
    assert len([line for line in result.stderr.splitlines() if ": best " in line]) == 4


def test_json_prints_the_file_alone(done, file):
    out, _, args = done
    result = call("compare", file, *args, "--json")
    assert json.loads(result.stdout) == json.loads((out / "compare.json").read_text())


def test_the_total_time_is_said_before(file, tmp_path):
    args = ["--methods", "random,qmc", "--seeds", 1, "--budget", "1s", *ARGS, "--out", tmp_path / "run"]
    result = call("compare", file, *args)
    assert result.exit_code == 0, result.stderr
    assert "2 searches of at most 1 s each, 2 s in all." in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--methods", "random,magic"), "Methods are"),
        (("--methods", "tpe,tpe+asha"), "must differ"),
        (("--seeds", "0"), "seeds"),
        (("--budget", "soon"), "60s, 10m or 2h"),
        (("--read", "frequency=h"), "freq, repeats"),
        (("--set", "unit=3"), "units"),
        (("--trials", "0"), "trials"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(file, tmp_path, args, words):
    result = call("compare", file, "--target", "sales", *args, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_of_a_process_keeps_what_was_found(file, tmp_path):
    """The search has no limit that it could reach before the signal."""
    args = ["--methods", "random", "--seeds", "1", "--trials", "100000", *map(str, ARGS)]
    command = [sys.executable, "-m", "lstune", "compare", str(file), *args, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = []
    for line in process.stderr:
        seen.append(line)
        if " trials, " in line:
            break
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=120)
    assert process.returncode == 0, "".join(seen) + rest
    assert "Interrupted with 1 of 1 searches to go" in rest
    assert "random, seed 0: cut off, best" in rest
    assert "Missing   1 searches" in out
    curve = json.loads((tmp_path / "run" / "searches" / "random-0" / "curve.json").read_text())
    assert curve["points"]
    assert curve["seconds"] > 0


def test_the_page_holds_the_numbers_and_needs_no_network(done):
    out, _, _ = done
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert "Lowest median error at the end" in page
    assert not [part for part in page.split("src=")[1:] if part[:9].strip("\"'").startswith("http")]
    result = json.loads((out / "compare.json").read_text())
    figures = figures_of(result)
    assert set(figures) == {"seconds", "epochs"}
    for axis, figure in figures.items():
        lines = {trace["name"]: trace for trace in figure["data"] if trace.get("showlegend", True)}
        assert set(lines) == {"random", "gp+none"}
        for name, line in lines.items():
            curve = result["summary"]["curves"][axis][name]
            assert (line["x"], line["y"]) == (curve["x"], curve["median"])
            assert line["y"][-1] == result["summary"]["end"][name]["median"]


def test_names_in_a_page_are_escaped(done):
    result = json.loads((done[0] / "compare.json").read_text())
    result["series"]["name"] = "<script>alert(1)</script>"
    assert "<script>alert" not in to_html(result)


def test_a_table_fits_whatever_is_in_it(done):
    result = json.loads((done[0] / "compare.json").read_text())
    result["missing"] = 12
    for row in result["summary"]["end"].values():
        row.update(median=1234567.0, lowest=1e-9, highest=None, trials=100000, to_naive=None, seconds=86400.0)
    for axis in ("seconds", "epochs"):
        result["summary"][axis]["at"] = [8e4, 9e4, 86400.0]
    text = comparison_table(result, "runs/" + "x" * 60)
    assert all(len(line) <= WIDTH for line in text.splitlines())
