"""How good a forecast is: measures, baselines, significance, intervals and the verdict.

Needs NumPy alone, and SciPy for the significance test.
"""

from lstune.evaluation.baselines import BASELINES, Baseline, baseline_forecasts
from lstune.evaluation.intervals import LEVELS, Intervals, conformal
from lstune.evaluation.metrics import METRICS, Metric, mase_scale, measure
from lstune.evaluation.significance import DieboldMariano, diebold_mariano, skill_interval
from lstune.evaluation.verdict import Verdict, judge

__all__ = [
    "BASELINES",
    "LEVELS",
    "METRICS",
    "Baseline",
    "DieboldMariano",
    "Intervals",
    "Metric",
    "Verdict",
    "baseline_forecasts",
    "conformal",
    "diebold_mariano",
    "judge",
    "mase_scale",
    "measure",
    "skill_interval",
]
