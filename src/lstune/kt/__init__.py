"""The Keras Tuner door: `import lstune.kt as kt` in place of `import keras_tuner as kt`.

The same names, arguments and behaviour; models that are an LSTM for a series are trained by lstune's engine,
many times faster, and everything else by Keras itself, with the reason in the log and in `results_summary`.
`keras-tuner` need not be installed.
"""

from lstune._version import __version__
from lstune.kt import engine, errors, oracles, tuners
from lstune.kt.base_tuner import BaseTuner
from lstune.kt.errors import FailedTrialError, FatalError, FatalRuntimeError, FatalTypeError, FatalValueError
from lstune.kt.hypermodel import HyperModel
from lstune.kt.hyperparameters import HyperParameters
from lstune.kt.objective import Objective
from lstune.kt.oracle import Oracle, synchronized
from lstune.kt.parameters import HyperParameter
from lstune.kt.refused import REFUSED as REFUSED
from lstune.kt.refused import refuser
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

__getattr__ = refuser(__name__)
