"""`lstune dashboard` on a small run, started for real."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

import lstune

from .test_cli import TINY, call


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    values = 9 + np.sin(np.arange(240) * 0.9) + 0.1 * rng.normal(size=240)
    (folder / "waves.csv").write_text("\n".join(["height", *map(str, values)]))
    out = folder / "night-run"
    done = call("tune", folder / "waves.csv", "--trials", 4, *TINY, "--out", out)
    assert done.exit_code == 0, done.stderr
    return out


def get(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read().decode()


def start(*args, env=None):
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "lstune", "dashboard", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_it_serves_the_study_and_ends_on_ctrl_c(run):
    pytest.importorskip("optuna_dashboard")
    process = start(run, "--port", 0)
    try:
        line = process.stderr.readline()
        assert line.startswith("Open http://127.0.0.1:"), line + process.stderr.read()
        address = line.split()[1]
        base = address.split("/dashboard")[0]
        assert "<html" in get(address).lower()
        (study,) = json.loads(get(f"{base}/api/studies"))["study_summaries"]
        assert study["study_name"] == "night-run"
        detail = json.loads(get(f"{base}/api/studies/{study['study_id']}?after=0"))
        assert detail["objective_names"] == ["validation MAE"]
        known = lstune.load(run).trials
        assert len(detail["trials"]) == len(known) == 4
        for trial, mae in zip(detail["trials"], known["validation_mae"], strict=True):
            assert trial["values"] == [pytest.approx(mae, rel=1e-4)]
            assert trial["state"] in ("Complete", "Pruned")
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_told(run):
    pytest.importorskip("optuna_dashboard")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = call("dashboard", run, "--port", taken.getsockname()[1])
    assert result.exit_code == 2
    assert "--port" in result.stderr


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_is_none_is_told(run, port):
    pytest.importorskip("optuna_dashboard")
    result = call("dashboard", run, "--port", port)
    assert result.exit_code == 2
    assert "--port" in result.stderr


def test_without_the_package_the_extra_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    result = call("dashboard", run)
    assert result.exit_code == 2
    assert "pip install 'lstune[dashboard]'" in result.stderr


def test_a_folder_without_a_run(tmp_path):
    result = call("dashboard", tmp_path)
    assert result.exit_code == 2
    assert "settings.json" in result.stderr
    assert os.listdir(tmp_path) == []


def test_a_run_that_was_resumed_is_under_way_again(run, tmp_path):
    import shutil

    from lstune.tuning.dashboard import _ended
    from lstune.tuning.folder import RunFolder

    folder = RunFolder(shutil.copytree(run, tmp_path / "run"))
    os.utime(folder.trials, (1000, 1000))
    os.utime(folder.result, (1001, 1001))
    assert _ended(folder)
    os.utime(folder.trials, (1002, 1002))
    assert not _ended(folder)
    folder.result.unlink()
    assert not _ended(folder)
