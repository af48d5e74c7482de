from lstune.engine import TrainConfig, init_state, lstm_model
from lstune.tuning.states import StateStore


def state(seed=0):
    return init_state(lstm_model(1, units=2), TrainConfig(), seed=seed)


def test_states_survive_the_process(tmp_path):
    StateStore(tmp_path / "states").put(7, state(5))
    assert StateStore(tmp_path / "states").get(7).seed == 5
    assert StateStore(tmp_path / "states").get(8) is None


def test_only_the_latest_stay_in_memory(tmp_path):
    store = StateStore(tmp_path, kept=2)
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
    store = StateStore(tmp_path)
    for number in range(4):
        store.put(number, state())
    store.drop(0)
    store.drop(99)
    assert store.get(0) is None
    store.keep({2})
    assert store.get(2) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["000002.npz"]
    assert store.get(3) is None
