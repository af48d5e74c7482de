"""SMAC: sequential model-based configuration with random forests, from the SMAC3 library."""

from __future__ import annotations

import inspect
import statistics
import warnings
from typing import TYPE_CHECKING, Any

from lstune.search._threads import one_blas_thread
from lstune.search.params import Choice, Float, Int, Parameter
from lstune.search.samplers._base import Context, Sampler, Suggestion
from lstune.search.samplers._fidelity import full_values
from lstune.search.samplers._sobol import SobolDesign
from lstune.search.space import Space, canonical_key, is_active, sample_setting

if TYPE_CHECKING:
    from ConfigSpace import Configuration, ConfigurationSpace

__all__ = ["SmacSampler", "to_configspace"]

# The forest of HyperparameterOptimizationFacade.
_FOREST: dict[str, Any] = {
    "log_y": True,
    "n_trees": 10,
    "ratio_features": 1.0,
    "min_samples_split": 2,
    "min_samples_leaf": 1,
    "bootstrapping": True,
}


def _frugal(forest: Any, rows: int) -> dict[str, Any]:
    """Arguments, where the forest has them, that change its cost alone.

    From SMAC 2.4 on the forest is scikit-learn's, with a thread for each core and room for 2**20 leaves set
    aside in each tree: beside two trainings a fit to ten trials took 8 seconds, most of it joblib's waiting
    and zeroed memory.
    """
    wanted = {"n_jobs": 1, "max_leaf_nodes": max(2, 2 * rows)}
    known = inspect.signature(forest).parameters
    return {name: value for name, value in wanted.items() if name in known}


class SmacSampler(Sampler):
    """SMAC3's optimiser for hyperparameters (Lindauer et al. 2022, JMLR 23): forest, log EI, local search.

    The parts are those of its HyperparameterOptimizationFacade, made anew for every suggestion from the
    trials and the trial's own seed. The facade itself keeps its random state from call to call, which a
    resumed study could not find again, and its intensifier is for noisy targets run several times. Failed
    trials enter as CRASHED with the worst cost seen (an infinite one would make the forest's log scale
    infinite), trials under way with the median (a constant liar).
    """

    def __init__(
        self,
        startup: int = 8,
        challengers: int = 1000,
        local_searches: int = 3,
        plateau_steps: int = 2,
        random_probability: float = 0.1,
    ) -> None:
        self.startup = startup
        self.challengers = challengers
        self.local_searches = local_searches
        self.plateau_steps = plateau_steps
        self.random_probability = random_probability
        self._design = SobolDesign(0x736D6163)
        self._space: _CodedSpace | None = None
        self._configs: dict[int, Configuration] = {}

    @one_blas_thread()
    def suggest(self, context: Context) -> Suggestion:
        """The best challenger that has not been tried."""
        values = full_values(context.trials, context.max_epochs)
        if len(context.trials) < self.startup or len(values) < 2 or not context.space.searched:
            return Suggestion(self._design.setting(context))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the mean of no times, and of deprecations
            if self._space is None:
                self._space = _CodedSpace(context.space)
            for config in self._challengers(context, values):
                setting = self._space.decode(dict(config))
                if canonical_key(setting) not in context.taken:
                    return Suggestion(setting)
        return Suggestion(sample_setting(context.space, context.rng()))

    def _challengers(self, context: Context, values: dict[int, float]) -> Any:
        from smac import Scenario
        from smac.acquisition.function import EI
        from smac.acquisition.maximizer import LocalAndSortedRandomSearch
        from smac.model.random_forest import RandomForest
        from smac.random_design import ProbabilityRandomDesign
        from smac.runhistory.encoder import RunHistoryLogScaledEncoder

        assert self._space is not None
        seed = context.int_seed()
        configspace = self._space.configspace
        configspace.seed(seed)
        scenario = Scenario(configspace, deterministic=True, seed=seed, n_trials=len(context.trials) + 1)
        history = self._history(context, values)
        encoder = RunHistoryLogScaledEncoder(scenario)
        encoder.runhistory = history
        rows, costs = encoder.transform()
        model = RandomForest(configspace, seed=seed, **_FOREST, **_frugal(RandomForest, len(rows)))
        model.train(rows, costs)
        # The incumbent is the setting of the lowest predicted cost, as in SMAC's ConfigSelector.
        predicted, _ = model.predict_marginalized(rows)
        acquisition = EI(xi=0.0, log=True)
        acquisition.update(model=model, eta=float(predicted.min()), num_data=len(rows), X=rows)
        maximizer = LocalAndSortedRandomSearch(
            configspace,
            acquisition,
            challengers=self.challengers,
            n_steps_plateau_walk=self.plateau_steps,
            local_search_iterations=self.local_searches,
            seed=seed,
        )
        _order_starts(maximizer._local_search)
        design = ProbabilityRandomDesign(probability=self.random_probability, seed=seed)
        return maximizer.maximize(history.get_configs(), random_design=design)

    def _history(self, context: Context, values: dict[int, float]) -> Any:
        from smac.runhistory import RunHistory, StatusType

        history = RunHistory()
        worst, median = max(values.values()), statistics.median(values.values())
        for trial in context.trials:
            if trial.number in values:
                status, cost = StatusType.SUCCESS, values[trial.number]
            elif trial.state.is_failure:
                status, cost = StatusType.CRASHED, worst
            else:
                status, cost = StatusType.SUCCESS, median
            history.add(self._config(trial.number, trial.params), cost, seed=0, status=status)
        return history

    def _config(self, number: int, setting: dict[str, Any]) -> Configuration:
        from ConfigSpace import Configuration

        assert self._space is not None
        if number not in self._configs:
            values = self._space.encode(setting)
            self._configs[number] = Configuration(self._space.configspace, values=values)
        return self._configs[number]


def _order_starts(search: Any) -> None:
    """Let a SMAC local search begin from its points in a fixed order.

    It takes them from a set of configurations, whose order follows the string hashes of the process, and
    searches from all of them with one random state.
    """
    given = search._get_init_points_from_previous_configs

    def ordered(*args: Any, **kwargs: Any) -> list[Any]:
        return sorted(given(*args, **kwargs), key=lambda config: config.get_array().tobytes())

    search._get_init_points_from_previous_configs = ordered


def to_configspace(space: Space) -> ConfigurationSpace:
    """The searched parameters as a ConfigSpace; discrete ones by the place of the value."""
    import ConfigSpace as CS

    out = CS.ConfigurationSpace()
    made = {}
    for name in space.searched:
        made[name] = _hyperparameter(name, space[name])
        out.add(made[name])
    for name in space.searched:
        conditions = []
        for parent, allowed in (space[name].when or {}).items():
            if parent in made:
                codes = [_code(space[parent], value) for value in allowed if space[parent].contains(value)]
                conditions.append(CS.InCondition(made[name], made[parent], codes))
        if len(conditions) == 1:
            out.add(conditions[0])
        elif conditions:
            out.add(CS.AndConjunction(*conditions))
    return out


def _hyperparameter(name: str, param: Parameter) -> Any:
    import ConfigSpace as CS

    if isinstance(param, Float) and param.step is None:
        return CS.UniformFloatHyperparameter(name, param.low, param.high, log=param.log)
    if isinstance(param, Int) and param.log:
        return CS.UniformIntegerHyperparameter(name, param.low, param.high, log=True)
    assert param.size is not None
    if isinstance(param, Choice) and not param.ordered:
        return CS.CategoricalHyperparameter(name, [str(k) for k in range(param.size)])
    return CS.UniformIntegerHyperparameter(name, 0, param.size - 1)


def _code(param: Parameter, value: Any) -> Any:
    if isinstance(param, Float) and param.step is None:
        return float(value)
    if isinstance(param, Int):
        return int(value) if param.log else (value - param.low) // param.step
    if isinstance(param, Choice):
        return param.index(value) if param.ordered else str(param.index(value))
    assert isinstance(param, Float)
    assert param.step is not None
    return round((value - param.low) / param.step)


class _CodedSpace:
    """A space, its ConfigSpace, and the way between their values."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.configspace = to_configspace(space)

    def encode(self, setting: dict[str, Any]) -> dict[str, Any]:
        return {
            name: _code(self.space[name], setting[name]) for name in self.space.searched if name in setting
        }

    def decode(self, values: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name in self.space.order:
            param = self.space[name]
            if not is_active(param, out):
                continue
            if name not in values:
                out[name] = param.middle()
            elif isinstance(param, Float) and param.step is None:
                out[name] = param.snap(float(values[name]))
            elif isinstance(param, Int) and param.log:
                out[name] = int(values[name])
            else:
                out[name] = param.values()[int(values[name])]
        return out
