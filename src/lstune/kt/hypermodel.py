"""HyperModel: how a model is built from hyperparameters, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lstune.errors import explain
from lstune.kt.errors import FatalValueError
from lstune.kt.hyperparameters import HyperParameters

__all__ = ["DefaultHyperModel", "HyperModel", "get_hypermodel"]


class HyperModel:
    """Subclass it and write `build(hp)`; `fit(hp, model, ...)` may be written too, to tune how it is trained.

    name: for display.  tunable: with False nothing that `build` asks for is added to the search space.
    """

    def __init__(self, name: str | None = None, tunable: bool = True) -> None:
        self.name = name
        self.tunable = tunable

    def build(self, hp: HyperParameters) -> Any:
        """A compiled model for the values in `hp`."""
        raise NotImplementedError

    def declare_hyperparameters(self, hp: HyperParameters) -> None:
        """Declare hyperparameters before the first `build`; nothing by default."""

    def fit(self, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train the model; arguments are those of `search` with the tuner's callbacks.

        Returns Keras' History, a dictionary of metrics, or one number.
        """
        return model.fit(*args, **kwargs)


class DefaultHyperModel(HyperModel):
    """A HyperModel of a function that builds."""

    def __init__(
        self, build: Callable[[HyperParameters], Any], name: str | None = None, tunable: bool = True
    ) -> None:
        super().__init__(name, tunable)
        self._function = build

    def build(self, hp: HyperParameters) -> Any:
        """What the function returns."""
        return self._function(hp)


def build_model(hypermodel: HyperModel, hp: HyperParameters) -> Any:
    """`hypermodel.build(hp)`, on a copy of `hp` if nothing is to be added to the space."""
    # Subclasses need not call our __init__.
    return hypermodel.build(hp if getattr(hypermodel, "tunable", True) else hp.copy())


def get_hypermodel(hypermodel: Any) -> HyperModel | None:
    """A HyperModel for a HyperModel, a function of `hp`, or None."""
    if hypermodel is None or isinstance(hypermodel, HyperModel):
        return hypermodel
    if not callable(hypermodel):
        raise FatalValueError(
            explain(
                "hypermodel must be a function build(hp) that returns a model, or a kt.HyperModel", hypermodel
            )
        )
    return DefaultHyperModel(hypermodel)
