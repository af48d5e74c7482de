"""A run's folder: where its files are, and who may work in it.

settings.json (how the run was asked for), study.journal, trials.csv, states/ (paused trials), series.npz (the
rows the run works on), model/ (the forecaster), predictions.npz (forecasts of the validation rows and of
the test tail), result.json, forecast.csv, report.html.
"""

from __future__ import annotations

import csv
import errno
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from lstune.errors import RunError, StorageError, UserError, explain
from lstune.files import read_object, write_whole
from lstune.report.read import RESULT_NAMES

__all__ = ["BROKEN_DISK", "RunFolder", "default_folder", "disk_errors"]

SETTINGS_SCHEMA = 1
_FULL = {errno.ENOSPC, errno.EDQUOT}
# What no other trial would fare better with: disk full, quota used up, files too large for the user's limit,
# file system read-only, disk broken, files of another user.
BROKEN_DISK = _FULL | {errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
# What a folder gives that was removed, or moved, under a process that works in it.
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}


def default_folder(name: str, now: datetime | None = None) -> RunFolder:
    """runs/NAME-DATE-TIME in the current folder, with a number behind it if that is taken when it is made."""
    plain = "".join(char if char.isalnum() or char in "-_" else "-" for char in name).strip("-") or "series"
    stamp = (now or datetime.now()).strftime("%Y%m%d-%H%M%S")
    return RunFolder(Path("runs") / f"{plain}-{stamp}", own=True)


@contextmanager
def disk_errors(folder: RunFolder, go_on: str | None = None) -> Iterator[None]:
    """A full or broken disk, or database, as a StorageError that says how to go on.

    `go_on` is what to do after mending it; `lstune resume` or starting again if None.
    """
    try:
        yield
    except (StorageError, OSError) as error:
        cause = error.__cause__ if isinstance(error, StorageError) else error
        if isinstance(cause, OSError) and cause.errno in _GONE and folder.lacks(cause.filename):
            raise StorageError(
                explain(
                    "The run's folder is gone, or a file of it that the run needs",
                    str(cause.filename or folder.path),
                    "Start again with another --out",
                )
            ) from error
        if isinstance(error, StorageError):
            raise StorageError(f"{error} Mend that, and {go_on or _go_on(folder)}") from error
        if error.errno not in BROKEN_DISK:
            raise
        said = os.strerror(error.errno) + (f": {error.filename}" if error.filename else "")
        what = "Make room" if error.errno in _FULL else "Mend that"
        fix = f"{what}, and {go_on or _go_on(folder)}"
        raise StorageError(explain("The run cannot be written to its disk any more", said, fix)) from error


def _go_on(folder: RunFolder) -> str:
    if not (folder.path / _FILES["settings"]).exists():
        return "start again."
    return f"go on with: lstune resume {folder.path} (finished trials are kept)"


class RunFolder:
    """Paths of a run's files, and a lock that one process holds while it works in the folder.

    own: whether the folder is to be a new one: it gets a number where there is one of the name.
    """

    def __init__(self, path: str | Path, own: bool = False) -> None:
        if not isinstance(path, (str, Path)) or "\0" in str(path):
            raise UserError(explain("A run's folder is named by text", repr(path)))
        self.path = Path(path)
        self._own = own
        self._lock: Any = None
        self._lines: dict[int, tuple[Any, str]] = {}

    def __getattr__(self, name: str) -> Path:
        try:
            return self.path / _FILES[name]
        except KeyError:
            raise AttributeError(name) from None

    def create(self) -> None:
        """Make the folder. Raises RunError if it holds a run already, or cannot be made."""
        with self._made():
            taken = (self.path / _FILES["settings"]).exists()
        if taken and not self._own:
            raise RunError(
                explain(
                    "A new run needs a folder of its own", str(self.path), "Choose another one with --out"
                )
            )
        self.make()

    def make(self) -> None:
        """Make the folder if it is not there. Raises RunError if it cannot be made."""
        with self._made():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            named = self.path.name
            for number in itertools.count(2):
                try:
                    # Two runs that begin in the same second ask for the same one.
                    self.path.mkdir(exist_ok=not self._own)
                    break
                except FileExistsError:
                    if not self._own:
                        raise
                    self.path = self.path.with_name(f"{named}-{number}")
            self._own = False

    def is_there(self) -> bool:
        """Whether the folder is there. Raises RunError if there can be none of that name."""
        with self._made():
            return not self._own and self.path.exists()

    @contextmanager
    def _made(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                explain("The run's folder cannot be made", f"{self.path}: {error.strerror}")
            ) from None

    def acquire(self) -> None:
        """Take the folder's lock, which dies with the process. Raises RunError if another process has it."""
        path = self.path / ".lock"
        while self._lock is None:
            try:
                lock = open(path, "a")  # noqa: SIM115
            except OSError as error:
                rule = "A run's folder must be one that can be written to"
                raise RunError(explain(rule, f"{self.path}: {error.strerror}")) from None
            if not _try_lock(lock):
                lock.close()
                raise RunError(
                    explain(
                        "Another process is working in this run's folder",
                        str(self.path),
                        "Wait until it has ended",
                    )
                )
            if _is_there(lock, path):
                self._lock = lock
            else:  # its owner removed it between the two calls: who comes next would lock another file
                lock.close()

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        path = self.path / ".lock"
        # Removed while it is held, see `acquire`; Windows removes no open file, and so none that is held.
        with suppress(OSError):
            path.unlink()
        lock.close()
        if os.name == "nt":
            with suppress(OSError):
                path.unlink()

    def lacks(self, file: Any) -> bool:
        """Whether `file`, of which an error says that it is missing, was to be in the folder."""
        if not isinstance(file, (str, Path)) or not self.path.is_dir():
            return not self.path.is_dir()
        return Path(os.path.abspath(file)).is_relative_to(os.path.abspath(self.path))

    def has_trials(self) -> bool:
        """Whether any trial was ever told here."""
        try:
            return len(self.trials.read_bytes().splitlines()) > 1
        except OSError:
            return False

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write one of the folder's JSON files; numbers that are not finite become null."""
        write_whole(getattr(self, name), json.dumps(_finite(data), indent=2, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one of the folder's JSON files. Raises RunError if it is missing or damaged."""
        path = getattr(self, name)
        try:
            return read_object(path, _NAMES.get(name, ()))
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(explain(f"A run's folder holds {path.name}", str(self.path), _FIX)) from None
        except OSError as error:
            raise RunError(explain(f"{path.name} cannot be read", f"{path}: {error.strerror}")) from None
        except ValueError as error:
            raise RunError(explain(f"{path.name} is damaged", f"{path}: {error}")) from None

    def write_trials(self, trials: Iterable[Any], names: Sequence[str]) -> None:
        """Write trials.csv anew: a line for each trial, with a column for each parameter name."""
        lines = [_csv_line([*_COLUMNS, *names])]
        for trial in trials:
            # Most trials have not changed since the last time; records are compared by identity.
            known = self._lines.get(trial.number)
            if known is None or known[0] is not trial:
                known = trial, _csv_line(_cells(trial, names))
                self._lines[trial.number] = known
            lines.append(known[1])
        write_whole(self.path / _FILES["trials"], "".join(lines))


def _try_lock(file: IO[str]) -> bool:
    """Lock an open file unless another process has it; whether it is locked now."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        lock = partial(msvcrt.locking, file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        lock = partial(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        lock()
    except OSError:
        return False
    return True


def _is_there(file: IO[str], path: Path) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


_FIX = "Give the folder that `lstune tune` made"
_FILES = {
    "settings": "settings.json",
    "journal": "study.journal",
    "trials": "trials.csv",
    "states": "states",
    "series": "series.npz",
    "model": "model",
    "result": "result.json",
    "compared": "compare.json",
    "compared_page": "compare.html",
    "curve": "curve.json",
    "forecast": "forecast.csv",
    "predictions": "predictions.npz",
    "report": "report.html",
}
# What a run cannot be read without.
_NAMES = {
    "settings": ("options", "reading", "series", "space"),
    "result": RESULT_NAMES,
    "compared": ("asked", "searches"),
}
_COLUMNS = ("trial", "state", "validation_mae", "epochs_trained", "seconds", "reason")


def _cells(trial: Any, names: Sequence[str]) -> list[Any]:
    value = "" if trial.value is None else repr(float(trial.value))
    spent = f"{trial.attrs['seconds']:.3f}" if "seconds" in trial.attrs else ""
    settings = [trial.params.get(name, "") for name in names]
    return [trial.number, trial.state.value, value, trial.epochs, spent, trial.reason or "", *settings]


def _csv_line(cells: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and value - value != 0.0:  # NaN and infinities
        return None
    return value
