"""What several searches say about their methods: medians over seeds, their spread, which differences hold.

A search is a dictionary as in compare.json: `method`, `seed`, `ended`, totals `seconds` and `epochs`, and the
`curve` of the best validation error so far, as three lists of equal length: `seconds`, `epochs` and `error`
(falling).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["AXES", "best_at", "describe_summary", "mid_curve", "summarise"]

AXES = ("seconds", "epochs")
# The shares of the common end at which the methods are compared.
_SHARES = (0.25, 0.5, 1.0)
# Ends of a search after which its best error could not have changed any more.
_FINAL = ("trials", "exhausted")

Search = Mapping[str, Any]


def best_at(search: Search, axis: str, place: float) -> float:
    """The lowest validation error by `place` on the axis "seconds" or "epochs"; infinite before the first."""
    best = math.inf
    for x, error in zip(search["curve"][axis], search["curve"]["error"], strict=True):
        if x > place:
            break
        best = error
    return best


def summarise(searches: Sequence[Search], naive: float) -> dict[str, Any]:
    """Methods compared at the end of their searches, and on the way at equal seconds and equal epochs.

    `naive` is the naive forecast's error on the same rows. Searches must have ended. Numbers that do not
    exist are None. A difference is `clear` when it is larger than the `spread` (highest less lowest over the
    seeds) of both methods: a plain rule for a handful of seeds, and no test of significance.
    """
    methods = list(dict.fromkeys(search["method"] for search in searches))
    of = {name: [search for search in searches if search["method"] == name] for name in methods}
    ends = {name: [_final(search) for search in of[name]] for name in methods}
    order = sorted(methods, key=lambda name: (statistics.median(ends[name]), methods.index(name)))
    found: dict[str, Any] = {"order": order, "end": {}, "curves": {}}
    found["differences"] = _differences(order, ends)
    for name in order:
        middle = statistics.median(ends[name])
        found["end"][name] = {
            "seeds": len(of[name]),
            **_spread(ends[name]),
            "trials": statistics.median(sum(search["trials"].values()) for search in of[name]),
            "failed": sum(search["trials"].get("failed", 0) for search in of[name]),
            "epochs": statistics.median(search["epochs"] for search in of[name]),
            "seconds": statistics.median(search["seconds"] for search in of[name]),
            "to_naive": _finite(middle / naive - 1.0) if naive > 0 else None,
        }
    for axis in AXES:
        end = _common_end(searches, axis)
        places = [share * end for share in _SHARES]
        at = {name: [[best_at(s, axis, place) for s in of[name]] for place in places] for name in methods}
        found["curves"][axis] = {name: mid_curve(of[name], axis) for name in order}
        found[axis] = {
            "at": places,
            "methods": {name: [_spread(values) for values in at[name]] for name in order},
            "differences": _differences(
                sorted(order, key=lambda name: statistics.median(at[name][-1])),
                {name: at[name][-1] for name in methods},
            ),
        }
    return found


def _final(search: Search) -> float:
    errors = search["curve"]["error"]
    return errors[-1] if errors else math.inf


def _common_end(searches: Sequence[Search], axis: str) -> float:
    """As far as every search went that something outside it ended; the others keep what they found."""
    open_ended = [search[axis] for search in searches if search["ended"] not in _FINAL]
    return min(open_ended) if open_ended else max((search[axis] for search in searches), default=0.0)


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    middle = statistics.median(values)
    return {"median": _finite(middle), "lowest": _finite(min(values)), "highest": _finite(max(values))}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _differences(order: Sequence[str], values: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Every pair of methods, the better one first."""
    found = []
    for place, better in enumerate(order):
        for worse in order[place + 1 :]:
            pair = values[better], values[worse]
            if not all(math.isfinite(value) for side in pair for value in side):
                continue
            gap = statistics.median(pair[1]) - statistics.median(pair[0])
            spread = max(max(side) - min(side) for side in pair)
            clear = min(map(len, pair)) > 1 and gap > spread
            found.append(
                {"better": better, "worse": worse, "difference": gap, "spread": spread, "clear": clear}
            )
    return found


def mid_curve(searches: Sequence[Search], axis: str) -> dict[str, list[float]]:
    """A method's curve over its seeds: `x`, and `median`, `lowest` and `highest` best error there.

    It begins where every seed has a value. Steps: a value holds until the next x.
    """
    places = sorted({x for search in searches for x in search["curve"][axis]})
    last = max((search[axis] for search in searches), default=0.0)
    rows: dict[str, list[float]] = {"x": [], "median": [], "lowest": [], "highest": []}
    for place in [*places, last] if last > (places[-1] if places else 0.0) else places:
        values = [best_at(search, axis, place) for search in searches]
        if all(map(math.isfinite, values)):
            rows["x"].append(place)
            rows["median"].append(statistics.median(values))
            rows["lowest"].append(min(values))
            rows["highest"].append(max(values))
    return rows


def describe_summary(summary: Mapping[str, Any]) -> list[str]:
    """The summary in sentences: which method had the lowest error, and which differences hold."""
    order, end = summary["order"], summary["end"]
    if not order or end[order[0]]["median"] is None:
        return ["No search has found a setting yet."]
    sentences = []
    seeds = min(row["seeds"] for row in end.values())
    if len(order) == 1:
        sentences.append(f"Only {order[0]} has ended yet: there is nothing to compare it with.")
    else:
        best = [name for name in order if end[name]["median"] == end[order[0]]["median"]]
        if len(best) > 1:
            names = f"{', '.join(best[:-1])} and {best[-1]}"
            sentences.append(f"Lowest median error at the end: {names}, which are equal.")
        else:
            sentences.append(f"Lowest median error at the end: {best[0]}.")
        if seeds < 2:
            sentences.append(
                "With one seed nothing is known of luck: take no difference for real before more seeds agree."
            )
        else:
            sentences.append(_clear("At the end", summary["differences"]))
            epochs = summary["epochs"]
            sentences.append(_clear(f"At equal epochs ({epochs['at'][-1]:,.0f})", epochs["differences"]))
    failed = {name: row["failed"] for name, row in end.items() if row["failed"]}
    if failed:
        sentences.append(f"Failed trials: {', '.join(f'{name} {count}' for name, count in failed.items())}.")
    return sentences


def _clear(where: str, differences: Sequence[Mapping[str, Any]]) -> str:
    better: dict[str, list[str]] = {}
    for pair in differences:
        if pair["clear"]:
            better.setdefault(pair["better"], []).append(pair["worse"])
    if not better:
        return f"{where} no difference is larger than the spread between seeds."
    parts = [f"{name} before {', '.join(worse)}" for name, worse in better.items()]
    rest = len(differences) - sum(map(len, better.values()))
    others = " The other differences are within it." if rest else ""
    return f"{where}, larger than the spread between seeds: {'; '.join(parts)}.{others}"
