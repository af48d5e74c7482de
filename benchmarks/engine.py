"""How fast the engine trains beside Keras on TensorFlow, Keras on JAX and torch, in one run on equal cores.

    python benchmarks/engine.py                       # all peers, U = 32, 64, 128, 256: some minutes
    python benchmarks/engine.py --units 32 --peers torch --repeats 1
    python benchmarks/engine.py --activation relu --layers 2 --json result.json
    python benchmarks/engine.py --cores 16 --peers torch-cuda --batch 256     # beside a GPU

The task is N = 2000 windows of L = 60 steps with C = 1 channel, batches of 32, Adam, mean squared error on
the last step. As many trials are to be trained as there are cores, two by default; the figure is seconds for
one epoch of one trial: wall-clock time / (trials * epochs).

- lstune: one process, a thread for each core, one trial each.
- torch: a process with one thread for each core, one trial each. nn.LSTM where it can be used (tanh), else a
  loop over the steps with the inputs' product taken out of it.
- torch-cuda: the same model and as many processes on one GPU, which holds all the data; only if asked for.
- Keras: one process that uses all cores for one trial after another, as Keras does by itself.

Every peer runs in a process of its own with its own environment, is compiled and warmed up by one epoch that
is not counted, and is measured `--repeats` times, in turn with the others; the median counts. GFLOP/s are
those of the recurrent layers' products alone (forward, backward and weight gradient), for one core; their
share is of what one core reaches in float32 products of 1024 x 1024 matrices (numpy's BLAS, one thread, all
cores busy) in the same run. Needs the extra `bench`.
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
ONLY_IF_ASKED = ("torch-cuda",)
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
ONE_THREAD = dict.fromkeys(THREAD_LIMITS, "1")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "lstune": ONE_THREAD,
    "sgemm": ONE_THREAD,
    "torch": ONE_THREAD,
    "torch-cuda": ONE_THREAD,
    "keras-jax": {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
    "keras-tensorflow": {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    },
}
# Those with a process for each trial, and those that train one trial after another.
PROCESS_EACH = ("torch", "torch-cuda", "sgemm")
ONE_BY_ONE = ("keras-jax", "keras-tensorflow")
SGEMM_SIZE, PRODUCTS = 1024, 40


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
    from lstune.engine import TrainConfig, Windows, init_state, lstm_model, train

    x, y = _data()
    data = Windows.from_arrays(x, y)
    model = lstm_model(
        TASK["channels"], 1, units=spec["units"], layers=spec["layers"], activation=spec["activation"]
    )
    train(model, TrainConfig(epochs=1, batch_size=TASK["batch"]), data)
    config = TrainConfig(epochs=spec["epochs"], batch_size=TASK["batch"])
    # Their first weights are drawn here, as those of the peers are.
    states = [init_state(model, config, seed) for seed in range(spec["trials"])]

    def run() -> None:
        threads = [
            threading.Thread(target=train, args=(model, config, data), kwargs={"state": state})
            for state in states
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
    device = spec["device"]
    x, y = (torch.from_numpy(array).to(device) for array in _data())
    model = _torch_model(spec).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loss = torch.nn.MSELoss()

    def train(epochs: int) -> None:
        for _ in range(epochs):
            order, total = torch.randperm(len(x), device=device), torch.zeros((), device=device)
            for start in range(0, len(x), TASK["batch"]):
                rows = order[start : start + TASK["batch"]]
                optimizer.zero_grad()
                value = loss(model(x[rows]), y[rows])
                value.backward()
                optimizer.step()
                # Looked at once an epoch: a GPU would wait for each look.
                total += value.detach() * len(rows)
            total.item()

    train(1)
    return lambda: train(spec["epochs"])


def prepare_sgemm(spec: dict[str, Any]) -> Callable[[], None]:
    import numpy as np

    rng = np.random.default_rng(2)
    a, b = (rng.normal(size=(SGEMM_SIZE, SGEMM_SIZE)).astype(np.float32) for _ in range(2))
    out = np.empty_like(a)
    np.matmul(a, b, out=out)

    def run() -> None:
        for _ in range(PRODUCTS):
            np.matmul(a, b, out=out)

    return run


PREPARE: dict[str, Callable[[dict[str, Any]], Callable[[], None]]] = {
    "lstune": prepare_lstune,
    "torch": lambda spec: prepare_torch({**spec, "device": "cpu"}),
    "torch-cuda": lambda spec: prepare_torch({**spec, "device": "cuda"}),
    "keras-jax": prepare_keras,
    "keras-tensorflow": prepare_keras,
    "sgemm": prepare_sgemm,
}


def work(peer: str, spec: dict[str, Any]) -> None:
    """A worker's life: prepare, say so, then one block for each line read; its start and end are written."""
    TASK.update(spec.get("task", {}))
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


class Workers:
    """The processes of one peer."""

    def __init__(self, peer: str, spec: dict[str, Any]) -> None:
        self.peer = peer
        self._workers = [_start(peer, spec) for _ in range(spec["trials"] if peer in PROCESS_EACH else 1)]

    def get_ready(self) -> None:
        """Wait until all are compiled and warmed up."""
        for worker in self._workers:
            while _line(worker, self.peer).strip() != "ready":
                pass

    def block(self) -> float:
        """Wall-clock seconds of one counted block, from the first worker's start to the last one's end."""
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        spans = [[float(value) for value in _line(worker, self.peer).split()] for worker in self._workers]
        return max(end for _, end in spans) - min(start for start, _ in spans)

    def end(self) -> None:
        """Let the processes go."""
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait()


def measure(peers: list[str], spec: dict[str, Any], repeats: int) -> dict[str, list[float]]:
    """Each peer's blocks. They take turns, so that a slow spell of the machine meets them all."""
    teams: list[Workers] = []
    try:
        for peer in peers:
            teams.append(Workers(peer, spec))  # one after another: compiling would slow the others down
            teams[-1].get_ready()
        blocks: dict[str, list[float]] = {peer: [] for peer in peers}
        for _ in range(repeats):
            for team in teams:
                blocks[team.peer].append(team.block())
        return blocks
    finally:
        for team in teams:
            team.end()


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
    core, rows, cores = 0.0, [], len(os.sched_getaffinity(0))
    for units in arguments.units:
        spec = {
            "units": units,
            "layers": arguments.layers,
            "activation": arguments.activation,
            "epochs": arguments.epochs,
            "trials": cores,
            "task": TASK,
        }
        row: dict[str, Any] = {"units": units, "seconds": {}, "spread": {}}
        blocks = measure(["sgemm", *arguments.peers], spec, arguments.repeats)
        # In each row, since clocks and neighbours change; the best seen is what a core reaches.
        products = PRODUCTS * 2 * SGEMM_SIZE**3 / statistics.median(blocks.pop("sgemm")) / 1e9
        core = max(core, products)
        for peer, spans in blocks.items():
            trials = 1 if peer in ONE_BY_ONE else cores
            each = [seconds / (trials * arguments.epochs) for seconds in spans]
            row["seconds"][peer] = statistics.median(each)
            row["spread"][peer] = [min(each), max(each)]
            print(f"  U={units} {peer}: {row['seconds'][peer]:.4f} s", file=sys.stderr, flush=True)
        if "lstune" in row["seconds"]:
            ours = row["seconds"]["lstune"]
            # A trial on each core: one core takes that many times as long for an epoch as the figure says.
            row["gflops"] = flops(units, arguments.layers) / (ours * cores) / 1e9
            row["times_faster"] = {p: s / ours for p, s in row["seconds"].items() if p != "lstune"}
        rows.append(row)
    for row in rows:
        if "gflops" in row:
            row["share"] = row["gflops"] / core
    settings = {name: getattr(arguments, name) for name in ("activation", "layers", "repeats", "epochs")}
    machine = {"processor": _processor(), "cores": cores, "sgemm_gflops": core}
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
    parser.add_argument("--peers", nargs="+", choices=[*PEERS, *ONLY_IF_ASKED], default=list(PEERS))
    parser.add_argument("--activation", choices=["tanh", "relu", "sigmoid"], default="tanh")
    parser.add_argument("--layers", type=int, choices=[1, 2], default=1)
    parser.add_argument("--lookback", type=int, default=TASK["lookback"], help="steps of a window")
    parser.add_argument("--batch", type=int, default=TASK["batch"], help="windows of a batch")
    parser.add_argument("--repeats", type=int, default=3, help="counted blocks for each figure")
    parser.add_argument("--epochs", type=int, default=2, help="epochs in a counted block")
    parser.add_argument("--cores", type=int, default=2, help="cores that all peers are kept to")
    parser.add_argument("--json", help="also save everything measured to this file")
    arguments = parser.parse_args()
    TASK.update(lookback=arguments.lookback, batch=arguments.batch)
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
