"""A lock that every process on one database can see."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lstune.errors import StudyError, explain
from lstune.search.urls import sqlite_path

__all__ = ["database_lock"]

_WAIT_SECONDS = 60


@contextmanager
def database_lock(url: str, storage: Any, name: str) -> Iterator[None]:
    """Hold the lock called `name` on the database behind an Optuna storage.

    PostgreSQL and MySQL have advisory locks that end with the connection; for SQLite a lock file lies
    beside the database. Raises StudyError if it is not free within a minute.
    """
    path = sqlite_path(url)
    if path is not None:
        from lstune.search.journal import FileLock

        with FileLock(f"{path}.lock"):
            yield
        return
    import sqlalchemy

    backend = getattr(storage, "_backend", storage)
    with backend.engine.connect() as connection:
        if url.startswith("mysql"):
            key = f"lstune:{name}"[:64]
            take, give = "SELECT GET_LOCK(:key, :wait)", "SELECT RELEASE_LOCK(:key)"
            got = connection.execute(sqlalchemy.text(take), {"key": key, "wait": _WAIT_SECONDS}).scalar()
            if got != 1:
                raise StudyError(explain("The study's lock must be free within a minute", name))
            arguments: dict[str, Any] = {"key": key}
        else:
            number = zlib.crc32(f"lstune:{name}".encode())
            connection.execute(sqlalchemy.text(f"SET lock_timeout = '{_WAIT_SECONDS}s'"))
            take, give = "SELECT pg_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)"
            connection.execute(sqlalchemy.text(take), {"key": number})
            arguments = {"key": number}
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text(give), arguments)
