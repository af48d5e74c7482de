"""A journal file for Optuna's JournalStorage that survives crashes and writes a trial's news in one go.

Optuna's own file backend writes (and fsyncs) one line for every attribute and every reported value, cannot
go on after a line was torn by a crash, and leaves a lock behind that holds a killed process' successor up
for 30 seconds. This one buffers inside `batch()`, cuts a torn last line off before it appends, and locks
with `flock`, which dies with its owner. The file is the same: Optuna and its dashboard read it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileBackend,
    JournalFileOpenLock,
    JournalStorage,
)

from lstune.errors import ConfigError, StorageError, explain

__all__ = ["FileLock", "JournalFile", "check_journal", "in_place", "open_journal", "torn_bytes"]

# How every record that Optuna writes begins.
_RECORD = b'{"op_code"'
# What comes of a journal that is moved, removed or locked up while a study is open.
_REFUSED = {errno.EACCES, errno.EPERM}
_LOST = _REFUSED | {errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.ESTALE}
# What is wrong with the path itself; the rest (a full disk, say) is told by who knows the run.
_BAD_PATH = {
    getattr(errno, name)
    for name in ("EACCES", "EEXIST", "EINVAL", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOTDIR", "EPERM")
}


class FileLock:
    """An exclusive lock between processes; released by the system if its owner dies.

    Where there is no `fcntl` (Windows), Optuna's lock by exclusive creation takes its place.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._file: int | None = None
        self._fallback: JournalFileOpenLock | None = None

    def acquire(self) -> bool:
        """Wait for the lock and take it. Raises StorageError where there can be none."""
        try:
            import fcntl
        except ImportError:
            self._fallback = JournalFileOpenLock(self._path)
            return self._fallback.acquire()
        with in_place(self._path):
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._file = descriptor
        return True

    def release(self) -> None:
        """Give the lock back. The file stays: deleting it would let two owners in."""
        if self._fallback is not None:
            self._fallback.release()
        elif self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class JournalFile(BaseJournalBackend):
    """The backend of a journal at `path`; see the module.

    While `durable` is false, appended lines outlive the process but maybe not a power cut.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._reader = JournalFileBackend(str(path))
        self._lock = FileLock(f"{path}.lock")
        self._buffer: list[dict[str, Any]] | None = None
        self._written = 0  # where the last line of our own ended: no file of this study is shorter
        self.durable = True

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Lines from number `log_number_from` on; nothing new while a batch is open."""
        if self._buffer is not None:
            return
        try:
            with in_place(self._path):
                self._check_size(self._path.stat().st_size)
                yield from self._reader.read_logs(log_number_from)
        except ValueError as error:  # no JSON, or no UTF-8
            raise _damaged(self._path, error) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines durably, all or none of them; inside `batch()` only remember them."""
        if self._buffer is not None:
            self._buffer.extend(logs)
            return
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        # Without a buffer of Python's: after an error its rest would be written when the file is closed.
        with in_place(self._path), self._lock, open(self._path, "r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            self._check_size(end)
            end -= torn_bytes(self._path)
            file.truncate(end)
            file.seek(end)
            try:
                rest = memoryview(text.encode())
                while rest:
                    rest = rest[file.write(rest) :]
                if self.durable:
                    os.fsync(file.fileno())
            except OSError:
                # A full disk may have taken half a line, which would spoil the next one.
                os.truncate(self._path, end)
                raise
            self._written = file.tell()

    def _check_size(self, size: int) -> None:
        if size < self._written:
            raise _lost(self._path, f"it has {size} bytes, and {self._written} were written")

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write what is appended inside in one piece at the end; drop it if an error comes up."""
        self._buffer = []
        try:
            yield
            logs = self._buffer
        finally:
            self._buffer = None
        if logs:
            self.append_logs(logs)


def torn_bytes(path: str | Path) -> int:
    """Bytes after the last line end: what a crash left of an unfinished line. 0 for a whole file."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        torn = 0
        while torn < end:
            step = min(65536, end - torn)
            file.seek(end - torn - step)
            cut = file.read(step).rfind(b"\n")
            if cut >= 0:
                return torn + step - cut - 1
            torn += step
        return torn


@contextmanager
def in_place(path: str | Path) -> Iterator[None]:
    """Around the use of an open study's file, or of one beside it: StorageError where it is not to be had."""
    try:
        yield
    except OSError as error:
        if error.errno not in _LOST:
            raise
        raise _lost(path, error.strerror, error.errno in _REFUSED) from error


def open_journal(path: Path) -> tuple[JournalStorage, JournalFile, int]:
    """The study at `path`, which is made if it is missing, its file, and the file's `torn_bytes`.

    Raises ConfigError where there can be no journal, or is something else; StorageError for a damaged one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_journal(path)
        torn = torn_bytes(path) if path.exists() else 0
        backend = JournalFile(path)
        return JournalStorage(backend), backend, torn
    except OSError as error:
        if error.errno not in _BAD_PATH:
            raise
        raise ConfigError(
            explain("The study's journal cannot be opened", f"{path}: {error.strerror}")
        ) from None
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        # JSON, but not what Optuna can replay.
        raise _damaged(path, error) from error


def check_journal(path: Path) -> None:
    """Raise ConfigError if there is something at `path` that is no journal: it would be written over."""
    if not path.exists():
        return
    if path.is_dir():
        raise ConfigError(
            explain("A study is kept in a file", f"the folder {path}", f"Give {path / 'study.journal'}")
        )
    if path.is_file():
        with open(path, "rb") as file:
            begin = file.read(64)
        # A crash may have left less than the first record.
        if begin.startswith(_RECORD[: len(begin)]):
            return
    else:
        begin = b""
    fix = "Give a new file, or the journal of a study"
    if begin.startswith(b"SQLite format 3"):
        fix = f"For SQLite give sqlite:///{path}"
    raise ConfigError(explain("The file for the study is no journal", str(path), fix))


def _lost(path: str | Path, what: str | None, there: bool = False) -> StorageError:
    rule = "A study's files must stay in their place, whole and open to its runs"
    return StorageError(explain(rule, f"{path}: {what}", None if there else "Without a copy, start again"))


def _damaged(path: Path, error: Exception) -> StorageError:
    return StorageError(explain(f"{path.name} is damaged", f"{path}: {type(error).__name__}: {error}"))
