"""One class for each sampler and scheduler; the tests are in `lstune.search.testing`."""

from typing import ClassVar

from lstune.search import SAMPLERS, SCHEDULERS
from lstune.search.testing import SamplerContract, SchedulerContract


class TestRandom(SamplerContract):
    sampler = "random"


class TestGrid(SamplerContract):
    sampler = "grid"
    options: ClassVar[dict] = {"points": 24, "limit": None}


class TestQmc(SamplerContract):
    sampler = "qmc"


class TestTpe(SamplerContract):
    sampler = "tpe"
    learns = True


class TestGp(SamplerContract):
    sampler = "gp"
    trials = 18
    learns = True


class TestCmaes(SamplerContract):
    sampler = "cmaes"


class TestSmac(SamplerContract):
    sampler = "smac"
    options: ClassVar[dict] = {"startup": 5, "challengers": 50, "local_searches": 1, "plateau_steps": 1}
    trials = 10
    learns = True


class TestNone(SchedulerContract):
    scheduler = "none"


class TestMedian(SchedulerContract):
    scheduler = "median"


class TestAsha(SchedulerContract):
    scheduler = "asha"


class TestHyperband(SchedulerContract):
    scheduler = "hyperband"


def test_every_name_is_covered():
    classes = [c for c in globals().values() if isinstance(c, type)]
    samplers = {c.sampler for c in classes if issubclass(c, SamplerContract) and c is not SamplerContract}
    schedulers = {
        c.scheduler for c in classes if issubclass(c, SchedulerContract) and c is not SchedulerContract
    }
    assert samplers == set(SAMPLERS) - {"manual"}  # manual suggests one setting; test_study covers it
    assert schedulers == set(SCHEDULERS)
