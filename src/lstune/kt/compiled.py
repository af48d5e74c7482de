"""What a Keras model was compiled with, in the engine's terms: optimizer, loss and metrics."""

from __future__ import annotations

from typing import Any

from lstune.engine.config import OptimizerConfig
from lstune.errors import ConfigError

__all__ = ["Untranslatable", "loss_of", "metrics_of", "optimizer_of"]

_LOSS_FUNCTIONS = {
    "mean_squared_error": "mse", "mean_absolute_error": "mae", "huber": "huber", "log_cosh": "log_cosh",
}  # fmt: skip
_LOSS_CLASSES = {
    "MeanSquaredError": "mse",
    "MeanAbsoluteError": "mae",
    "Huber": "huber",
    "LogCosh": "log_cosh",
}
_METRIC_FUNCTIONS = {
    "mean_squared_error": "mse", "mean_absolute_error": "mae", "mean_absolute_percentage_error": "mape",
}  # fmt: skip
_METRIC_CLASSES = {
    "MeanSquaredError": "mse", "MeanAbsoluteError": "mae", "MeanAbsolutePercentageError": "mape",
    "RootMeanSquaredError": "rmse",
}  # fmt: skip


_ONE = {"losses": "loss", "metrics": "metric"}


class Untranslatable(Exception):
    """The engine does not do what this model or call asks for; the message says what."""


def optimizer_of(keras_model: Any) -> OptimizerConfig:
    """The optimizer's settings, its learning rate as it is now."""
    import keras

    optimizer = keras_model.optimizer
    kinds = {"SGD": "sgd", "RMSprop": "rmsprop", "Adam": "adam", "AdamW": "adamw", "Nadam": "nadam"}
    kind = type(optimizer)
    # On torch Keras puts a subclass of the same name in an optimizer's place.
    keras_own = kind.__module__.startswith("keras.src.")
    if kind.__name__ not in kinds or not keras_own:
        raise Untranslatable(f"the optimizer {kind.__name__}")
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) or callable(rate):
        raise Untranslatable("a learning rate that changes with every step")
    plain = {
        "amsgrad": False,
        "use_ema": False,
        "gradient_accumulation_steps": None,
        "loss_scale_factor": None,
        "_exclude_from_weight_decay_pattern": None,
    }
    for name, value in plain.items():
        if getattr(optimizer, name, value) != value:
            raise Untranslatable(f"{kind.__name__} with {name.lstrip('_')}")
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        raise Untranslatable(f"{kind.__name__} with weights excluded from decay")
    settings: dict[str, Any] = {"learning_rate": float(keras.ops.convert_to_numpy(rate.value))}
    for name in ("momentum", "nesterov", "rho", "centered", "beta_1", "beta_2", "epsilon", "weight_decay"):
        if hasattr(optimizer, name):
            settings[name] = getattr(optimizer, name)
    for name in ("clipnorm", "clipvalue", "global_clipnorm"):
        settings[name] = getattr(optimizer, name, None) or None
    try:
        return OptimizerConfig(kinds[kind.__name__], **settings)
    except (ConfigError, TypeError) as error:
        raise Untranslatable(str(error)) from None


def _resolved(value: Any, module: str) -> Any:
    """The loss or metric that Keras takes a name, a class or an object for."""
    import keras

    try:
        return getattr(keras, module).get(value)
    except (TypeError, ValueError) as error:
        # For Keras to say in its own words.
        raise Untranslatable(f"the {_ONE[module]} {_shown(value)} ({error})") from None


def _known(value: Any, functions: dict[str, str], classes: dict[str, str], module: str) -> str | None:
    """The engine's name for a loss or metric of Keras' own; None if it has none."""
    import keras

    own, kind = getattr(keras, module), type(value)
    for names, key, given in (
        (functions, getattr(value, "__name__", ""), value),
        (classes, kind.__name__, kind),
    ):
        if key in names and given is getattr(own, key, None):
            return names[key]
    return None


def loss_of(keras_model: Any) -> dict[str, Any]:
    """TrainConfig's settings of the loss."""
    given = keras_model.loss
    if given is None:
        raise Untranslatable("no loss")
    if getattr(getattr(keras_model, "_compile_loss", None), "_user_loss_weights", None) is not None:
        raise Untranslatable("loss_weights")
    if isinstance(given, (list, tuple, dict)):
        raise Untranslatable(f"the loss {type(given).__name__}")
    loss = _resolved(given, "losses")
    settings = (loss.get_config() if hasattr(loss, "get_config") else {}) or {}
    if type(loss).__name__ == "PinballLoss" and "quantile" in settings:
        return {"loss": "pinball", "quantile": settings["quantile"]}
    name = _known(loss, _LOSS_FUNCTIONS, _LOSS_CLASSES, "losses")
    if name is None:
        raise Untranslatable(f"the loss {_shown(given)}")
    if settings.get("reduction", "sum_over_batch_size") not in ("sum_over_batch_size", "mean", "auto"):
        raise Untranslatable(f"the loss reduction {settings['reduction']}")
    # get_config of a wrapped loss does not always list the function's own arguments.
    arguments = getattr(loss, "_fn_kwargs", {}) or {}
    return {"loss": name, "delta": float(arguments.get("delta", settings.get("delta", 1.0)))}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)


def metrics_of(keras_model: Any) -> dict[str, str]:
    """Each metric's name in the history -> the engine's."""
    compiled = getattr(keras_model, "_compile_metrics", None)
    if compiled is None:
        return {}
    if getattr(compiled, "_user_weighted_metrics", None):
        raise Untranslatable("weighted metrics")
    metrics = getattr(compiled, "_user_metrics", None) or []
    while isinstance(metrics, (list, tuple)) and len(metrics) == 1 and isinstance(metrics[0], (list, tuple)):
        metrics = metrics[0]
    if isinstance(metrics, dict):
        raise Untranslatable("metrics by the names of outputs")
    found: dict[str, str] = {}
    for given in metrics:
        if isinstance(given, (list, tuple, dict)):
            raise Untranslatable(f"the metric {type(given).__name__}")
        # A name may stand for something that depends on the outputs ("accuracy").
        if isinstance(given, str) and given.lower() in ("accuracy", "acc", "crossentropy", "ce"):
            raise Untranslatable(f"the metric {given}")
        metric = _resolved(given, "metrics")
        known = _known(metric, _METRIC_FUNCTIONS, _METRIC_CLASSES, "metrics")
        if known is None:
            raise Untranslatable(f"the metric {_shown(given)}")
        name = given if isinstance(given, str) else getattr(metric, "name", _shown(metric))
        if name in found or name == "loss":
            # Keras counts them (mae, mae_1).
            raise Untranslatable(f"two metrics of the name {name}")
        found[name] = known
    return found
