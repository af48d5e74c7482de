"""The example notebook runs from end to end."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "keras_tuner_migration.py"

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("keras")
    code = EXAMPLE.read_text(encoding="utf-8")
    quick = code.replace("MAX_EPOCHS = 10", "MAX_EPOCHS = 2").replace("max_value=128", "max_value=64")
    assert quick.count("MAX_EPOCHS = 2") == quick.count("max_value=64") == 1
    path = tmp_path / EXAMPLE.name
    path.write_text(quick, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(path))
    printed = capsys.readouterr().out
    assert "Trained by: lstune" in printed
    assert "Trained by: keras" not in printed
    assert "naive" in printed
    assert (tmp_path / "amzn.keras").exists()
    assert (tmp_path / "forecast.html").stat().st_size > 10_000
    assert names["best_hps"].get("units") in (32, 64)
