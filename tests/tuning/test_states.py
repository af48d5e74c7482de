from dataclasses import replace

import pytest

from lstune.engine import TrainConfig, init_state, lstm_model
from lstune.search.blobs import FolderBlobs, TableBlobs
from lstune.tuning.states import StateStore


def state(seed=0):
    return init_state(lstm_model(1, units=2), TrainConfig(), seed=seed)


def test_states_survive_the_process(tmp_path):
    StateStore(FolderBlobs(tmp_path / "states")).put(7, state(5))
    assert StateStore(FolderBlobs(tmp_path / "states")).get(7).seed == 5
    assert StateStore(FolderBlobs(tmp_path / "states")).get(8) is None


def test_only_the_latest_stay_in_memory(tmp_path):
    store = StateStore(FolderBlobs(tmp_path), kept=2)
    for number in range(5):
        store.put(number, state(number))
    assert len(store._states) == 2
    assert [store.get(number).seed for number in range(5)] == list(range(5))


def test_without_a_folder_all_stay_in_memory():
    store = StateStore(kept=2)
    for number in range(5):
        store.put(number, state(number))
    assert all(store.get(number) is not None for number in range(5))


def test_drop_and_keep(tmp_path):
    store = StateStore(FolderBlobs(tmp_path))
    for number in range(4):
        store.put(number, state())
    store.drop(0)
    store.drop(99)
    assert store.get(0) is None
    store.keep({2})
    assert store.get(2) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["000002.npz"]
    assert store.get(3) is None


def test_what_another_process_trained_on_replaces_what_is_in_memory(tmp_path):
    here, there = StateStore(FolderBlobs(tmp_path)), StateStore(FolderBlobs(tmp_path))
    here.put(3, replace(state(), epoch=2))
    there.put(3, replace(state(), epoch=6))
    assert here.get(3).epoch == 2
    assert here.get(3, epoch=6).epoch == 6
    assert here.overlay().get(3, epoch=6).epoch == 6
    there.place.drop(3)
    assert here.get(3, epoch=6).epoch == 2  # better than none


@pytest.fixture(params=["folder", "table"])
def blobs(request, tmp_path):
    if request.param == "folder":
        yield lambda study="a": FolderBlobs(tmp_path / study)
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/x.db")
    yield lambda study="a": TableBlobs(engine, study)
    engine.dispose()


def test_blobs_are_kept_by_study_and_number(blobs):
    one = blobs()
    assert one.get(1) is None
    assert one.numbers() == set()
    one.put(1, b"old")
    one.put(1, b"new")
    one.put(2, bytes(range(256)) * 1000)
    assert blobs().get(1) == b"new"
    assert blobs().get(2) == bytes(range(256)) * 1000
    assert blobs("b").get(1) is None
    one.drop(1)
    one.drop(99)
    assert blobs().numbers() == {2}
