"""Processes that have lstune in memory from their first moment: forked from one that has used it once.

Starting lstune anew takes two to three seconds of a core, nearly all of them imports. Tests that start, stop
or kill many processes are about what these do and leave behind. That a fresh interpreter does the same is the
matter of `tests/cli`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["COMMAND", "Process", "Server"]

COMMAND = "from lstune.cli.main import run; run()"

# Reads orders from stdin, a line each, and answers with a process's number. How a process ended is written to
# the file END of its order, negative for a signal.
_SERVER = """
import json, os, select, sys, tempfile, traceback
import numpy as np
import optuna.storages, pytest, sqlalchemy, typer.testing
import lstune, lstune.cli.app, lstune.cli.display, lstune.tuning.compare, lstune.tuning.resume

with tempfile.TemporaryDirectory() as folder:
    wave = np.sin(np.arange(150.0))
    lstune.tune(wave, trials=1, budget=20, space={"epochs": 1, "units": 4}, workers=1, out=folder + "/run")

def work(order):
    code = 1
    try:
        for descriptor, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, descriptor)
            os.close(file)
        os.chdir(order["cwd"])
        sys.argv = ["lstune", *order["args"]]
        exec(order["code"], {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

print("ready", flush=True)
ends = {}
while True:
    if select.select([sys.stdin], [], [], 0.01 if ends else None)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        order = json.loads(line)
        number = os.fork()
        if number == 0:
            work(order)
        ends[number] = order["end"]
        print(number, flush=True)
    while ends:
        number, status = os.waitpid(-1, os.WNOHANG)
        if number == 0:
            break
        with open(ends[number] + ".part", "w") as file:
            file.write(str(os.waitstatus_to_exitcode(status)))
        os.replace(ends[number] + ".part", ends.pop(number))
"""


class Process:
    """A process under way; `output` and `errors` are what it has written so far."""

    def __init__(self, number: int, files: Path) -> None:
        self.number = number
        self._files = files

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        end = self._files.with_suffix(".end")
        return int(end.read_text()) if end.exists() else None

    def wait(self, seconds: float = 120.0) -> int:
        """Wait for its end; raises TimeoutError."""
        until = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise TimeoutError(self.errors)
            time.sleep(0.005)
        return code

    def kill(self) -> None:
        """Kill it, at once and for good, unless it has ended; return when it is gone."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # ended at this moment
                os.kill(self.number, signal.SIGKILL)
        self.wait()

    @property
    def output(self) -> str:
        return self._files.with_suffix(".out").read_text()

    @property
    def errors(self) -> str:
        return self._files.with_suffix(".err").read_text()


class Server:
    """Starts processes; `close` it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []
        modules = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(modules)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout.readline() == "ready\n"

    def start(self, *args: object, code: str = COMMAND, cwd: str | Path = ".") -> Process:
        """Run `lstune ARGS`, or the Python `code` with these arguments, in the folder `cwd`."""
        files = self._folder / f"{len(self._started):06d}"
        ways = {key: str(files.with_suffix(f".{key}")) for key in ("out", "err", "end")}
        order = {"args": [str(arg) for arg in args], "code": code, "cwd": os.path.abspath(cwd), **ways}
        print(json.dumps(order), file=self._server.stdin, flush=True)
        self._started.append(Process(int(self._server.stdout.readline()), files))
        return self._started[-1]

    def close(self) -> None:
        """End everything."""
        for process in self._started:
            process.kill()
        self._server.communicate(timeout=60)
