"""How good a forecast is: measures, baselines, significance, intervals and the verdict.

Needs NumPy alone, and SciPy for the significance test.
"""

from lstune.evaluation.baselines import BASELINES, Baseline, baseline_forecasts
from lstune.evaluation.intervals import LEVELS, Intervals, choose_intervals, conformal, local_scale
from lstune.evaluation.metrics import METRICS, Metric, losses_by_origin, mase_scale, measure, step_errors
from lstune.evaluation.significance import (
    DieboldMariano,
    Encompassing,
    diebold_mariano,
    encompassing,
    skill_interval,
)
from lstune.evaluation.statistical import StatisticalFit, start_statistical, wanted_statistical
from lstune.evaluation.verdict import SIGNIFICANT, Verdict, judge

__all__ = [
    "BASELINES",
    "LEVELS",
    "METRICS",
    "SIGNIFICANT",
    "Baseline",
    "DieboldMariano",
    "Encompassing",
    "Intervals",
    "Metric",
    "StatisticalFit",
    "Verdict",
    "baseline_forecasts",
    "choose_intervals",
    "conformal",
    "diebold_mariano",
    "encompassing",
    "judge",
    "local_scale",
    "losses_by_origin",
    "mase_scale",
    "measure",
    "skill_interval",
    "start_statistical",
    "step_errors",
    "wanted_statistical",
]
