"""The engine's specification: a readable NumPy twin in float64 with Keras 3's mathematics.

It is slow and is never used to train for a user. The kernels are checked against it, it is checked by finite
differences, and both are checked against Keras. A new layer, loss or optimizer is written here first.

Axis letters: B batch, L lookback, C input channels, H outputs, P parameters (flat, see `weights.py`).

Where something may be done in more than one way, this is what is meant:

- A batch's loss is the mean over all its scored elements; an epoch's loss is the mean of its batches' losses
  weighted by their number of windows (a partial last batch counts for less), taken while the weights move.
- Clipping changes the gradient, then weight decay shrinks the weights by `learning_rate * decay`, then the
  optimizer's step is taken.
- Dropout multipliers are given by the caller, so that randomness is no part of the specification.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.engine.config import LSTM, Dense, ModelConfig, OptimizerConfig, TrainConfig
from lstune.engine.reference_layers import (
    ACTIVATION_FUNCTIONS,
    LSTMMasks,
    dense_backward,
    dense_forward,
    lstm_backward,
    lstm_forward,
)
from lstune.engine.weights import variables
from lstune.errors import ConfigError, explain

__all__ = [
    "ACTIVATION_FUNCTIONS",
    "LSTMMasks",
    "forward",
    "loss_and_gradient",
    "loss_value",
    "optimizer_step",
    "train_reference",
]

F64 = npt.NDArray[np.float64]
Slots = dict[str, Any]
# One entry for each layer: `LSTMMasks`, a Dropout layer's multipliers in its input's shape, or None.
Masks = Sequence[Any]


def _layer_weights(model: ModelConfig, flat: F64) -> list[dict[str, F64]]:
    layers: list[dict[str, F64]] = [{} for _ in model.layers]
    for variable in variables(model):
        layers[variable.layer][variable.name] = variable.of(flat)
    return layers


def forward(model: ModelConfig, weights: Any, x: Any, masks: Masks | None = None) -> tuple[F64, list[Any]]:
    """Run the layers on x (B, L, C): outputs (B, H), or (B, L, H) if the model returns a sequence; a cache.

    Without `masks` nothing is dropped, as in prediction.
    """
    layer_weights = _layer_weights(model, np.asarray(weights, np.float64))
    values = np.asarray(x, np.float64)
    caches: list[Any] = []
    for index, layer in enumerate(model.layers):
        mask = None if masks is None else masks[index]
        if isinstance(layer, LSTM):
            values, cache = _lstm_forward(layer, layer_weights[index], values, mask)
            caches.append(cache)
        elif isinstance(layer, Dense):
            values, dense_cache = dense_forward(layer, layer_weights[index], values)
            caches.append(dense_cache)
        else:
            multiplier = np.ones_like(values) if mask is None else np.asarray(mask, np.float64)
            values = values * multiplier
            caches.append(multiplier)
    return values, caches


def _directions(layer: LSTM, weights: dict[str, F64]) -> list[dict[str, F64]]:
    """The arrays of each direction, both under the plain names."""
    if not layer.bidirectional:
        return [weights]
    prefix = "backward_"
    second = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
    return [{name: array for name, array in weights.items() if not name.startswith(prefix)}, second]


def _lstm_forward(layer: LSTM, weights: dict[str, F64], x: F64, masks: Any) -> tuple[F64, list[Any]]:
    """One direction, or two side by side, the second on the steps in reverse with masks of its own."""
    both = _directions(layer, weights)
    outputs, caches = [], []
    for number, arrays in enumerate(both):
        mask = masks[number] if layer.bidirectional and masks is not None else masks
        hidden, cache = lstm_forward(layer, arrays, x[:, ::-1] if number else x, mask)
        if not layer.return_sequences:
            hidden = hidden[:, -1]
        elif number:
            hidden = hidden[:, ::-1]
        outputs.append(hidden)
        caches.append(cache)
    return np.concatenate(outputs, axis=-1), caches


def _lstm_backward(
    layer: LSTM, weights: dict[str, F64], caches: list[Any], d_outputs: F64
) -> tuple[F64, dict[str, F64]]:
    gradients: dict[str, F64] = {}
    total: Any = 0.0
    for number, arrays in enumerate(_directions(layer, weights)):
        part = d_outputs[..., number * layer.units : (number + 1) * layer.units]
        if not layer.return_sequences:
            every_step = np.zeros((len(part), len(caches[number].x), layer.units))
            every_step[:, -1] = part
            part = every_step
        elif number:
            part = part[:, ::-1]
        d_x, found = lstm_backward(layer, arrays, caches[number], part)
        total = total + (d_x[:, ::-1] if number else d_x)
        gradients.update({("backward_" if number else "") + name: array for name, array in found.items()})
    return total, gradients


def _backward(model: ModelConfig, weights: F64, caches: list[Any], d_outputs: F64) -> F64:
    """The gradient (P,) of a scalar whose gradient with respect to the model's outputs is `d_outputs`."""
    layer_weights = _layer_weights(model, weights)
    gradient = np.zeros_like(weights)
    by_layer: list[dict[str, F64]] = [{} for _ in model.layers]
    values = d_outputs
    for index in reversed(range(len(model.layers))):
        layer, cache = model.layers[index], caches[index]
        if isinstance(layer, LSTM):
            values, by_layer[index] = _lstm_backward(layer, layer_weights[index], cache, values)
        elif isinstance(layer, Dense):
            values, by_layer[index] = dense_backward(layer, layer_weights[index], cache, values)
        else:
            values = values * cache
    for variable in variables(model):
        variable.of(gradient)[...] = by_layer[variable.layer][variable.name]
    return gradient


def _softplus(z: F64) -> F64:
    return np.logaddexp(0.0, z)


def _elementwise_loss(config: TrainConfig, outputs: F64, targets: F64) -> tuple[F64, F64]:
    """The loss of each element and its derivative with respect to the output, both in the outputs' shape."""
    error = outputs - targets
    size = np.abs(error)
    if config.loss == "mse":
        return error**2, 2.0 * error
    if config.loss == "mae":
        return size, np.sign(error)
    if config.loss == "huber":
        delta = config.delta
        quadratic = size <= delta
        loss = np.where(quadratic, 0.5 * error**2, delta * size - 0.5 * delta**2)
        return loss, np.where(quadratic, error, delta * np.sign(error))
    if config.loss == "log_cosh":
        return error + _softplus(-2.0 * error) - np.log(2.0), np.tanh(error)
    # Pinball: with e = target - output, max(q e, (q - 1) e); no derivative at e = 0, where 0 is taken.
    quantile, e = config.quantile, -error
    slope = np.where(e > 0, -quantile, np.where(e < 0, 1.0 - quantile, 0.0))
    return np.maximum(quantile * e, (quantile - 1.0) * e), slope


def _scored_loss(config: TrainConfig, outputs: F64, targets: F64) -> tuple[float, F64]:
    """The mean loss and its derivative with respect to the outputs, under the supervision asked for.

    outputs: (B, H) or (B, L, H).  targets: (B, H) or (B, L, H); (B, H) serves every step under "every", (B,)
    scores each output (B, L, 1) against the targets of all windows, as Keras broadcasts it.
    """
    pairs = targets.ndim == 1
    scored = np.zeros(outputs.shape, bool)
    if config.supervision == "every":
        if outputs.ndim != 3 or config.burn_in >= outputs.shape[1]:
            raise ConfigError(
                explain(
                    'supervision "every" needs a sequence longer than burn_in',
                    f"outputs {outputs.shape}, burn_in {config.burn_in}",
                )
            )
        scored[:, config.burn_in :] = True
        if targets.ndim == 2:
            targets = targets[:, None, :]
        if pairs:
            loss, slope = _elementwise_loss(config, outputs, targets)  # (B, L, B)
            share = 1.0 / scored.sum()
            loss, slope = (part.mean(axis=-1, keepdims=True) for part in (loss, slope))
            return float(loss[scored].sum() * share), np.where(scored, slope, 0.0) * share
    elif outputs.ndim == 3:
        scored[:, -1] = True
        if targets.ndim == 2:
            targets = targets[:, None, :]
    else:
        scored[...] = True
    loss, slope = _elementwise_loss(config, outputs, np.broadcast_to(targets, outputs.shape))
    count = scored.sum()
    return float(loss[scored].sum() / count), np.where(scored, slope, 0.0) / count


def loss_value(
    model: ModelConfig, config: TrainConfig, weights: Any, x: Any, y: Any, masks: Masks | None = None
) -> float:
    """The mean loss on x (B, L, C) and y (B, H) or (B, L, H)."""
    outputs, _ = forward(model, weights, x, masks)
    return _scored_loss(config, outputs, np.asarray(y, np.float64))[0]


def loss_and_gradient(
    model: ModelConfig, config: TrainConfig, weights: Any, x: Any, y: Any, masks: Masks | None = None
) -> tuple[float, F64]:
    """The mean loss of a batch and its gradient (P,); arguments as for `loss_value`."""
    weights = np.asarray(weights, np.float64)
    outputs, caches = forward(model, weights, x, masks)
    loss, d_outputs = _scored_loss(config, outputs, np.asarray(y, np.float64))
    return loss, _backward(model, weights, caches, d_outputs)


def _clip(optimizer: OptimizerConfig, gradient: F64, model: ModelConfig) -> F64:
    if optimizer.clipvalue is not None:
        return np.clip(gradient, -optimizer.clipvalue, optimizer.clipvalue)
    if optimizer.global_clipnorm is not None:
        norm = np.sqrt(np.sum(gradient**2))
        return gradient * (optimizer.global_clipnorm / max(norm, optimizer.global_clipnorm))
    if optimizer.clipnorm is not None:
        clipped = gradient.copy()
        for variable in variables(model):
            part = variable.of(clipped)
            part *= optimizer.clipnorm / max(np.sqrt(np.sum(part**2)), optimizer.clipnorm)
        return clipped
    return gradient


def optimizer_step(
    optimizer: OptimizerConfig,
    weights: Any,
    gradient: Any,
    slots: Slots,
    step: int,
    model: ModelConfig,
    learning_rate: float | None = None,
) -> tuple[F64, Slots]:
    """One step: clip, decay, update. Returns new weights (P,) and new slots; nothing given is changed.

    `step` counts from 1. `slots` is {} before the first step. `learning_rate` replaces the optimizer's own.
    Formulae are Keras 3's: RMSprop has its epsilon inside the root, Adam and Nadam outside it, and Adam's
    bias corrections fold into the rate (Kingma & Ba 2015, end of section 2), so its epsilon is "epsilon hat".
    """
    rate = optimizer.learning_rate if learning_rate is None else learning_rate
    weights = np.asarray(weights, np.float64)
    g = _clip(optimizer, np.asarray(gradient, np.float64), model)
    weights = weights - weights * optimizer.decay * rate
    update = {"sgd": _sgd, "rmsprop": _rmsprop, "nadam": _nadam, "adam": _adam, "adamw": _adam}[
        optimizer.name
    ]
    change, slots = update(optimizer, g, slots, step, rate)
    return weights + change, slots


def _sgd(o: OptimizerConfig, g: F64, slots: Slots, step: int, rate: float) -> tuple[F64, Slots]:
    if o.momentum == 0:
        return -rate * g, {}
    m = o.momentum * slots.get("momentum", 0.0) - rate * g
    return (o.momentum * m - rate * g if o.nesterov else m), {"momentum": m}


def _rmsprop(o: OptimizerConfig, g: F64, slots: Slots, step: int, rate: float) -> tuple[F64, Slots]:
    new = {"velocity": o.rho * slots.get("velocity", 0.0) + (1.0 - o.rho) * g**2}
    denominator = new["velocity"] + o.epsilon
    if o.centered:
        new["average"] = o.rho * slots.get("average", 0.0) + (1.0 - o.rho) * g
        denominator = denominator - new["average"] ** 2
    change = rate * g / np.sqrt(denominator)
    if o.momentum > 0:
        change = new["momentum"] = o.momentum * slots.get("momentum", 0.0) + change
    return -change, new


def _moments(o: OptimizerConfig, g: F64, slots: Slots) -> tuple[F64, F64]:
    m, v = slots.get("momentum", np.zeros_like(g)), slots.get("velocity", np.zeros_like(g))
    return m + (g - m) * (1.0 - o.beta_1), v + (g**2 - v) * (1.0 - o.beta_2)


def _adam(o: OptimizerConfig, g: F64, slots: Slots, step: int, rate: float) -> tuple[F64, Slots]:
    m, v = _moments(o, g, slots)
    alpha = rate * np.sqrt(1.0 - o.beta_2**step) / (1.0 - o.beta_1**step)
    return -alpha * m / (np.sqrt(v) + o.epsilon), {"momentum": m, "velocity": v}


def _nadam(o: OptimizerConfig, g: F64, slots: Slots, step: int, rate: float) -> tuple[F64, Slots]:
    """Adam with Nesterov momentum and its warming schedule (Dozat 2016)."""
    m, v = _moments(o, g, slots)
    now = o.beta_1 * (1.0 - 0.5 * 0.96**step)
    following = o.beta_1 * (1.0 - 0.5 * 0.96 ** (step + 1))
    product = slots.get("product", 1.0) * now
    m_hat = following * m / (1.0 - product * following) + (1.0 - now) * g / (1.0 - product)
    v_hat = v / (1.0 - o.beta_2**step)
    change = -rate * m_hat / (np.sqrt(v_hat) + o.epsilon)
    return change, {"momentum": m, "velocity": v, "product": product}


def train_reference(
    model: ModelConfig,
    config: TrainConfig,
    weights: Any,
    x: Any,
    y: Any,
    order: Callable[[int], Any] | None = None,
    masks: Callable[[int, int], Masks] | None = None,
    validation: tuple[Any, Any] | None = None,
    schedule: Callable[[int], float] | None = None,
) -> tuple[dict[str, list[float]], F64]:
    """Train for `config.epochs` epochs; returns the history ("loss", "val_loss") and the last weights (P,).

    x: (N, L, C).  y: (N, H) or (N, L, H).  order(epoch) is the order of the N windows, as they stand without
    it.  masks(epoch, batch) are that batch's dropout multipliers, none without it; `schedule(epoch)` is its
    learning rate. Epochs and batches count from 0. Early stopping is not part of the twin.
    """
    weights = np.array(weights, np.float64)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    history: dict[str, list[float]] = {"loss": []} if validation is None else {"loss": [], "val_loss": []}
    slots: Slots = {}
    step = 0
    for epoch in range(config.epochs):
        index = np.arange(len(x)) if order is None else np.asarray(order(epoch))
        rate = None if schedule is None else schedule(epoch)
        total = 0.0
        for number, start in enumerate(range(0, len(x), config.batch_size)):
            rows = index[start : start + config.batch_size]
            mask = None if masks is None else masks(epoch, number)
            loss, gradient = loss_and_gradient(model, config, weights, x[rows], y[rows], mask)
            step += 1
            weights, slots = optimizer_step(config.optimizer, weights, gradient, slots, step, model, rate)
            total += loss * len(rows)
        history["loss"].append(total / len(x))
        if validation is not None:
            history["val_loss"].append(loss_value(model, config, weights, *validation))
    return history, weights
