"""What every test starts from."""

import os
import signal

import pytest

from lstune.evaluation import statistical
from processes import Server

# A shell that starts the tests in the background has Ctrl-C ignored, and whatever the tests start would
# inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# More workers than this wait for one another's longest tests, and each of them loads Keras and a backend.
_MOST_WORKERS = 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Whole folders are tested by a worker for each core; files and tests that are named, in this process."""
    if not all(os.path.isdir(part) for part in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_WORKERS)


_INSTALLED = statistical.is_statsforecast_installed


@pytest.fixture(scope="session", autouse=True)
def _no_statsforecast():
    """Runs look as without the extra `stats`, whose models take seconds to fit, save `with_statsforecast`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistical, "is_statsforecast_installed", lambda: False)
        yield


@pytest.fixture
def with_statsforecast(monkeypatch):
    """Gives the extra back; skips the test where it is not installed."""
    pytest.importorskip("statsforecast", reason="needs the extra stats")
    monkeypatch.setattr(statistical, "is_statsforecast_installed", _INSTALLED)


@pytest.fixture(scope="session")
def processes(tmp_path_factory):
    """Starts processes that need not import lstune first, see `processes.py`."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    server = Server(tmp_path_factory.mktemp("processes"))
    yield server
    server.close()
