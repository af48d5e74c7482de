"""Bayesian optimisation with our Gaussian process."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np

from lstune.search._threads import one_blas_thread
from lstune.search.encoding import Encoding
from lstune.search.records import TrialRecord, TrialState
from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.samplers._fidelity import rung_points
from lstune.search.samplers._sobol import SobolDesign
from lstune.search.samplers.gp.acquisition import best_rows
from lstune.search.samplers.gp.model import Hyper, Posterior, fit
from lstune.search.space import canonical_key, sample_setting, setting_from_unit

__all__ = ["GpSampler", "flatten_tail"]

_MEMO = "gp"
_LARGE = 3.0
_ELITE = 128

# A record, its row, and (share of the epochs, value) of its rungs; None for a failure.
_Seen = tuple[TrialRecord, np.ndarray, list[tuple[float, float]] | None]


class GpSampler(Sampler):
    """Gaussian process with Matern-5/2 kernel and log expected improvement; NumPy and SciPy only.

    - The first `startup` settings are a scrambled Sobol sequence.
    - Values pass through `flatten_tail`; failures enter as bad as the worst value.
    - With rungs (ASHA, Hyperband) every rung's value is an observation, the share of epochs (on a
      logarithmic scale) is one more input, and settings are judged at full epochs.
    - Trials under way are believed to turn out as predicted.
    - Hyperparameters are fitted anew after every finished rung at first and less often later
      (`_checkpoint`), starting from the last fit, which is found in the memo of the trial that made it; so
      a resumed study continues the same chain.

    At most `max_rows` observations enter the posterior, `fit_rows` a fit: the best ones, and the others
    evenly in time.
    """

    def __init__(self, startup: int = 8, max_rows: int = 1000, fit_rows: int = 256) -> None:
        self.startup = startup
        self.max_rows = max_rows
        self.fit_rows = fit_rows
        self._encoding: Encoding | None = None
        self._seen: dict[int, _Seen] = {}
        self._design = SobolDesign(0x6770)

    @one_blas_thread()
    def suggest(self, context: Context) -> Suggestion:
        """The setting of highest log EI that has not been tried."""
        if self._encoding is None:
            self._encoding = Encoding(context.space)
        encoding = self._encoding
        if not encoding.names:
            return Suggestion(setting_from_unit(context.space, {}))
        known = islice((t for t in context.trials if t.has_value), 2)
        if len(context.trials) < self.startup or len(list(known)) < 2:
            return Suggestion(self._design.setting(context))
        rows, values, fidelity = self._observations(context)
        hyper, memo = self._hyper(context, rows, values, fidelity)
        keep = _subset(values, self.max_rows)
        pending = self._pending(context, fidelity)
        posterior = Posterior(hyper, rows[keep], values[keep], self._categorical(fidelity), pending)
        # The best value is that of the model at settings tried, at full epochs: the noise of a lucky one is
        # left out. Of many settings only those with the lowest values are looked at.
        lowest = np.argsort(values, kind="stable")[:_ELITE]
        best = {rows[k, : len(encoding.names)].tobytes(): k for k in lowest}
        elite = rows[list(best.values()), : len(encoding.names)]
        means = posterior.mean(np.hstack([elite, np.ones((len(elite), 1))]) if fidelity else elite)
        order = np.argsort(means, kind="stable")[:8]
        ranked = best_rows(
            posterior, encoding, float(means.min()), elite[order], context.rng(), fidelity=fidelity
        )
        for row in ranked[:64]:
            setting = encoding.decode(row)
            if canonical_key(setting) not in context.taken:
                return Suggestion(setting, memo)
        return Suggestion(sample_setting(context.space, context.rng()), memo)

    # ---- inside ----------------------------------------------------------------------------------------

    def _see(self, trial: TrialRecord, max_epochs: int) -> _Seen:
        assert self._encoding is not None
        known = self._seen.get(trial.number)
        row = self._encoding.encode(trial.params) if known is None else known[1]
        points: list[tuple[float, float]] | None = None
        if not trial.state.is_failure:
            top = math.log(max_epochs + 1)
            points = [(math.log(epochs + 1) / top, value) for epochs, value in rung_points(trial, max_epochs)]
        self._seen[trial.number] = seen = (trial, row, points)
        return seen

    def _observations(self, context: Context) -> tuple[np.ndarray, np.ndarray, bool]:
        """Rows (n, D or D + 1), standardised values (n,), and whether the last column is the fidelity."""
        rows, raw, share = [], [], []
        failures: list[np.ndarray] = []
        for trial in context.trials:
            seen = self._seen.get(trial.number)
            if seen is None or seen[0] is not trial:  # a record never changes: a changed trial is a new one
                seen = self._see(trial, context.max_epochs)
            _, row, points = seen
            if points is None:
                failures.append(row)
                continue
            for part, value in points:
                rows.append(row)
                raw.append(value)
                share.append(part)
        values = flatten_tail(np.array(raw))
        fidelity = min(share) < 1.0
        if failures:
            rows.extend(failures)
            values = np.append(values, np.full(len(failures), values.max()))
            share.extend([1.0] * len(failures))
            values = (values - values.mean()) / (values.std() or 1.0)
        matrix = np.concatenate(rows).reshape(len(rows), -1)
        if fidelity:
            matrix = np.column_stack([matrix, share])
        return matrix, values, fidelity

    def _pending(self, context: Context, fidelity: bool) -> np.ndarray:
        waiting = [
            self._seen[t.number][1] for t in context.trials if t.state is TrialState.RUNNING and not t.rungs
        ]
        rows = np.array(waiting).reshape(len(waiting), len(context.space.searched))
        return np.hstack([rows, np.ones((len(rows), 1))]) if fidelity and len(rows) else rows

    def _categorical(self, fidelity: bool) -> np.ndarray:
        """Which columns of the rows are categories, (D,) or (D + 1,)."""
        assert self._encoding is not None
        columns = self._encoding.categories > 0
        return np.append(columns, False) if fidelity else columns

    def _hyper(
        self, context: Context, rows: np.ndarray, values: np.ndarray, fidelity: bool
    ) -> tuple[Hyper, dict[str, Any]]:
        """Hyperparameters for these observations, and what to keep in the memo if they are newly fitted."""
        dims = rows.shape[1]
        last = next((t.memo[_MEMO] for t in reversed(context.trials) if _MEMO in t.memo), None)
        if last is not None and len(last["theta"]) != dims + 2:
            last = None
        due = _checkpoint(len(values))
        if last is not None and last["count"] >= due:
            return Hyper.from_theta(np.array(last["theta"])), {}
        keep = _subset(values, self.fit_rows)
        start = None if last is None else np.array(last["theta"])
        hyper = fit(rows[keep], values[keep], self._categorical(fidelity), start)
        # Rounded before use: the study that reads it back from storage computes with the same numbers.
        theta = [round(float(v), 6) for v in hyper.to_theta()]
        return Hyper.from_theta(np.array(theta)), {_MEMO: {"count": len(values), "theta": theta}}


def _checkpoint(count: int) -> int:
    """The last count of observations, up to `count`, at which hyperparameters are fitted."""
    if count <= 32:
        return count
    stride = 4 if count <= 100 else 10 if count <= 300 else 25
    return count - count % stride


def _subset(values: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` places, ascending: the best third of them, the rest evenly spaced over the others."""
    n = len(values)
    if n <= limit:
        return np.arange(n)
    order = np.argsort(values, kind="stable")
    best = order[: limit // 3]
    rest = np.sort(order[limit // 3 :])
    evenly = rest[np.linspace(0, len(rest) - 1, limit - len(best)).round().astype(int)]
    return np.sort(np.concatenate([best, evenly]))


def flatten_tail(raw: np.ndarray) -> np.ndarray:
    """Values (n,) with a calm upper tail, mean 0 and variance 1; their order stays.

    Losses of badly set LSTMs are larger by orders of magnitude, and a process fitted to them sees nothing
    of the differences among good ones. With z = (y - median) / (median - a low quantile) the good half
    stays linear and the bad half becomes log(1 + z), which meets it with the same slope.
    """
    ordered = np.sort(raw)  # np.median and np.quantile take as long as a prediction for this
    last = len(raw) - 1
    middle = 0.5 * float(ordered[last // 2] + ordered[(last + 1) // 2])
    low, rest = divmod(0.1 * last, 1.0)
    below = ordered[int(low)]
    spread = middle - float(below + rest * (ordered[min(int(low) + 1, last)] - below))
    if spread <= 0.0:
        spread = float(np.std(raw)) or 1.0
    z = (raw - middle) / spread
    z = np.where(
        z > 0.0, np.log1p(np.maximum(z, 0.0)), np.maximum(z, -_LARGE - np.log1p(np.maximum(-z - _LARGE, 0.0)))
    )
    return (z - z.mean()) / (float(z.std()) or 1.0)
