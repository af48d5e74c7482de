"""Warming up leaves nothing to compile, in a process of its own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numba
import numpy as np
import pytest

import lstune.engine
from lstune.engine import _jit
from lstune.engine._jit import JIT_DISABLED, Apart

warmup_module = import_module("lstune.engine.warmup")  # lstune.engine.warmup is the function

ENGINE = Path(lstune.engine.__file__).parent

# Lists every compiled entry of the package, warms up, trains what the warm-up did not, and prints the entries
# and how many compiled forms they have by then.
_SCRIPT = """
import pkgutil, importlib
import numpy as np
import lstune.engine as engine
from numba.core.dispatcher import Dispatcher
from lstune.engine import *
from lstune.engine._jit import Apart

for module in pkgutil.iter_modules(engine.__path__, "lstune.engine."):
    if not module.name.endswith("keras_format"):
        importlib.import_module(module.name)
import sys
entries = {
    f"{d.__module__}.{d.__name__}": d
    for name, module in sys.modules.items() if name.startswith("lstune")
    for d in (v.compiled if isinstance(v, Apart) else v for v in vars(module).values())
    if isinstance(d, Dispatcher) and d.targetoptions.get("no_cpython_wrapper") is None
}
warmup()
forms = {name: len(d.signatures) for name, d in entries.items()}
assert set(forms.values()) == {1}, forms
rng = np.random.default_rng(0)
x, y = rng.normal(size=(9, 6, 3)), rng.normal(size=(9, 6, 2))
x.flags.writeable = False
lstm = LSTM(5, "relu", dropout=0.1, return_sequences=True)
model = ModelConfig(3, (Dropout(0.1), lstm, Dense(7, "elu"), Dense(2)))
config = TrainConfig(
    epochs=2, batch_size=4, loss="pinball", supervision="every", burn_in=2,
    optimizer=OptimizerConfig("rmsprop", clipnorm=1.0),
)
data = Windows.from_arrays(x, y)
result = train(model, config, data, validation=data, score=lambda p: float(abs(p).mean()))
weights = result.weights.copy()
weights.flags.writeable = False
predict(model, weights, data)
print(sorted(entries), sum(len(d.signatures) for d in entries.values()))
"""


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_nothing_is_compiled_after_the_warm_up():
    done = _run(_SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['lstune.engine.loop._learn', 'lstune.engine.loop._span'] 2"


def test_a_cold_compilation_is_announced_once_on_stderr(tmp_path):
    code = "from lstune.engine.warmup import *; print(is_compiled()); prepare(); print(is_compiled())"
    cold = _run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert cold.returncode == 0, cold.stderr
    assert cold.stdout.split() == ["False", "True"]
    assert cold.stderr.count("\n") == 1
    assert "compiling" in cold.stderr
    assert "lstune warmup" in cold.stderr
    warm = _run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert warm.stdout.split() == ["True", "True"]
    assert warm.stderr == ""


def test_without_a_folder_for_the_cache_it_says_so_and_compiles_all_the_same():
    """As in a container that may write nowhere; what compiling itself takes is left out here."""
    done = _run(
        "from numba.core import caching; caching.CacheImpl._locator_classes = [];"
        "from importlib import import_module; warmup = import_module('lstune.engine.warmup');"
        "called = []; warmup._call_entry = lambda: called.append('entry');"
        "warmup.LEARN.address = lambda: called.append('learn');"
        "print(warmup.is_compiled()); warmup.prepare(); print(called, warmup.is_compiled())"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False", "['entry', 'learn'] True"]
    assert done.stderr.count("\n") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr


def test_code_for_other_vectors_is_not_taken_from_the_cache(monkeypatch):
    """NUMBA_CPU_NAME may give unlike processors one cache; memory is laid out by the width of vectors."""
    stamp = _jit.package_stamp()
    monkeypatch.setattr(_jit, "WIDTH", 2 * _jit.WIDTH)
    assert _jit.package_stamp.__wrapped__() != stamp
    assert warmup_module.ENTRY._cache._cache_file._source_stamp == stamp


def test_another_process_compiles_a_part_where_there_is_a_core(tmp_path, monkeypatch):
    monkeypatch.setattr(warmup_module, "available_cores", lambda: 2)
    with warmup_module._companion() as process:
        pass
    assert process.returncode == 0  # it found what this process has cached, or compiled it
    monkeypatch.setattr(warmup_module, "available_cores", lambda: 1)
    with warmup_module._companion() as process:
        assert process is None
    monkeypatch.setattr(warmup_module, "available_cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with warmup_module._companion() as process:
        assert process is None


def test_an_interrupted_compilation_takes_the_other_process_with_it(monkeypatch):
    monkeypatch.setattr(warmup_module, "available_cores", lambda: 2)
    companion = warmup_module._companion()
    process = companion.__enter__()
    assert process.poll() is None
    assert not companion.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)  # nor is it swallowed
    assert process.returncode not in (None, 0)


def test_only_the_one_module_decorates_kernels():
    """Flags live in one place: `njit` or `jit` is called in _jit.py alone."""
    callers = set()
    for path in ENGINE.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("njit", "jit", "vectorize", "guvectorize"):
                callers.add(path.name)
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
                callers.update(
                    path.name for alias in node.names if alias.name in ("njit", "jit", "vectorize")
                )
    assert callers == {"_jit.py"}


def test_kernels_also_run_as_plain_python():
    """With the JIT off indices are checked and coverage sees the lines; the numbers stay the twin's."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(Path(__file__).parent / "test_kernels.py"),
        ],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "[100%]" in done.stdout


@pytest.mark.skipif(JIT_DISABLED, reason="there is no address to call")
def test_a_piece_apart_is_called_by_its_address_and_with_its_own_types_alone():
    double = Apart(_double, "i8(f4[::1], i8)")
    call = double.call

    @numba.njit
    def through(address, values, count):
        return call(address, values, count)

    values = np.ones(3, np.float32)
    assert through(double.address(), values, 2) == 2
    assert values.tolist() == [2.0, 2.0, 1.0]
    with pytest.raises(TypeError, match="_double takes"):
        through(double.address(), values.astype(np.float64), 2)


def _double(values, count):
    for i in range(count):
        values[i] *= np.float32(2.0)
    return count


@pytest.mark.skipif(JIT_DISABLED, reason="there is no cache")
@pytest.mark.parametrize("name", ["nbi", "nbc"])
def test_a_damaged_cache_is_written_anew(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))

    def fresh():
        return Apart(_double, "i8(f4[::1], i8)")

    assert fresh().address()
    (file,) = tmp_path.rglob(f"*.{name}")
    whole = file.stat().st_size
    file.write_bytes(b"" if name == "nbi" else b"\x80\x05\x95")
    for said in (1, 0):
        piece = fresh()
        warmup_module._despite_cache(piece.compiled, piece.address)
        assert piece.address()
        assert capsys.readouterr().err.count("is damaged") == said
    assert file.stat().st_size == whole


@pytest.mark.skipif(JIT_DISABLED, reason="there is no cache")
def test_a_cache_that_takes_no_more_costs_nothing_but_the_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    piece = Apart(_double, "i8(f4[::1], i8)")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(piece.compiled._cache._cache_file, "_save_index", full)
    warmup_module._despite_cache(piece.compiled, piece.address)
    assert piece.address()
    assert capsys.readouterr().err == ""
