import json
import os
import subprocess
import sys

import pytest

from lstune.errors import ConfigError, StorageError, StudyError
from lstune.search import Study, TrialState
from lstune.search.storage import open_storage
from lstune.search.testing import bowl, drive, mixed_space


def make(storage, **settings):
    settings = {
        "sampler": "random",
        "scheduler": "asha",
        "max_epochs": 9,
        "seed": 2,
        "n_trials": 12,
        **settings,
    }
    return Study(mixed_space(), storage=storage, **settings)


@pytest.fixture(params=["journal", "sqlite"])
def place(request, tmp_path):
    return str(tmp_path / "study.log") if request.param == "journal" else f"sqlite:///{tmp_path}/study.db"


def test_every_record_comes_back_exactly(place):
    storage = open_storage(place)
    study = make(storage)

    def objective(setting, epochs):
        if setting["layers"] == 1:
            raise RuntimeError("broken")
        return float("nan") if setting["act"] is None else bowl(setting, epochs)

    drive(study, objective)
    study.tell(study.ask().number, 1.0, attrs={"seconds": 2.5}) if not study.exhausted else None
    again = open_storage(place)
    assert Study.load(again).trials == study.trials
    storage.dispose()
    again.dispose()


def test_optuna_reads_the_study(place):
    import optuna

    storage = open_storage(place)
    study = make(storage, scheduler="median", n_trials=24)
    drive(study, lambda s, e: float("nan") if s["act"] is None else bowl(s, e))
    states = {trial.state for trial in study.trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.DIVERGED}
    seen = optuna.load_study(study_name=storage.study_name, storage=storage.optuna_storage)
    assert seen.best_value == min(t.value for t in study.trials if t.state is TrialState.COMPLETE)
    for trial, record in zip(seen.trials, study.trials, strict=True):
        assert trial.params == record.params
        state = {"complete": "COMPLETE", "pruned": "PRUNED"}.get(record.state.value, "FAIL")
        assert trial.state.name == state
        if record.rungs:
            assert trial.intermediate_values[record.rungs[-1][0]] == record.rungs[-1][1]
        if state != "COMPLETE":
            assert record.state.value in trial.user_attrs["ended"]
    storage.dispose()


def test_a_storage_holds_one_study_and_says_so(place):
    storage = open_storage(place)
    make(storage)
    other = open_storage(place)
    with pytest.raises(StudyError, match="already holds"):
        make(other)
    second = open_storage(place, study="other")
    make(second)
    for one in (storage, other, second):
        one.dispose()


def test_an_empty_storage_has_no_study(place):
    storage = open_storage(place)
    with pytest.raises(StudyError, match="no study"):
        Study.load(storage)
    storage.dispose()


def test_running_trials_are_given_again_only_to_their_owner(place):
    storage = open_storage(place)
    study = make(storage)
    drive(study, bowl, jobs=4)
    lost = [study.ask(), study.ask()]
    loaded = Study.load(open_storage(place))
    assert not loaded.exhausted
    assert [loaded.ask(), loaded.ask()] == lost
    joined = Study.load(open_storage(place), resume=False)
    assert joined.ask() not in lost
    for one in (study, loaded, joined):
        one._store.dispose()


def test_the_work_of_a_dead_process_can_be_taken_over(place):
    study = make(open_storage(place, shared=True))
    drive(study, bowl, jobs=3)
    lost = study.ask()
    joined = Study.load(open_storage(place, shared=True), resume=False)
    joined.take_over(lost.number)
    assert not joined.exhausted
    assert joined.ask() == lost
    drive(joined, bowl)
    assert not joined.exhausted  # still under way
    joined.tell(lost.number, 0.5)
    drive(joined, bowl)
    assert joined.exhausted
    for one in (study, joined):
        one._store.dispose()


def test_a_torn_last_line_is_cut_off(tmp_path):
    path = tmp_path / "study.log"
    study = make(open_storage(path))
    drive(study, bowl, jobs=5)
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    expected = drive(make(open_storage(tmp_path / "other.log")), bowl)
    for cut in (1, len(last) // 2, len(last) - 1):
        path.write_bytes(whole[:-cut])
        storage = open_storage(path)
        assert storage.torn == len(last) - cut
        loaded = Study.load(storage)
        drive(loaded, bowl)
        jobs = [(t.params, t.rungs) for t in loaded.trials]
        assert jobs == [(t.params, t.rungs) for t in Study.load(open_storage(path)).trials]
        assert len(loaded.trials) == len({job.number for job in expected})
    for line in path.read_text().splitlines():
        json.loads(line)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    study = make(open_storage(path))
    job = study.ask()
    study.report(job.number, 1, 0.5)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            study.tell(job.number, 0.5)
    assert path.read_bytes() == before
    study.tell(job.number, 0.5)  # once there is room
    assert Study.load(open_storage(path)).trials == study.trials


WORKER = """
import sys
from lstune.search import Study
from lstune.search.storage import open_storage
from lstune.search.testing import bowl, drive
study = Study.load(open_storage(sys.argv[1], shared=True), resume=False)
print(len(drive(study, bowl)))
"""


def share(place, processes=2):
    """Several processes work on one study; returns it as it is at the end and the jobs that each did."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, place], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    counts = []
    for worker in workers:
        output, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
        counts.append(int(output))
    storage = open_storage(place, shared=True)
    study = Study.load(storage, resume=False)
    storage.dispose()
    return study, counts


def check_shared(study, counts, n_trials):
    assert len(study.trials) == n_trials
    assert len({json.dumps(t.params, sort_keys=True) for t in study.trials}) == n_trials
    assert not any(t.state is TrialState.RUNNING for t in study.trials)
    # every rung of every trial was trained once
    assert sum(len(t.rungs) for t in study.trials) == sum(counts)
    for trial in study.trials:
        epochs = [epoch for epoch, _ in trial.rungs]
        assert epochs == sorted(set(epochs))


def test_two_processes_join_one_study(place):
    storage = open_storage(place, shared=True)
    make(storage, n_trials=40)
    study, counts = share(place)
    check_shared(study, counts, 40)
    storage.dispose()


def test_two_processes_on_a_database_server():
    """Set LSTUNE_TEST_DATABASE to an SQLAlchemy URL of an empty PostgreSQL or MySQL database."""
    url = os.environ.get("LSTUNE_TEST_DATABASE")
    if not url:
        pytest.skip("LSTUNE_TEST_DATABASE is not set")
    import optuna

    storage = open_storage(url)
    assert storage.shared
    try:
        make(storage, n_trials=40)
        study, counts = share(url)
        check_shared(study, counts, 40)
    finally:
        optuna.delete_study(study_name=storage.study_name, storage=storage.optuna_storage)
        storage.dispose()


def test_passwords_are_not_shown(tmp_path):
    storage = open_storage(tmp_path / "x.log")
    storage.url = "postgresql://me:secret@host:5432/db"
    assert storage.describe() == "postgresql://me:***@host:5432/db"


def test_unusable_urls_are_explained():
    with pytest.raises(ConfigError, match=r"cannot be opened|driver"):
        open_storage("nosuchdatabase://host/db")


@pytest.mark.parametrize(
    ("url", "installed", "opened"),
    [
        ("postgres://me@host/db", {"psycopg"}, "postgresql+psycopg://me@host/db"),
        ("postgresql://me@host/db", {"psycopg2", "psycopg"}, "postgresql+psycopg2://me@host/db"),
        ("mysql://me@host/db", {"pymysql"}, "mysql+pymysql://me@host/db"),
        ("mysql://me@host/db", {"MySQLdb"}, "mysql+mysqldb://me@host/db"),
        ("mariadb://me@host/db", set(), "mysql+pymysql://me@host/db"),  # the one whose extra is then named
        ("mysql+mysqlconnector://me@host/db", {"pymysql"}, "mysql+mysqlconnector://me@host/db"),
        ("sqlite:///x.db", set(), "sqlite:///x.db"),
    ],
)
def test_a_server_is_reached_by_the_driver_that_is_installed(monkeypatch, url, installed, opened):
    from lstune.search.storage import _named_driver

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)
    assert _named_driver(url) == opened


def test_a_missing_driver_names_the_extra(monkeypatch):
    def refuse(url, **options):
        raise ImportError("No module named 'pymysql'")

    monkeypatch.setattr("optuna.storages.RDBStorage", refuse)
    with pytest.raises(ConfigError, match=r"lstune\[mysql\]"):
        open_storage("mysql://me@host/db")


FOREIGN = {
    "without a line end": b'{"layers":1}',
    "lines": b'{"layers":1}\n{"layers":2}\n',
    "text": b"my notes\nof today\n",
    "bytes": bytes(range(256)),
    "a brace": b"{\n",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_no_journal_is_left_alone(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"is no journal.*mine\.json"):
        open_storage(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.json"]


def test_a_path_that_can_hold_no_journal(tmp_path):
    with pytest.raises(ConfigError, match=r"kept in a file.*folder"):
        open_storage(tmp_path)
    open_storage(f"sqlite:///{tmp_path}/study.db").dispose()
    with pytest.raises(ConfigError, match=r"sqlite:///.*study\.db"):
        open_storage(tmp_path / "study.db")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "study.journal", tmp_path / ("long" * 80)):
        with pytest.raises(ConfigError, match="cannot be opened"):
            open_storage(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no journal"):
        open_storage(tmp_path / "pipe")


def test_what_a_crash_left_of_a_first_record_is_a_journal(tmp_path):
    path = tmp_path / "study.journal"
    for begun in (b"", b"{", b'{"op_co', b'{"op_code":0,"worker_id":"6bc5'):
        path.write_bytes(begun)
        storage = open_storage(path)
        assert storage.torn == len(begun)
        drive(make(storage, n_trials=2), bowl)
        assert len(Study.load(open_storage(path)).trials) == 2


DAMAGES = {
    "bytes": lambda lines: [*lines[:3], b"\xff\xfe" + lines[3], *lines[4:]],
    "no JSON": lambda lines: [*lines[:3], lines[3][5:], *lines[4:]],
    "a number": lambda lines: [*lines[:3], b"5\n", *lines[4:]],
    "no operation": lambda lines: [*lines[:3], b'{"op_code":1234}\n', *lines[4:]],
    "a table": lambda lines: [*lines[:3], b'{"a":1}\n', *lines[4:]],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_journal_with_damaged_lines_is_told(tmp_path, damage):
    path = tmp_path / "study.journal"
    drive(make(open_storage(path)), bowl)
    content = b"".join(damage(path.read_bytes().splitlines(keepends=True)))
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"study\.journal is damaged"):
        open_storage(path)
    assert path.read_bytes() == content


def test_a_damaged_record_is_told(tmp_path):
    path = tmp_path / "study.journal"
    drive(make(open_storage(path)), bowl)
    path.write_bytes(path.read_bytes().replace(b'"state":"complete"', b'"state":"compleat"'))
    with pytest.raises(StorageError, match=r"record of trial \d is damaged"):
        Study.load(open_storage(path))


def _as_a_folder(path):
    path.unlink()
    path.mkdir()


LOSSES = {
    "removed": lambda path: path.unlink(),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "a folder": _as_a_folder,
}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("harm", LOSSES.values(), ids=LOSSES)
def test_a_journal_that_is_lost_while_it_is_worked_on_is_told(tmp_path, harm, shared):
    path = tmp_path / "study.journal"
    study = make(open_storage(path, shared=shared))
    job = study.ask()
    harm(path)
    for _ in range(2):  # and nothing is begun anew in its place
        with pytest.raises(StorageError, match=r"in their place, whole.*study\.journal"):
            study.tell(job.number, 0.5)


def test_a_lock_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    study = make(open_storage(tmp_path / "study.journal", shared=True))
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match=r"ask\.lock: Permission denied"):
        study.ask()
