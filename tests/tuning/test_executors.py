"""The contract of every executor, with a fake board and fake jobs."""

import threading
import time
from collections import Counter

import pytest

from lstune.tuning.executors import EXECUTORS, Outcome


class FakeBoard:
    """Gives `count` jobs; a job that ends on an even number is promoted once (number + 1000)."""

    def __init__(self, count, promote=False):
        self.waiting = list(range(count))
        self.promote = promote
        self.told = []
        self.reports = []
        self.asked_by = Counter()
        self.inside = 0

    def _alone(self):
        assert self.inside == 0, "two threads inside the board at once"
        self.inside += 1
        time.sleep(0.0005)
        self.inside -= 1

    def ask(self):
        self._alone()
        return self.waiting.pop(0) if self.waiting else None

    @property
    def exhausted(self):
        return False

    elsewhere = False

    def report(self, job, epoch, value):
        self._alone()
        self.reports.append((job, epoch, value))
        return value > 5

    def tell(self, job, outcome):
        self._alone()
        self.told.append((job, outcome))
        if self.promote and job < 1000 and job % 2 == 0:
            self.waiting.append(job + 1000)


def quiet(execute, board, run, workers=2, should_stop=lambda: False, halt=lambda: None, tick=lambda: None):
    return execute(board, run, workers=workers, should_stop=should_stop, halt=halt, tick=tick)


@pytest.mark.parametrize("execute", EXECUTORS.values(), ids=EXECUTORS.keys())
class TestExecutorContract:
    @pytest.mark.parametrize("workers", [1, 2, 5])
    def test_every_job_runs_once_and_is_told_once(self, execute, workers):
        board = FakeBoard(12)
        interrupted = quiet(execute, board, lambda job, report: Outcome("reached", float(job), 1), workers)
        assert not interrupted
        assert sorted(job for job, _ in board.told) == list(range(12))

    def test_a_late_promotion_is_not_missed(self, execute):
        board = FakeBoard(3, promote=True)

        def run(job, report):
            time.sleep(0.03 if job in (0, 2) else 0.0)
            return Outcome("reached", 0.0, 1)

        quiet(execute, board, run, workers=3)
        assert sorted(job for job, _ in board.told) == [0, 1, 2, 1000, 1002]

    def test_reports_reach_the_board_and_its_answer_the_job(self, execute):
        board = FakeBoard(2)

        def run(job, report):
            stopped = [report(1, 3.0), report(2, 7.0)]
            return Outcome("pruned" if stopped == [False, True] else "failed", 3.0, 2)

        quiet(execute, board, run)
        assert {outcome.status for _, outcome in board.told} == {"pruned"}
        assert len(board.reports) == 4

    def test_a_job_that_raises_is_a_failed_outcome_with_its_reason(self, execute):
        board = FakeBoard(3)

        def run(job, report):
            if job == 1:
                raise MemoryError("no room\nfor the weights")
            return Outcome("reached", 1.0, 1)

        quiet(execute, board, run)
        outcomes = dict(board.told)
        assert outcomes[1].status == "failed"
        assert outcomes[1].reason == "MemoryError: no room"
        assert outcomes[0].status == outcomes[2].status == "reached"

    def test_jobs_run_side_by_side(self, execute):
        barrier = threading.Barrier(2, timeout=5)

        def run(job, report):
            barrier.wait()
            return Outcome("reached", 1.0, 1)

        board = FakeBoard(4)
        quiet(execute, board, run, workers=2)
        assert all(outcome.status == "reached" for _, outcome in board.told)

    def test_stop_halts_running_jobs_and_starts_no_more(self, execute):
        flag = threading.Event()
        board = FakeBoard(50)
        end = time.monotonic() + 0.15

        def run(job, report):
            flag.wait(10)
            return Outcome("interrupted", 1.0, 1)

        started = time.monotonic()
        quiet(execute, board, run, should_stop=lambda: time.monotonic() > end, halt=flag.set)
        assert time.monotonic() - started < 2
        assert len(board.told) == 2

    def test_ctrl_c_ends_the_search_but_keeps_results(self, execute):
        flag = threading.Event()
        board = FakeBoard(50)

        def run(job, report):
            if job < 4:
                return Outcome("reached", 1.0, 1)
            flag.wait(10)
            return Outcome("interrupted", 2.0, 1)

        def tick():
            if not flag.is_set() and len(board.told) >= 4:
                raise KeyboardInterrupt

        assert quiet(execute, board, run, halt=flag.set, tick=tick)
        assert [outcome.status for _, outcome in board.told].count("reached") == 4
        assert len(board.told) == 6

    def test_a_fault_of_the_board_is_raised(self, execute):
        board = FakeBoard(3)

        def broken(job, outcome):
            raise RuntimeError("storage is gone")

        board.tell = broken
        with pytest.raises(RuntimeError, match="storage is gone"):
            quiet(execute, board, lambda job, report: Outcome("reached", 1.0, 1))

    def test_no_thread_is_left(self, execute):
        before = threading.active_count()
        quiet(execute, FakeBoard(5), lambda job, report: Outcome("reached", 1.0, 1), workers=3)
        assert threading.active_count() == before
