"""The Keras Tuner door: `import lstune.kt as kt` in place of `import keras_tuner as kt`.

The same names, arguments and behaviour; models that are an LSTM for a series are trained by lstune's engine,
many times faster, and everything else by Keras itself, with the reason in the log and in `results_summary`.
`keras-tuner` need not be installed.
"""

from typing import Any

from lstune._version import __version__
from lstune.kt import engine, errors, oracles, tuners
from lstune.kt.base_tuner import BaseTuner
from lstune.kt.errors import FailedTrialError, FatalError, FatalRuntimeError, FatalTypeError, FatalValueError
from lstune.kt.hypermodel import HyperModel
from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.objective import Objective
from lstune.kt.oracle import Oracle, synchronized
from lstune.kt.parameters import HyperParameter
from lstune.kt.series import series_windows
from lstune.kt.tuner import Tuner
from lstune.kt.tuners import BOHB, SMAC, TPE, BayesianOptimization, GridSearch, Hyperband, RandomSearch

__all__ = [
    "BOHB",
    "SMAC",
    "TPE",
    "BaseTuner",
    "BayesianOptimization",
    "FailedTrialError",
    "FatalError",
    "FatalRuntimeError",
    "FatalTypeError",
    "FatalValueError",
    "GridSearch",
    "HyperModel",
    "HyperParameter",
    "HyperParameters",
    "Hyperband",
    "Objective",
    "Oracle",
    "RandomSearch",
    "Tuner",
    "__version__",
    "engine",
    "errors",
    "oracles",
    "series_windows",
    "synchronized",
    "tuners",
]

# What Keras Tuner offers and this does not.
REFUSED = {
    "SklearnTuner": "it tunes scikit-learn models, which have no epochs and no LSTM in them",
    "applications": "its ready-made models are for images",
}


def __getattr__(name: str) -> Any:
    if name in REFUSED:
        raise AttributeError(f"lstune.kt has no {name}: {REFUSED[name]}. Use keras_tuner.{name} for it.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
