"""Which hyperparameter of an LSTM decides how much? From the full table of lstm_table.py, without training.

    python benchmarks/hyperparameters.py

The table holds every setting of its grid, so the functional ANOVA (Hooker 2007; Hutter, Hoos &
Leyton-Brown 2014) is exact: group means, no model of the error. The error of a setting is its least
validation MAE within 27 epochs, taken as a logarithm, so that an effect is a share of the error;
settings that diverged before their first epoch count with the worst error seen. Printed for each
series:

- share: of the variance between all settings, what the hyperparameter explains by itself,
- among the best: how far the means of the best tenth of each value's settings lie apart; a search
  soon spends its time there,
- for each value: the mean error of its settings, and the least, both against the best of all (+5 is
  5 % worse).
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from lstm_table import AXES, RATES, SHAPE, SOURCES, TABLE, load_table

# How the table's axes are called as hyperparameters, and their values in print.
NAMES = {
    "transform": ("transform", str),
    "log2_units": ("units", lambda value: str(2**value)),
    "rate": ("learning_rate", lambda value: f"{RATES[value]:g}"),
    "log2_lookback": ("lookback", lambda value: str(2**value)),
    "dropout": ("dropout", lambda value: f"{0.3 * value:g}"),
    "optimizer": ("optimizer", str),
    "log4_batch": ("batch_size", lambda value: str(4**value)),
}


def errors(curves: np.ndarray) -> np.ndarray:
    """(settings, epochs) validation errors -> log of each setting's least one, in the grid's shape."""
    least = np.where(np.isfinite(curves), curves, np.inf).min(axis=1)
    worst = np.nanmax(np.where(np.isfinite(least), least, np.nan))
    return np.log(np.where(np.isfinite(least), least, worst)).reshape(SHAPE)


def effect(table: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The mean over all other axes, less the whole mean and the effects of the axes' subsets."""
    others = tuple(axis for axis in range(table.ndim) if axis not in axes)
    part = table.mean(axis=others, keepdims=True) - table.mean()
    for size in range(1, len(axes)):
        for few in itertools.combinations(axes, size):
            part = part - effect(table, few)
    return part


def shares(table: np.ndarray, order: int) -> dict[tuple[int, ...], float]:
    """Parts of the variance that sets of `order` axes explain together, beyond their subsets."""
    total = table.var()
    found = itertools.combinations(range(table.ndim), order)
    return {axes: float(np.square(effect(table, axes)).mean() / total) for axes in found}


def among_best(table: np.ndarray, axis: int, part: float = 0.1) -> float:
    """How much the best tenth differs between values: largest less smallest mean, as a share of the error."""
    rows = np.sort(np.moveaxis(table, axis, 0).reshape(table.shape[axis], -1), axis=1)
    means = rows[:, : max(1, int(part * rows.shape[1]))].mean(axis=1)
    return float(np.expm1(means.max() - means.min()))


def _above(value: float, best: float) -> float:
    """How many percent a log error lies above the best."""
    return float(100 * np.expm1(value - best))


def show(name: str, table: np.ndarray) -> None:
    """Print what one series says."""
    best = table.min()
    print(
        f"\n{name}: {table.size} settings, the best {np.exp(best):.4g}, "
        f"the median {np.exp(np.median(table)):.4g}"
    )
    single, pairs = shares(table, 1), shares(table, 2)
    print(
        f"  {'hyperparameter':<15}{'share':>7}{'among the best':>16}   "
        "value: mean (least) against the best of all"
    )
    for (axis,), share in sorted(single.items(), key=lambda item: -item[1]):
        key = list(AXES)[axis]
        label, shown = NAMES[key]
        rows = np.moveaxis(table, axis, 0).reshape(table.shape[axis], -1)
        values = ", ".join(
            f"{shown(value)}: {_above(row.mean(), best):+.0f} ({_above(row.min(), best):+.1f})"
            for value, row in zip(AXES[key], rows, strict=True)
        )
        print(f"  {label:<15}{100 * share:>5.1f} %{100 * among_best(table, axis):>14.1f} %   {values}")
    rest = 1 - sum(single.values()) - sum(pairs.values())
    top = sorted(pairs.items(), key=lambda item: -item[1])[:3]
    named = ", ".join(
        f"{NAMES[list(AXES)[a]][0]} with {NAMES[list(AXES)[b]][0]} {100 * share:.1f} %"
        for (a, b), share in top
    )
    print(f"  pairs {100 * sum(pairs.values()):.0f} % ({named}), higher orders {100 * rest:.0f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args()
    for name, curves in load_table(args.table).items():
        show(f"{name} ({SOURCES[name].file})", errors(curves))


if __name__ == "__main__":
    main()
