"""What a comparison says, from curves made by hand."""

import math

import pytest

from lstune.tuning.comparison import best_at, describe_summary, mid_curve, summarise


def search(method, seed, errors, *, seconds=None, ended="budget", total=None, failed=0):
    """A search with a better error every ten epochs, a second each."""
    epochs = [10 * (k + 1) for k in range(len(errors))]
    seconds = seconds or [float(k + 1) for k in range(len(errors))]
    end = seconds[-1] if seconds else 1.0
    return {
        "method": method,
        "seed": seed,
        "ended": ended,
        "seconds": end if total is None else total,
        "epochs": epochs[-1] if epochs else 0,
        "trials": {"complete": len(errors), "pruned": 0, "failed": failed},
        "curve": {"seconds": seconds, "epochs": epochs, "error": errors},
    }


def test_the_best_so_far_holds_until_a_better_one():
    one = search("tpe", 0, [3.0, 2.0])
    assert [best_at(one, "epochs", x) for x in (9, 10, 19, 20, 99)] == [math.inf, 3.0, 3.0, 2.0, 2.0]


def test_medians_spread_and_order():
    searches = [search("random", s, [3.0, e]) for s, e in enumerate((2.0, 2.2, 2.1))]
    searches += [search("gp", s, [3.0, e]) for s, e in enumerate((1.0, 1.1, 1.3))]
    found = summarise(searches, naive=2.0)
    assert found["order"] == ["gp", "random"]
    row = found["end"]["gp"]
    assert (row["median"], row["lowest"], row["highest"], row["seeds"]) == (1.1, 1.0, 1.3, 3)
    assert row["to_naive"] == pytest.approx(-0.45)
    (pair,) = found["differences"]
    assert (pair["better"], pair["worse"], pair["clear"]) == ("gp", "random", True)
    assert pair["difference"] == pytest.approx(1.0)
    assert pair["spread"] == pytest.approx(0.3)
    text = " ".join(describe_summary(found))
    assert "Lowest median error at the end: gp." in text
    assert "At the end, larger than the spread between seeds: gp before random." in text


def test_an_exact_tie_has_no_winner():
    searches = [search(name, s, [e]) for s, e in enumerate((2.0, 2.4)) for name in ("random", "tpe")]
    text = " ".join(describe_summary(summarise(searches, naive=2.0)))
    assert "Lowest median error at the end: random and tpe, which are equal." in text


def test_a_difference_within_the_spread_is_not_clear():
    searches = [search("random", s, [e]) for s, e in enumerate((2.0, 2.4))]
    searches += [search("gp", s, [e]) for s, e in enumerate((1.9, 2.1))]
    found = summarise(searches, naive=2.0)
    assert [pair["clear"] for pair in found["differences"]] == [False]
    assert "At the end no difference is larger than the spread between seeds." in describe_summary(found)


def test_one_seed_shows_no_spread():
    found = summarise([search("random", 0, [2.0]), search("gp", 0, [1.0])], naive=2.0)
    assert not found["differences"][0]["clear"]
    assert any("With one seed nothing is known of luck" in text for text in describe_summary(found))


def test_methods_are_compared_where_all_have_come():
    fast = [search("random", s, [3.0, 2.5, 2.0, 1.0]) for s in range(2)]
    slow = [search("smac", s, [2.8, 1.5], seconds=[1.0, 4.0]) for s in range(2)]
    found = summarise([*fast, *slow], naive=2.0)
    assert found["seconds"]["at"][-1] == 4.0
    assert found["epochs"]["at"] == [5.0, 10.0, 20.0]
    # At equal epochs smac leads, at the end random does.
    assert found["order"][0] == "random"
    assert found["epochs"]["differences"][0]["better"] == "smac"
    assert found["epochs"]["methods"]["random"][-1]["median"] == 2.5
    assert found["epochs"]["methods"]["random"][0] == {"median": None, "lowest": None, "highest": None}


@pytest.mark.parametrize("ended", ["trials", "exhausted"])
def test_what_ended_by_itself_does_not_cut_the_others_short(ended):
    short = search("manual", 0, [2.0], ended=ended)
    found = summarise([short, search("gp", 0, [3.0, 2.5, 1.0])], naive=2.0)
    assert found["epochs"]["at"][-1] == 30
    assert found["epochs"]["methods"]["manual"][-1]["median"] == 2.0
    both = [short, search("gp", 0, [3.0, 2.5, 1.0], ended=ended)]
    assert summarise(both, naive=2.0)["epochs"]["at"][-1] == 30


def test_a_search_without_any_value_is_last_and_makes_no_number():
    searches = [search("gp", s, [], failed=4) for s in range(2)]
    searches += [search("random", s, [2.0]) for s in range(2)]
    found = summarise(searches, naive=2.0)
    assert found["order"] == ["random", "gp"]
    assert found["end"]["gp"]["median"] is None
    assert found["end"]["gp"]["to_naive"] is None
    assert found["differences"] == []
    assert "Failed trials: gp 8." in describe_summary(found)
    nothing = summarise(searches[:2], naive=2.0)
    assert describe_summary(nothing) == ["No search has found a setting yet."]


def test_the_curve_of_a_method_begins_where_all_seeds_have_a_value():
    a = search("gp", 0, [3.0, 1.0], seconds=[1.0, 5.0], total=9.0)
    b = search("gp", 1, [2.0], seconds=[4.0], total=8.0)
    assert mid_curve([a, b], "seconds") == {
        "x": [4.0, 5.0, 9.0],
        "median": [2.5, 1.5, 1.5],
        "lowest": [2.0, 1.0, 1.0],
        "highest": [3.0, 2.0, 2.0],
    }
