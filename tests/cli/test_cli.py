import errno
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lstune.cli import main as entry
from lstune.cli.app import app
from lstune.cli.display import LiveProgress, PlainProgress, make_progress, progress_line
from lstune.cli.table import WIDTH, forecast_table, format_number, result_table
from lstune.tuning.progress import Snapshot

COMMANDS = ["tune", "compare", "resume", "forecast", "report", "dashboard", "datasets", "warmup"]
TINY = [
    item
    for text in (
        "units=4",
        "lookback=6,12",
        "transform=level,difference",
        "supervision=every",
        "layers=1",
        "calendar=none",
        "lags=none",
        "level_input=false",
        "epochs=5",
        "stride=lookback/2",
    )
    for item in ("--set", text)
]


def call(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = 240
    path = tmp_path_factory.mktemp("data") / "shop.csv"
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2021-01-01", periods=rows, freq="D"),
            "sales": (50 + 9 * np.sin(np.arange(rows) * 2 * np.pi / 7) + rng.normal(size=rows)).round(3),
            "other": rng.normal(size=rows).round(3),
        }
    )
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def finished(file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    result = call("tune", file, "--target", "sales", "--trials", 3, *TINY, "--out", out)
    assert result.exit_code == 0, result.stderr
    return out, result


def test_after_a_run_a_table_that_fits_80_columns(finished):
    out, result = finished
    assert all(len(line) <= WIDTH for line in result.stdout.splitlines())
    for words in (
        "Series",
        "sales, 240 rows (D), 2021-01-01 to 2021-08-28",
        "Best",
        "Verdict",
        "naive",
        "drift",
    ):
        assert words in result.stdout
    assert str(out) in result.stdout
    assert "Searching ..." in result.stderr


def test_json_prints_the_result_alone(file, tmp_path):
    result = call(
        "tune", file, "--target", "sales", "--trials", 2, *TINY, "--out", tmp_path / "run", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == json.loads((tmp_path / "run" / "result.json").read_text())


def test_forecast_prints_writes_and_takes_newer_rows(finished, file, tmp_path):
    out, _ = finished
    shown = call("forecast", out, "--steps", 3)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0].split()[:2] == ["timestamp", "forecast"]
    assert [line.split()[0] for line in lines[1:]] == ["2021-08-29", "2021-08-30", "2021-08-31"]
    records = json.loads(call("forecast", out, "--steps", 2, "--json").stdout)
    assert [record["timestamp"][:10] for record in records] == ["2021-08-29", "2021-08-30"]
    assert call("forecast", out, "--steps", 4, "--out", tmp_path / "f.csv").stdout == ""
    assert len(pd.read_csv(tmp_path / "f.csv")) == 4
    assert call("forecast", out, "--json", "--steps", 4, "--out", tmp_path / "f.json").stdout == ""
    assert len(json.loads((tmp_path / "f.json").read_text())) == 4
    nowhere = call("forecast", out, "--out", tmp_path / "none" / "f.csv")
    assert nowhere.exit_code == 2
    assert "--out must name a file in a folder that exists" in nowhere.stderr
    refused = call("forecast", out, "--out", tmp_path / ("f" * 300 + ".csv"))
    assert refused.exit_code == 2
    assert "The forecast cannot be written" in refused.stderr
    longer = pd.read_csv(file)
    longer.loc[len(longer)] = ["2021-08-29", 50.0, 0.0]
    longer.to_csv(tmp_path / "newer.csv", index=False)
    newer = call("forecast", out, "--data", tmp_path / "newer.csv")
    assert newer.exit_code == 0, newer.stderr
    assert newer.stdout.splitlines()[1].startswith("2021-08-30")
    longer.loc[len(longer)] = ["2021-09-02", 50.0, 0.0]
    longer.to_csv(tmp_path / "newer.csv", index=False)
    told = call("forecast", out, "--data", tmp_path / "newer.csv").stderr
    assert "3 rows without a value of 'sales' filled from the past" in told


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("tune", "nosuchname"), "amzn"),
        (("tune", "missing.csv"), "missing.csv"),
        (("tune", "amzn", "--budget", "soon"), "60s, 10m or 2h"),
        (("tune", "amzn", "--method", "magic"), "tpe"),
        (("tune", "amzn", "--set", "units"), "NAME=VALUE"),
        (("tune", "amzn", "--set", "unit=3"), "units"),
        (("tune", "amzn", "--horizon", "0"), "horizon"),
        (("tune", "amzn", "--space", "nofile.toml"), "nofile.toml"),
        (("tune", "amzn", "--target", "nocolumn"), "nocolumn"),
        (("forecast", "norun"), "norun"),
        (("tune",), "DATA"),
        (("tune", "amzn", "--nonsense"), "--nonsense"),
        (("nonsense",), "nonsense"),
    ],
)
def test_user_errors_are_one_message_and_exit_code_2(args, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bad_file_names_its_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["day,sales"] + [f"2021-01-{d:02d},{'abc' if d == 9 else d}" for d in range(1, 31)]
    (tmp_path / "bad.csv").write_text("\n".join(lines))
    result = call("tune", "bad.csv")
    assert result.exit_code == 2
    assert "abc" in result.stderr or "10" in result.stderr


def test_a_failed_study_has_exit_code_1(file, tmp_path):
    settings = [*TINY, "--set", "learning_rate=1e30", "--set", "clipnorm=0", "--set", "loss=mse"]
    result = call("tune", file, "--target", "sales", "--trials", 2, *settings, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "Every trial failed" in result.stderr


def test_a_space_file_changes_the_space(file, tmp_path):
    text = 'epochs = 4\nunits = 3\nlookback = 5\ntransform = ["level"]\nsupervision = "every"\n'
    (tmp_path / "space.toml").write_text(text)
    args = ["--target", "sales", "--trials", 1, "--space", tmp_path / "space.toml", "--set", "units=2"]
    result = call("tune", file, *args, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.stderr
    best = json.loads(result.stdout)["best"]
    assert (best["units"], best["lookback"], best["epochs"]) == (2, 5, 4)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_fits_80_columns(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "..." not in result.stdout.replace("[OPTIONS]", "").replace("COMMAND [ARGS]...", "").replace(
        "..16", ""
    )


def test_every_option_of_tune_has_help():
    text = call("tune", "--help").stdout
    wanted = (
        "target timestamp features known horizon method trials budget test-fraction validation-fraction "
        "seed space workers out json set"
    )
    for name in wanted.split():
        assert f"--{name} " in text


def test_datasets_are_listed():
    result = call("datasets")
    assert result.exit_code == 0
    for name in ("amzn", "btc", "delhi"):
        assert f"\n{name}" in "\n" + result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def run_process(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "lstune", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        **kwargs,
    )


def test_the_command_as_a_process(file, tmp_path):
    args = ["--target", "sales", "--trials", 2, "--baselines", "simple", *TINY, "--json"]
    done = run_process("tune", file, *args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == 1
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 1
    assert folders[0].name.startswith("shop-")
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


def snapshot(**changes):
    base = {
        "seconds": 12.0,
        "left": 48.0,
        "trials": 7,
        "limit": None,
        "running": 2,
        "failed": 1,
        "best": 1.5,
        "naive": 2.0,
        "best_setting": {"units": 64, "learning_rate": 0.00123456},
    }
    return Snapshot(**{**base, **changes})


def test_progress_line():
    assert (
        progress_line(snapshot()) == "7 trials, 1 failed, best 1.500 against naive 2.000, -25.0 %, 48 s left"
    )
    assert (
        progress_line(snapshot(best=None, failed=0, left=None, limit=20))
        == "7 of 20 trials, naive 2.000, 12 s"
    )


def test_one_trial_is_no_trials():
    assert progress_line(snapshot(trials=1)).startswith("1 trial, 1 failed")
    assert progress_line(snapshot(trials=1, limit=1)).startswith("1 of 1 trial, ")


def test_plain_progress_prints_improvements_and_now_and_then(capsys):
    progress = PlainProgress(sys.stdout, pause=0.0, rest=60.0)
    progress.stage("Searching")
    for best in (2.0, 2.0, 1.0, 1.0, 1.0):
        progress.show(snapshot(best=best))
    progress.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Searching ..."
    assert len(lines) == 3


@pytest.mark.parametrize("terminal", [False, True])
def test_a_display_says_no_more_where_its_stream_breaks(terminal):
    """The reader of a pipe has ended, or the terminal was closed: the run is not about that."""
    calls, stdout = [], sys.stdout

    class Broken(io.StringIO):
        def isatty(self):
            return terminal

        def write(self, text):
            calls.append(text)
            if len(calls) > 1:
                raise OSError(errno.EIO if terminal else errno.EPIPE, "broken")
            return len(text)

    progress = make_progress(Broken())
    progress.note("a note")
    for _ in range(3):
        progress.show(snapshot())
    progress.note("another")
    assert sys.stdout is stdout
    said = len(calls)
    progress.stage("Writing")
    progress.close()
    assert len(calls) == said


def test_without_stderr_a_run_is_silent():
    make_progress(None).note("nobody hears it")


def test_ctrl_c_while_the_commands_are_loaded(monkeypatch, capsys):
    class Slow:
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "lstune.cli.app", Slow())
    monkeypatch.setattr(sys, "argv", ["lstune", "datasets"])
    with pytest.raises(SystemExit) as ended:
        entry.run()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Aborted.\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_that_cannot_redraw_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_progress(Terminal())._display, PlainProgress)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_progress(Terminal())._display, LiveProgress)


def test_the_clock_goes_on_after_the_search():
    progress = LiveProgress(Terminal())
    progress.show(snapshot())
    progress._shown -= 10.0
    assert progress._time(snapshot()) == "22 s, 38 s left"
    progress.close()


def test_live_progress_draws_and_cleans_up():
    stream = Terminal()
    progress = LiveProgress(stream)
    progress.note("a [note] on :car:")
    progress.stage("Searching")
    progress.show(snapshot())
    progress.stage("Writing")
    progress.show(snapshot(best=None, left=None))
    progress.close()
    progress.close()
    text = stream.getvalue()
    assert "a [note] on :car:" in text
    assert "best error" in text
    assert "-25.0 % to naive" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.23456, "1.235"),
        (1234.56, "1,235"),
        (0.000123456, "0.0001235"),
        (0, "0"),
        (-12.345, "-12.35"),
        (1.5e12, "1.500e+12"),
        (1e-9, "1.000e-09"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_format_number(value, text):
    assert format_number(value) == text


def test_tables_fit_80_columns_whatever_is_in_them():
    result = {
        "series": {
            "target": "a_rather_long_name_of_a_column",
            "rows": 1_234_567,
            "freq": "15min",
            "start": "2001-01-01T00:15:00",
            "end": "2031-01-01T00:00:00",
        },
        "trials": {"complete": 1000, "pruned": 20_000, "failed": 300},
        "seconds": {"total": 86_400.0},
        "best": {"transform": "seasonal_difference", "learning_rate": 0.0123, "optimizer": "rmsprop"}
        | dict.fromkeys("abcdefgh", 1),
        "forecaster": {"networks": 0, "settings": [], "baselines": {"seasonal_naive": 1.0}},
        "validation": {"mae": 1e12, "rmse": 1e-12},
        "test": {"rows": 100_000, "mae": 123456.0, "rmse": 234567.0},
        "baselines": {"seasonal_naive": {"mae": 1e15, "rmse": 1e15}, "naive": {"mae": 1.0, "rmse": 1.0}},
        "verdict": {"text": "no skill over seasonal naive: use the seasonal naive forecast " * 2},
    }
    text = result_table(result, "runs/" + "x" * 60)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    frame = pd.DataFrame(
        {"forecast": [1e9], "lower_80": [0.0], "lower_95": [-1.0], "upper_95": [1e9]},
        index=pd.DatetimeIndex(["2020-01-01 00:15"]),
    )
    assert all(len(line) <= WIDTH for line in forecast_table(frame).splitlines())


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_ends_the_search_and_the_run_finishes(file, tmp_path):
    import signal

    args = ["tune", str(file), "--target", "sales", "--trials", "100000", *TINY, "--set", "units=2..64"]
    args += ["--baselines", "simple"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lstune", *args, "--out", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = []
    for line in process.stderr:
        seen.append(line)
        if " trials, " in line:
            break
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=120)
    assert process.returncode == 0, "".join(seen) + rest
    assert "Interrupted: finishing with what was found" in rest
    assert "Verdict" in out
    assert json.loads((tmp_path / "run" / "result.json").read_text())["interrupted"]
