import pytest

from lstune.errors import UserError
from lstune.tuning.clock import Budget, format_seconds, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("90", 90),
        (45, 45),
        ("1.5m", 90),
        (" 2 m ", 120),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "-5s", "0", "5x", "s", None, True, float("inf"), float("nan"), "10m!"]
)
def test_bad_durations_are_refused(text):
    with pytest.raises(UserError, match=r"A budget is .* 60s, 10m or 2h"):
        parse_duration(text)
    with pytest.raises(UserError, match="A trial timeout is"):
        parse_duration(text, "A trial timeout")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (-3, "0 s")],
)
def test_shown(seconds, text):
    assert format_seconds(seconds) == text


def test_budget_counts_from_its_start():
    now = [100.0]
    budget = Budget(60.0, 95.0, clock=lambda: now[0])
    assert budget.spent() == 5.0
    assert budget.left() == 55.0
    assert budget.deadline(keep=10.0) == 145.0
    now[0] = 160.0
    assert budget.left() == -5.0


def test_without_a_limit():
    budget = Budget(None, 0.0, clock=lambda: 1.0)
    assert budget.left() == float("inf")
    assert budget.deadline(3.0) is None
