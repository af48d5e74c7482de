"""Where a study is kept: Optuna's storages, one record of ours to one trial of Optuna's.

Everything that rebuilds a study exactly is JSON under one system attribute of each trial (and of the
study); besides, parameters, values, states and rung results are written where Optuna and its dashboard look
for them. A paused trial is RUNNING to Optuna, a diverged one FAIL.
"""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstune.errors import ConfigError, StorageError, StudyError, explain
from lstune.search.blobs import Blobs, FolderBlobs, TableBlobs
from lstune.search.records import TrialRecord, TrialState
from lstune.search.space import Space
from lstune.search.urls import HIDDEN, hide_password, is_url, password_in, sqlite_path

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from lstune.search.journal import JournalFile

__all__ = ["Store", "open_storage"]

_KEY = "lstune"
_NOTE = "lstune:worker:"
# How often a database is tried before its errors count.
_OPENINGS = 5
# At most so many values of a curve are also written as Optuna's intermediate values: a database commits each
# by itself.
_SHOWN_POINTS = {"journal": 32, "database": 1}


def open_storage(where: str | Path, *, study: str = "lstune", shared: bool | None = None) -> Store:
    """Open (or make) the storage at `where`: a path is a journal file, anything with `://` an SQLAlchemy URL.

    `shared`: whether other processes may work on the study at the same time; by default so for database
    servers. Raises ConfigError for a URL whose driver is missing or whose server does not answer, and for a
    path with anything but a journal; StorageError for a damaged one.
    """
    text = str(where)
    from lstune.search.samplers._optuna import quiet

    if not is_url(text):
        from lstune.search.journal import open_journal

        with quiet():
            storage, backend, torn = open_journal(Path(text))
        return Store(storage, study, text, bool(shared), backend, torn)
    text = _named_driver(text)
    with quiet():
        storage = _open_database(text)
        if text.startswith("sqlite"):
            _use_wal(storage)
    return Store(storage, study, text, not text.startswith("sqlite") if shared is None else shared)


# Drivers for each kind of server: their modules, and what SQLAlchemy calls them; an extra brings the first.
_DRIVERS = {
    "postgresql": {"psycopg2": "psycopg2", "psycopg": "psycopg"},
    "mysql": {"pymysql": "pymysql", "MySQLdb": "mysqldb"},
}
# The forms that hosting services give out, and SQLAlchemy's name for MySQL's other branch.
_KINDS = {"postgres": "postgresql", "mariadb": "mysql"}


def _named_driver(url: str) -> str:
    """The URL with the driver that is installed: SQLAlchemy's own choice differs by version."""
    from importlib.util import find_spec

    scheme, _, rest = url.partition("://")
    kind = _KINDS.get(scheme, scheme)
    if kind not in _DRIVERS:
        return url
    drivers = _DRIVERS[kind]
    driver = next((name for module, name in drivers.items() if find_spec(module)), next(iter(drivers)))
    return f"{kind}+{driver}://{rest}"


def _open_database(url: str) -> Any:
    from optuna.storages import RDBStorage, get_storage

    # A night's study outlives idle connections; a second process may hold SQLite's file for a moment.
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": 60}}
    for attempt in range(_OPENINGS):
        try:
            return get_storage(RDBStorage(url, engine_kwargs=options))
        except ImportError as error:
            raise ConfigError(
                explain(
                    "This storage URL needs a driver that is not installed",
                    str(error),
                    "For PostgreSQL: pip install 'lstune[postgres]', for MySQL: pip install 'lstune[mysql]'",
                )
            ) from None
        except Exception as error:  # SQLAlchemy and each driver have errors of their own
            # Two processes that meet an empty database both make its tables: one of them comes too late.
            clash = any(word in str(error).lower() for word in ("already exists", "unique", "locked"))
            if not clash or attempt == _OPENINGS - 1:
                raise _not_opened(url, error) from None
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("unreachable")


def _not_opened(url: str, error: Exception) -> ConfigError:
    secret = password_in(url)
    said = str(error).splitlines()[0]
    if secret:
        said = said.replace(secret, HIDDEN)
    fix = None
    if "password" in said.lower():
        fix = "Give the password in the URL (--storage or LSTUNE_STORAGE) or in ~/.pgpass"
    return ConfigError(explain(f"The storage {hide_password(url)} cannot be opened", said, fix))


def _use_wal(storage: Any) -> None:
    """A write-ahead log: a commit without waiting for the disk twice; safe against crashes of the process."""
    import sqlalchemy

    engine = storage._backend.engine

    @sqlalchemy.event.listens_for(engine, "connect")
    def _pragma(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    engine.dispose()  # connections opened before had no chance to hear it


class Store:
    """One study in an Optuna storage. Made by `open_storage`; used by `Study`.

    `optuna_storage` and `study_name` open the same study with Optuna itself. `torn` counts the bytes of an
    unfinished line that a crash left at the end of a journal (they are ignored and cut off by the next
    write).
    """

    def __init__(
        self,
        storage: BaseStorage,
        study_name: str,
        url: str,
        shared: bool,
        journal: JournalFile | None = None,
        torn: int = 0,
    ) -> None:
        self.optuna_storage = storage
        self.study_name = study_name
        self.url = url
        self.shared = shared
        self.torn = torn
        self._journal = journal
        self._batch = _no_batch if journal is None else journal.batch
        self._kind = "database" if journal is None else "journal"
        self._study_id: int | None = None
        self._ids: dict[int, int] = {}
        self._seen: dict[int, TrialRecord] = {}
        self._raw: dict[int, Any] = {}
        self._distributions: dict[str, Any] = {}
        self._loaded = False
        self._mutex = threading.RLock()  # heartbeats come from another thread than trials

    def describe(self) -> str:
        """The place, without a password."""
        return hide_password(self.url)

    def write_spec(self, spec: dict[str, Any]) -> None:
        """Keep the study's settings. Raises StudyError if the storage holds another study."""
        from lstune.search.samplers._optuna import quiet

        with quiet(), self._access():
            if self._study_id is None:
                if self._find() is not None:
                    raise StudyError(
                        explain(
                            "The storage already holds a study", self.describe(), "Load it with Study.load"
                        )
                    )
                from optuna.study import StudyDirection

                self._study_id = self.optuna_storage.create_new_study(
                    [StudyDirection.MINIMIZE], self.study_name
                )
            self.optuna_storage.set_study_system_attr(self._study_id, _KEY, spec)
        self._prepare(spec)

    def read_spec(self) -> dict[str, Any] | None:
        """The study's settings; None if there is no study yet."""
        with self._access():
            self._study_id = self._find()
            if self._study_id is None:
                return None
            spec = self.optuna_storage.get_study_system_attrs(self._study_id).get(_KEY)
        if spec is not None:
            self._prepare(spec)
        return spec

    def write(self, record: TrialRecord) -> None:
        """Keep a record: a new trial, or news of one."""
        with self._access():
            self._write(record)

    def changed(self) -> list[TrialRecord]:
        """Records that are new or differ from what this object wrote or read before, by number."""
        if self._study_id is None or (self._loaded and not self.shared):
            return []
        news = []
        with self._access():
            for number, trial_id, raw in self._read_all() if self._kind == "journal" else self._read_rows():
                known = self._seen.get(number)
                if known is not None and (known.state.is_final or raw == self._raw[number]):
                    continue
                record = _from_json(number, raw)
                self._ids[number], self._raw[number], self._seen[number] = trial_id, raw, record
                if record != known:
                    news.append(record)
            self._loaded = True
        return sorted(news, key=lambda record: record.number)

    def record_of(self, trial: FrozenTrial) -> TrialRecord:
        """The record that one of Optuna's trials was made from."""
        if _KEY not in trial.system_attrs:
            raise StudyError(explain("The study has a trial that lstune did not make", trial.number))
        return _from_json(trial.number, trial.system_attrs[_KEY])

    def write_note(self, name: str, note: dict[str, Any]) -> None:
        """Keep what the worker `name` says of itself, in place of what it said before."""
        assert self._study_id is not None
        with self._access():
            if self._journal is not None:
                self._journal.durable = False  # a power cut ends the worker too
            self.optuna_storage.set_study_system_attr(self._study_id, _NOTE + name, note)

    def read_notes(self) -> dict[str, dict[str, Any]]:
        """What the study's workers last said of themselves, by name."""
        assert self._study_id is not None
        with self._access():
            attrs = self.optuna_storage.get_study_system_attrs(self._study_id)
        return {key[len(_NOTE) :]: note for key, note in attrs.items() if key.startswith(_NOTE)}

    def blobs(self) -> Blobs:
        """Room for bytes beside the study that all of its workers reach.

        A folder beside a journal or an SQLite file, a table of its own in a database server.
        """
        path = self.url if self._kind == "journal" else sqlite_path(self.url)
        if path is not None:
            return FolderBlobs(Path(f"{path}.states") / _plain(self.study_name))
        return TableBlobs(self.optuna_storage._backend.engine, self.study_name)  # type: ignore[attr-defined]

    def dispose(self) -> None:
        """Close the database's connections; the object can be used again."""
        engine = getattr(getattr(self.optuna_storage, "_backend", None), "engine", None)
        if engine is not None:
            engine.dispose()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Alone among the processes that share the study; free of charge if it is not shared."""
        if not self.shared:
            yield
            return
        if self._kind == "database":
            from lstune.search.dblock import database_lock

            with _told(), database_lock(self.url, self.optuna_storage, self.study_name):
                yield
        else:
            from lstune.search.journal import FileLock

            with FileLock(f"{self.url}.ask.lock"):
                yield

    # ---- inside ----------------------------------------------------------------------------------------

    @contextmanager
    def _access(self) -> Iterator[None]:
        with self._mutex, _told():
            yield

    def _write(self, record: TrialRecord) -> None:
        storage, study_id = self.optuna_storage, self._study_id
        assert study_id is not None
        if self._journal is not None:
            # What was given out but not told is suggested again after a power cut, and is the same: no need
            # to wait for the disk.
            self._journal.durable = record.state is not TrialState.RUNNING
        if record.number not in self._ids:
            trial_id = storage.create_new_trial(study_id, self._template(record))
            number = storage.get_trial_number_from_id(trial_id)
            if number != record.number:
                raise StudyError(
                    explain("Another program added trials to the study", f"{number}, not {record.number}")
                )
            self._ids[record.number] = trial_id
        else:
            with self._batch():
                self._update(self._ids[record.number], record, self._seen[record.number])
        self._seen[record.number] = record
        self._raw[record.number] = None

    def _find(self) -> int | None:
        try:
            return self.optuna_storage.get_study_id_from_name(self.study_name)
        except KeyError:
            return None

    def _read_all(self) -> Iterator[tuple[int, int, Any]]:
        """(number, Optuna's id, our JSON) of every trial."""
        assert self._study_id is not None
        for trial in self.optuna_storage.get_all_trials(self._study_id, deepcopy=False):
            if _KEY not in trial.system_attrs:
                raise StudyError(explain("The study has a trial that lstune did not make", trial.number))
            yield trial.number, trial._trial_id, trial.system_attrs[_KEY]

    def _read_rows(self) -> Iterator[tuple[int, int, Any]]:
        """The same for trials that are new or were not final, by one query.

        Optuna fetches every unfinished trial with all that belongs to it, one table after the other; with a
        hundred paused trials that took 50 ms for each call.
        """
        import json

        import sqlalchemy

        query = sqlalchemy.text(
            "SELECT t.number, t.trial_id, a.value_json FROM trials t JOIN trial_system_attributes a"
            " ON a.trial_id = t.trial_id WHERE t.study_id = :study AND a.key = :key"
            " AND (t.number >= :known OR t.trial_id IN :open) ORDER BY t.number"
        ).bindparams(sqlalchemy.bindparam("open", expanding=True))
        unfinished = [self._ids[n] for n, record in self._seen.items() if not record.state.is_final]
        values = {"study": self._study_id, "key": _KEY, "known": len(self._seen), "open": unfinished or [-1]}
        with self.optuna_storage._backend.engine.connect() as connection:  # type: ignore[attr-defined]
            rows = connection.execute(query, values).all()
        for number, trial_id, text in rows:
            yield number, trial_id, json.loads(text)

    def _prepare(self, spec: dict[str, Any]) -> None:
        from lstune.search.convert import to_distributions

        self._distributions = to_distributions(Space.from_dict(spec["space"], strict=False))
        shown = _SHOWN_POINTS[self._kind]
        self._stride = max(1, math.ceil(spec["max_epochs"] / shown))

    def _template(self, record: TrialRecord) -> FrozenTrial:
        from optuna.trial import FrozenTrial
        from optuna.trial import TrialState as OptunaState

        return FrozenTrial(
            number=record.number,
            trial_id=-1,
            state=OptunaState.RUNNING,
            value=None,
            datetime_start=datetime.now(timezone.utc),
            datetime_complete=None,
            params=dict(record.params),
            distributions={name: self._distributions[name] for name in record.params},
            user_attrs=_user_attrs(record),
            system_attrs={_KEY: _to_json(record)},
            intermediate_values={},
        )

    def _update(self, trial_id: int, record: TrialRecord, before: TrialRecord) -> None:
        from optuna.trial import TrialState as OptunaState

        storage = self.optuna_storage
        storage.set_trial_system_attr(trial_id, _KEY, _to_json(record))
        old = _user_attrs(before)
        for key, value in _user_attrs(record).items():
            if key not in old or old[key] != value:
                storage.set_trial_user_attr(trial_id, key, value)
        for epoch, value in self._shown(record).items():
            if epoch > before.epochs:
                storage.set_trial_intermediate_value(trial_id, epoch, value)
        if record.state.is_final:
            state = {TrialState.COMPLETE: OptunaState.COMPLETE, TrialState.PRUNED: OptunaState.PRUNED}
            values = None if record.value is None else [record.value]
            storage.set_trial_state_values(trial_id, state.get(record.state, OptunaState.FAIL), values)

    def _shown(self, record: TrialRecord) -> dict[int, float]:
        shown = {epoch: value for epoch, value in record.curve.items() if epoch % self._stride == 0}
        shown.update(dict(record.rungs))
        return dict(sorted(shown.items()))


@contextmanager
def _told() -> Iterator[None]:
    """A database's own errors as StorageError; those of files are OSError, and stay so."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("sqlalchemy", "optuna"):
            raise
        cause = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
        said = str(cause).strip().splitlines()[0]
        raise StorageError(explain("The study's storage does not work just now", said)) from error


def _plain(name: str) -> str:
    """A study's name as the name of a folder; different for different names."""
    plain = "".join(char if char.isalnum() or char in "-_" else "-" for char in name)
    return plain if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"


@contextmanager
def _no_batch() -> Iterator[None]:
    yield


def _user_attrs(record: TrialRecord) -> dict[str, Any]:
    """What people see of a trial in the dashboard."""
    shown: dict[str, Any] = dict(record.attrs)
    if record.state.is_final:
        shown["epochs"] = record.epochs
    if record.state.is_failure or record.state is TrialState.PRUNED:
        shown["ended"] = (
            record.state.value if record.reason is None else f"{record.state.value}: {record.reason}"
        )
    return shown


def _to_json(record: TrialRecord) -> dict[str, Any]:
    return {
        "state": record.state.value,
        "value": record.value,
        "epochs": record.epochs,
        "curve": [[epoch, value] for epoch, value in sorted(record.curve.items())],
        "rungs": [list(rung) for rung in record.rungs],
        "job": list(record.job),
        "bracket": record.bracket,
        "order": record.order,
        "reason": record.reason,
        "worker": record.worker,
        "started": record.started,
        "finished": record.finished,
        "attrs": record.attrs,
        "memo": record.memo,
        "params": record.params,
    }


def _from_json(number: int, raw: dict[str, Any]) -> TrialRecord:
    try:
        data = dict(raw)
        start, stop = data.pop("job")
        return TrialRecord(
            number=number,
            state=TrialState(data.pop("state")),
            curve={int(epoch): float(value) for epoch, value in data.pop("curve")},
            rungs=tuple((int(epoch), float(value)) for epoch, value in data.pop("rungs")),
            job=(int(start), int(stop)),
            **data,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise StorageError(explain(f"The record of trial {number} is damaged", f"{error!r}")) from error
