"""Search: spaces, samplers, schedulers and studies. It proposes settings and knows nothing of LSTMs."""

from lstune.search.records import Job, TrialRecord, TrialState
from lstune.search.samplers import METHODS, SAMPLERS, method_parts
from lstune.search.schedulers import SCHEDULERS
from lstune.search.space import Choice, Fixed, Float, Int, Space
from lstune.search.study import Study

__all__ = [
    "METHODS",
    "SAMPLERS",
    "SCHEDULERS",
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Job",
    "Space",
    "Study",
    "TrialRecord",
    "TrialState",
    "method_parts",
]
