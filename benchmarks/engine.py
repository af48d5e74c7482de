"""How fast the engine trains beside Keras on TensorFlow, Keras on JAX and torch, in one run on equal cores.

    python benchmarks/engine.py                       # all peers, U = 32, 64, 128, 256: some minutes
    python benchmarks/engine.py --units 32 --peers torch --repeats 1
    python benchmarks/engine.py --activation relu --layers 2 --json result.json

The task is N = 2000 windows of L = 60 steps with C = 1 channel, batches of 32, Adam, mean squared error on
the last step. Two trials are to be trained on two cores; the figure is seconds for one epoch of one trial:
wall-clock time / (trials * epochs).

- lstune: one process, two threads, one trial each.
- torch: two processes with one thread each, one trial each. nn.LSTM where it can be used (tanh), else a loop
  over the steps with the inputs' product taken out of it.
- Keras: one process that uses both cores for one trial after another, as Keras does by itself.

Every peer runs in a process of its own with its own environment, is compiled and warmed up by one epoch that
is not counted, and is measured `--repeats` times; the median counts. GFLOP/s are those of the recurrent
layers' products alone (forward, backward and weight gradient), for one core; their share is of what one core
reaches in float32 products of 1024 x 1024 matrices (numpy's BLAS, one thread, both cores busy) in the same
run. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

TASK = {"windows": 2000, "lookback": 60, "channels": 1, "batch": 32}
PEERS = ("lstune", "torch", "keras-jax", "keras-tensorflow")
TRIALS = 2
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
ONE_THREAD = dict.fromkeys(THREAD_LIMITS, "1")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "lstune": ONE_THREAD,
    "sgemm": ONE_THREAD,
    "torch": ONE_THREAD,
    "keras-jax": {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
    "keras-tensorflow": {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    },
}
# How many processes work at once, and how many trials they train meanwhile.
PROCESSES = {"lstune": 1, "torch": TRIALS, "keras-jax": 1, "keras-tensorflow": 1, "sgemm": TRIALS}
TRIALS_AT_ONCE = {"lstune": TRIALS, "torch": TRIALS, "keras-jax": 1, "keras-tensorflow": 1}
SGEMM_SIZE = 1024


def flops(units: int, layers: int) -> float:
    """Floating-point operations of the recurrent layers in one epoch of one trial."""
    rows = TASK["windows"] * TASK["lookback"]
    total, width = 0, TASK["channels"]
    for layer in range(layers):
        forward_and_gradient = 2 * (units + width)
        backward = units + (width if layer else 0)
        total += 2 * 4 * units * (forward_and_gradient + backward)
        width = units
    return float(rows * total)


# --- Workers: each returns a function that trains for one counted block


def _data() -> tuple[Any, Any]:
    import numpy as np

    rng = np.random.default_rng(1)
    x = rng.normal(size=(TASK["windows"], TASK["lookback"], TASK["channels"])).astype(np.float32)
    return x, x.mean(axis=(1, 2))[:, None]


def prepare_lstune(spec: dict[str, Any]) -> Callable[[], None]:
    from lstune.engine import TrainConfig, Windows, lstm_model, train

    x, y = _data()
    data = Windows.from_arrays(x, y)
    model = lstm_model(
        TASK["channels"], 1, units=spec["units"], layers=spec["layers"], activation=spec["activation"]
    )
    train(model, TrainConfig(epochs=1, batch_size=TASK["batch"]), data)
    config = TrainConfig(epochs=spec["epochs"], batch_size=TASK["batch"])

    def run() -> None:
        threads = [
            threading.Thread(target=train, args=(model, config, data), kwargs={"seed": n})
            for n in range(TRIALS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def prepare_keras(spec: dict[str, Any]) -> Callable[[], None]:
    import keras

    x, y = _data()
    stack = [keras.Input((TASK["lookback"], TASK["channels"]))]
    for layer in range(spec["layers"]):
        stack.append(
            keras.layers.LSTM(
                spec["units"], activation=spec["activation"], return_sequences=layer < spec["layers"] - 1
            )
        )
    model = keras.Sequential([*stack, keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, y, batch_size=TASK["batch"], epochs=1, verbose=0)
    return lambda: model.fit(x, y, batch_size=TASK["batch"], epochs=spec["epochs"], verbose=0)


def _torch_model(spec: dict[str, Any]) -> Any:
    import torch

    units, activation = spec["units"], getattr(torch, spec["activation"])

    class Looped(torch.nn.Module):
        """One LSTM layer with any activation, step by step."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.inputs = torch.nn.Linear(width, 4 * units)
            self.recurrent = torch.nn.Linear(units, 4 * units, bias=False)

        def forward(self, x: Any) -> Any:
            from_inputs = self.inputs(x)
            h = c = x.new_zeros(len(x), units)
            outputs = []
            for t in range(x.shape[1]):
                i, f, g, o = (from_inputs[:, t] + self.recurrent(h)).chunk(4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * activation(g)
                h = torch.sigmoid(o) * activation(c)
                outputs.append(h)
            return torch.stack(outputs, dim=1)

    class Forecaster(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width, layers = TASK["channels"], spec["layers"]
            if spec["activation"] == "tanh":
                self.lstm = torch.nn.LSTM(width, units, num_layers=layers, batch_first=True)
            else:
                self.lstm = torch.nn.Sequential(*[Looped(units if n else width) for n in range(layers)])
            self.head = torch.nn.Linear(units, 1)

        def forward(self, x: Any) -> Any:
            outputs = self.lstm(x)
            sequence = outputs[0] if isinstance(outputs, tuple) else outputs
            return self.head(sequence[:, -1])

    return Forecaster()


def prepare_torch(spec: dict[str, Any]) -> Callable[[], None]:
    import torch

    torch.set_num_threads(1)
    x, y = (torch.from_numpy(array) for array in _data())
    model = _torch_model(spec)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loss = torch.nn.MSELoss()

    def train(epochs: int) -> None:
        for _ in range(epochs):
            order, total = torch.randperm(len(x)), 0.0
            for start in range(0, len(x), TASK["batch"]):
                rows = order[start : start + TASK["batch"]]
                optimizer.zero_grad()
                value = loss(model(x[rows]), y[rows])
                value.backward()
                optimizer.step()
                total += value.item() * len(rows)

    train(1)
    return lambda: train(spec["epochs"])


def prepare_sgemm(spec: dict[str, Any]) -> Callable[[], None]:
    import numpy as np

    rng = np.random.default_rng(2)
    a, b = (rng.normal(size=(SGEMM_SIZE, SGEMM_SIZE)).astype(np.float32) for _ in range(2))
    out = np.empty_like(a)
    np.matmul(a, b, out=out)

    def run() -> None:
        for _ in range(spec["products"]):
            np.matmul(a, b, out=out)

    return run


PREPARE: dict[str, Callable[[dict[str, Any]], Callable[[], None]]] = {
    "lstune": prepare_lstune,
    "torch": prepare_torch,
    "keras-jax": prepare_keras,
    "keras-tensorflow": prepare_keras,
    "sgemm": prepare_sgemm,
}


def work(peer: str, spec: dict[str, Any]) -> None:
    """A worker's life: prepare, say so, then one block for each line read; its start and end are written."""
    TASK["lookback"] = spec.get("lookback", TASK["lookback"])
    run = PREPARE[peer](spec)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.monotonic()
        run()
        print(start, time.monotonic(), flush=True)


# --- The parent ------------------------------------------------------------


def _start(peer: str, spec: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, os.path.abspath(__file__), "--worker", peer, json.dumps(spec)]
    environment = {**os.environ, **ENVIRONMENTS[peer]}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
    )


def _line(worker: subprocess.Popen[str], peer: str) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"{peer} ended with exit code {worker.wait()} (see its message above)")
    return line


def measure(peer: str, spec: dict[str, Any], repeats: int) -> list[float]:
    """Wall-clock seconds of each counted block, from the first worker's start to the last one's end."""
    workers = [_start(peer, spec) for _ in range(PROCESSES[peer])]
    try:
        for worker in workers:
            while _line(worker, peer).strip() != "ready":
                pass
        blocks = []
        for _ in range(repeats):
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            spans = [[float(value) for value in _line(worker, peer).split()] for worker in workers]
            blocks.append(max(end for _, end in spans) - min(start for start, _ in spans))
        return blocks
    finally:
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait()


def sgemm_rate(repeats: int) -> float:
    """GFLOP/s of one core on large products while the other does the same."""
    products = 40
    seconds = statistics.median(measure("sgemm", {"products": products}, max(repeats, 3)))
    return products * 2 * SGEMM_SIZE**3 / seconds / 1e9


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything asked for; the record that is printed and saved."""
    core, rows = 0.0, []
    for units in arguments.units:
        spec = {
            "units": units,
            "layers": arguments.layers,
            "activation": arguments.activation,
            "epochs": arguments.epochs,
            "lookback": TASK["lookback"],
        }
        row: dict[str, Any] = {"units": units, "seconds": {}, "spread": {}}
        # Again for each row, since clocks and neighbours change; the best seen is what a core reaches.
        core = max(core, sgemm_rate(arguments.repeats))
        for peer in arguments.peers:
            blocks = measure(peer, spec, arguments.repeats)
            each = [seconds / (TRIALS_AT_ONCE[peer] * arguments.epochs) for seconds in blocks]
            row["seconds"][peer] = statistics.median(each)
            row["spread"][peer] = [min(each), max(each)]
            print(f"  U={units} {peer}: {row['seconds'][peer]:.4f} s", file=sys.stderr, flush=True)
        if "lstune" in row["seconds"]:
            ours = row["seconds"]["lstune"]
            # Two trials on two cores: one core takes twice as long for an epoch as the figure says.
            row["gflops"] = flops(units, arguments.layers) / (ours * TRIALS) / 1e9
            row["times_faster"] = {p: s / ours for p, s in row["seconds"].items() if p != "lstune"}
        rows.append(row)
    for row in rows:
        if "gflops" in row:
            row["share"] = row["gflops"] / core
    settings = {name: getattr(arguments, name) for name in ("activation", "layers", "repeats", "epochs")}
    machine = {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "sgemm_gflops": core}
    return {"task": TASK, "settings": settings, "machine": machine, "rows": rows}


def table(record: dict[str, Any]) -> str:
    """The record for people."""
    settings, machine = record["settings"], record["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; large products: "
        f"{machine['sgemm_gflops']:.0f} GFLOP/s on one core",
        f"N={TASK['windows']} L={TASK['lookback']} C={TASK['channels']} B={TASK['batch']}, Adam, "
        f"{settings['activation']}, {settings['layers']} layer(s); seconds for an epoch of one trial, "
        f"median of {settings['repeats']} (times lstune)",
        "",
    ]
    peers = list(record["rows"][0]["seconds"])
    lines.append("".join(["    U"] + [f"{peer:>26}" for peer in peers] + ["  GFLOP/s/core  share"]))
    for row in record["rows"]:
        cells = [f"{row['units']:>5}"]
        for peer in peers:
            ratio = row.get("times_faster", {}).get(peer)
            cells.append(f"{row['seconds'][peer]:>17.4f}" + (f" ({ratio:5.1f}x)" if ratio else " " * 9))
        if "gflops" in row:
            cells.append(f"{row['gflops']:>14.0f} {row['share']:>6.0%}")
        lines.append("".join(cells))
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--worker":
        work(sys.argv[2], json.loads(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description="Training speed beside Keras and torch, in one run.")
    parser.add_argument("--units", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--activation", choices=["tanh", "relu", "sigmoid"], default="tanh")
    parser.add_argument("--layers", type=int, choices=[1, 2], default=1)
    parser.add_argument("--lookback", type=int, default=TASK["lookback"], help="steps of a window")
    parser.add_argument("--repeats", type=int, default=3, help="counted blocks for each figure")
    parser.add_argument("--epochs", type=int, default=2, help="epochs in a counted block")
    parser.add_argument("--cores", type=int, default=2, help="cores that all peers are kept to")
    parser.add_argument("--json", help="also save everything measured to this file")
    arguments = parser.parse_args()
    TASK["lookback"] = arguments.lookback
    if "lstune" not in arguments.peers:
        arguments.peers = ["lstune", *arguments.peers]
    allowed = sorted(os.sched_getaffinity(0))
    # Inherited by every worker, so that a larger machine measures the same thing.
    os.sched_setaffinity(0, allowed[: arguments.cores])
    record = run(arguments)
    print(table(record))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
