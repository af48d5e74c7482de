"""CMA-ES with categories and integers, from the cmaes library (the one behind Optuna's sampler)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstune.search._threads import one_blas_thread
from lstune.search.encoding import Encoding
from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.samplers._fidelity import full_values
from lstune.search.space import Space, sample_setting, setting_from_unit

__all__ = ["CmaesSampler"]

_MEMO = "cma"
# A discrete parameter with more values is treated as continuous: margins are for few values.
_FINE = 64


class CmaesSampler(Sampler):
    """CatCMA with margin (Hamano et al. 2025, arXiv:2504.07884).

    A Gaussian for numbers and probabilities for categories adapt from generation to generation.

    The optimiser is rebuilt for every suggestion by telling it each finished generation again: a trial's
    memo holds its generation and its solution. Not Optuna's CmaEsSampler: that one draws categories and
    everything conditional at random, and keeps its state as a pickle in the trials. Failures rank last in
    their generation (the library warns of values that are all equal, so each has its own).
    """

    def __init__(self, population: int | None = None) -> None:
        self.population = population
        self._encoding: Encoding | None = None

    @one_blas_thread()
    def suggest(self, context: Context) -> Suggestion:
        """The next member of the current generation."""
        if self._encoding is None:
            self._encoding = Encoding(context.space)
        if not self._encoding.names:
            return Suggestion(setting_from_unit(context.space, {}))
        if context.attempt > 2:
            return Suggestion(sample_setting(context.space, context.rng()))
        kinds = _kinds(context.space, self._encoding)
        optimizer = self._optimizer(kinds, context.seed)
        generation = self._replay(optimizer, context)
        member = sum(t.memo.get(_MEMO, {}).get("g") == generation for t in context.trials)
        for _ in range(member + context.attempt):
            optimizer.ask()  # these belong to the earlier members
        solution = optimizer.ask()
        chosen = None if solution.c is None else [int(k) for k in np.argmax(solution.c, axis=1)]
        drawn = {"x": solution.x, "z": solution.z, "c": chosen}
        point = np.full(len(self._encoding.names), 0.5)
        for key, columns in kinds.items():
            for place, d in enumerate(columns):
                k = self._encoding.categories[d]
                point[d] = (drawn[key][place] + 0.5) / k if key == "c" else drawn[key][place]
        # tell() wants the point before it was rounded and brought within bounds, which the library keeps to
        # itself.
        raw = None if solution._v_raw is None else [float(v) for v in solution._v_raw]
        memo = {"g": generation, "v": raw, "c": chosen}
        setting = setting_from_unit(
            context.space, dict(zip(self._encoding.names, point.tolist(), strict=True))
        )
        return Suggestion(setting, {_MEMO: memo})

    def _optimizer(self, kinds: dict[str, list[int]], seed: int) -> Any:
        from cmaes import CatCMAwM

        assert self._encoding is not None
        names, space = self._encoding.names, self._encoding.space
        steps = []
        for d in kinds["z"]:
            param: Any = space[names[d]]
            steps.append([param.to_unit(value) for value in param.values()])
        return CatCMAwM(
            x_space=[[0.0, 1.0] for _ in kinds["x"]] or None,
            z_space=steps or None,
            c_space=[int(self._encoding.categories[d]) for d in kinds["c"]] or None,
            population_size=self.population,
            seed=seed % 2**32,
        )

    def _replay(self, optimizer: Any, context: Context) -> int:
        """Tell `optimizer` every generation that is finished; the number of the one under way."""
        values = full_values(context.trials, context.max_epochs)
        worst = max(values.values(), default=0.0)
        finished: dict[int, list[tuple[Any, float]]] = {}
        for trial in context.trials:
            memo = trial.memo.get(_MEMO)
            if memo is not None and (trial.number in values or trial.state.is_failure):
                solution = _solution(optimizer, memo, self._encoding)
                finished.setdefault(memo["g"], []).append(
                    (solution, values.get(trial.number, worst + 1.0 + trial.number))
                )
        generation = 0
        while len(finished.get(generation, [])) >= optimizer.population_size:
            optimizer.tell(finished[generation][: optimizer.population_size])
            generation += 1
        return generation


def _kinds(space: Space, encoding: Encoding) -> dict[str, list[int]]:
    """Columns by their part in a solution: x continuous, z few ordered values, c categories."""
    kinds: dict[str, list[int]] = {"x": [], "z": [], "c": []}
    for d, name in enumerate(encoding.names):
        size = space[name].size
        if encoding.categories[d]:
            kinds["c"].append(d)
        elif size is None or size > _FINE:
            kinds["x"].append(d)
        else:
            kinds["z"].append(d)
    return kinds


def _solution(optimizer: Any, memo: dict[str, Any], encoding: Encoding | None) -> Any:
    assert encoding is not None
    counts = [int(k) for k in encoding.categories if k]
    onehot = None
    if memo["c"] is not None:
        onehot = np.zeros((len(counts), max(counts)), dtype=bool)
        onehot[np.arange(len(counts)), memo["c"]] = True
    return optimizer.Solution(c=onehot, _v_raw=None if memo["v"] is None else np.array(memo["v"]))
