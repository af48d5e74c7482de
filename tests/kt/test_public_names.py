"""Every public name of Keras Tuner is offered, or refused with a reason; arguments bear the same names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import lstune
import lstune.kt as kt

# Arguments that Keras Tuner has and we do not name: gRPC and AutoKeras are no part of this.
ELSEWHERE = {"kwargs", "args"}


def public_modules(keras_tuner):
    names = [""]
    for found in pkgutil.walk_packages(keras_tuner.__path__, "keras_tuner."):
        if ".src" not in found.name:
            names.append(found.name.removeprefix("keras_tuner"))
    return names


def public_names(module):
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    ]


def test_every_public_name_is_offered_or_refused(keras_tuner):
    refused = set()
    for suffix in public_modules(keras_tuner):
        theirs = importlib.import_module(f"keras_tuner{suffix}")
        if suffix.split(".")[1:2] and suffix.split(".")[1] in kt.REFUSED:
            refused.add(suffix.split(".")[1])
            continue
        ours = importlib.import_module(f"lstune.kt{suffix}")
        for name in public_names(theirs):
            if name in kt.REFUSED:
                refused.add(name)
                assert not hasattr(ours, name)
            else:
                assert hasattr(ours, name), f"keras_tuner{suffix}.{name}"
    # A reason that has become stale is a fault too.
    assert refused == set(kt.REFUSED)
    for name in refused:
        with pytest.raises(AttributeError, match="Use keras_tuner"):
            getattr(kt, name)
    with pytest.raises(AttributeError, match="has no attribute"):
        _ = kt.nothing


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ("kt.SklearnTuner", AttributeError),
        ("kt.tuners.SklearnTuner", AttributeError),
        ("from lstune.kt import applications", ImportError),
        ("from lstune.kt.applications import HyperResNet", ImportError),
        ("import lstune.kt.applications", ImportError),
    ],
)
def test_what_is_not_offered_says_why_however_it_is_asked_for(asked, error):
    with pytest.raises(error, match="Use keras_tuner"):
        exec(asked, {"kt": kt})
    assert not any(hasattr(module, name) for module in (kt, kt.tuners) for name in kt.REFUSED)


def test_other_names_are_missing_as_everywhere():
    with pytest.raises(AttributeError, match=r"module 'lstune\.kt\.tuners' has no attribute"):
        _ = kt.tuners.nothing
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from lstune.kt import nothing")


@pytest.mark.parametrize(
    "name",
    [
        "RandomSearch",
        "GridSearch",
        "BayesianOptimization",
        "Hyperband",
        "Tuner",
        "Oracle",
        "HyperModel",
        "Objective",
    ],
)
def test_constructors_take_keras_tuners_arguments_in_their_order(name, keras_tuner):
    theirs = list(inspect.signature(getattr(keras_tuner, name).__init__).parameters)
    ours = inspect.signature(getattr(kt, name).__init__).parameters
    named = [each for each in theirs if each in ours and each not in ELSEWHERE]
    assert named == [each for each in ours if each in named]
    for each in theirs:
        # What is not named is passed on to the oracle or the tuner, which name it.
        takes_more = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in ours.values())
        assert each in ours or takes_more, each


@pytest.mark.parametrize("name", ["Tuner", "Oracle", "HyperModel", "HyperParameters", "Objective"])
def test_public_methods_are_there(name, keras_tuner):
    protobuf = {"to_proto", "from_proto"}
    theirs = {each for each in dir(getattr(keras_tuner, name)) if not each.startswith("_")} - protobuf
    assert theirs <= set(dir(getattr(kt, name))) | {"verbose"}


def test_the_version_is_lstunes():
    assert kt.__version__ == lstune.__version__


def test_methods_that_are_new():
    assert all(issubclass(each, kt.Tuner) for each in (kt.TPE, kt.SMAC, kt.BOHB))
    assert sorted(kt.__all__) == sorted(set(kt.__all__))
    assert all(hasattr(kt, name) for name in kt.__all__)


def test_importing_the_door_loads_no_keras():
    """The backend is chosen by whoever imports Keras first; that must not be us."""
    code = "import sys, lstune.kt; print([m for m in ('keras', 'tensorflow', 'optuna') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
