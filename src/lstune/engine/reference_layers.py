"""Layers of the NumPy twin, one forward and one backward function each; see `reference.py`.

Axis letters: B batch, L lookback, C width of the layer's input, U units, H width of a Dense layer's output.
Everything is float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lstune.engine.config import LSTM, Dense

__all__ = [
    "ACTIVATION_FUNCTIONS",
    "LSTMCache",
    "LSTMMasks",
    "dense_backward",
    "dense_forward",
    "lstm_backward",
    "lstm_forward",
]

F64 = npt.NDArray[np.float64]
Arrays = dict[str, F64]


class Activation(NamedTuple):
    """A function and its derivative; the derivative is given z and the function's value a = value(z)."""

    value: Callable[[F64], F64]
    slope: Callable[[F64, F64], F64]


def _elu(z: F64) -> F64:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0.0)))


def _sigmoid(z: F64) -> F64:
    # Half of a tanh: the logistic function without an exponential that overflows.
    return 0.5 * (1.0 + np.tanh(0.5 * z))


# At a kink the slope is Keras' (JAX): 0 for relu and hard_sigmoid, 1 for elu at 0.
ACTIVATION_FUNCTIONS: dict[str, Activation] = {
    "linear": Activation(lambda z: z, lambda z, a: np.ones_like(z)),
    "tanh": Activation(np.tanh, lambda z, a: 1.0 - a * a),
    "sigmoid": Activation(_sigmoid, lambda z, a: a * (1.0 - a)),
    "relu": Activation(lambda z: np.maximum(z, 0.0), lambda z, a: (z > 0).astype(z.dtype)),
    "elu": Activation(_elu, lambda z, a: np.where(z > 0, 1.0, a + 1.0)),
    "softsign": Activation(lambda z: z / (1.0 + np.abs(z)), lambda z, a: 1.0 / (1.0 + np.abs(z)) ** 2),
    "hard_sigmoid": Activation(
        lambda z: np.clip(z + 3.0, 0.0, 6.0) / 6.0, lambda z, a: ((z > -3.0) & (z < 3.0)) / 6.0
    ),
}


class LSTMMasks(NamedTuple):
    """Dropout multipliers of an LSTM, 0 or 1 / (1 - rate), the same at every step of a batch.

    inputs: None, (B, C) for all gates, or (4, B, C) with one mask for each gate in the order i, f, c, o.
    recurrent: None, (B, U) or (4, B, U), on the previous hidden state.
    Keras 3 draws one mask for all gates unless `recurrent_dropout` is above 0; then four, for both.
    """

    inputs: Any = None
    recurrent: Any = None


class LSTMCache(NamedTuple):
    """What the backward pass reads again; the first axis of each is the step t."""

    x: F64  # (L, 4, B, C) masked inputs, for each gate
    h: F64  # (L, 4, B, U) masked previous hidden states, for each gate
    c: F64  # (L + 1, B, U) cell states; c[t] is the one before step t
    z: F64  # (L, 4, B, U) gates before their activation
    gates: F64  # (L, 4, B, U) gates i, f, g, o after it
    activated: F64  # (L, B, U) activation(c[t + 1])
    masks: tuple[F64, F64]  # (4, B, C), (4, B, U)


def _gate_masks(mask: Any, batch: int, width: int) -> F64:
    if mask is None:
        return np.ones((4, batch, width))
    return np.broadcast_to(np.asarray(mask, np.float64), (4, batch, width))


def _by_gate(matrix: F64) -> F64:
    """(C, 4U) -> (4, C, U)."""
    rows, columns = matrix.shape
    return matrix.reshape(rows, 4, columns // 4).transpose(1, 0, 2)


def _fused(by_gate: F64) -> F64:
    """(4, C, U) -> (C, 4U)."""
    return by_gate.transpose(1, 0, 2).reshape(by_gate.shape[1], -1)


def lstm_forward(layer: LSTM, weights: Arrays, x: F64, masks: LSTMMasks | None) -> tuple[F64, LSTMCache]:
    """Hidden states (B, L, U) of every step for x (B, L, C), from zero states, and the cache."""
    batch, steps, width = x.shape
    units = layer.units
    masks = masks or LSTMMasks()
    input_mask = _gate_masks(masks.inputs, batch, width)
    recurrent_mask = _gate_masks(masks.recurrent, batch, units)
    kernel, recurrent_kernel = _by_gate(weights["kernel"]), _by_gate(weights["recurrent_kernel"])
    bias = weights["bias"].reshape(4, 1, units) if layer.use_bias else 0.0
    activation = ACTIVATION_FUNCTIONS[layer.activation].value
    recurrent_activation = ACTIVATION_FUNCTIONS[layer.recurrent_activation].value

    cache = LSTMCache(
        x=np.empty((steps, 4, batch, width)),
        h=np.empty((steps, 4, batch, units)),
        c=np.zeros((steps + 1, batch, units)),
        z=np.empty((steps, 4, batch, units)),
        gates=np.empty((steps, 4, batch, units)),
        activated=np.empty((steps, batch, units)),
        masks=(input_mask, recurrent_mask),
    )
    outputs = np.empty((batch, steps, units))
    h = np.zeros((batch, units))
    for t in range(steps):
        cache.x[t] = x[:, t] * input_mask
        cache.h[t] = h * recurrent_mask
        z = cache.x[t] @ kernel + cache.h[t] @ recurrent_kernel + bias  # (4, B, U)
        i, f, o = recurrent_activation(z[0]), recurrent_activation(z[1]), recurrent_activation(z[3])
        g = activation(z[2])
        cache.c[t + 1] = f * cache.c[t] + i * g
        cache.activated[t] = activation(cache.c[t + 1])
        h = o * cache.activated[t]
        cache.z[t], cache.gates[t] = z, (i, f, g, o)
        outputs[:, t] = h
    return outputs, cache


def lstm_backward(layer: LSTM, weights: Arrays, cache: LSTMCache, d_outputs: F64) -> tuple[F64, Arrays]:
    """Backpropagation through time (Werbos 1990): d_outputs (B, L, U) -> d_x (B, L, C) and the gradients."""
    batch, steps, units = d_outputs.shape
    kernel, recurrent_kernel = _by_gate(weights["kernel"]), _by_gate(weights["recurrent_kernel"])
    input_mask, recurrent_mask = cache.masks
    activation = ACTIVATION_FUNCTIONS[layer.activation].slope
    recurrent_activation = ACTIVATION_FUNCTIONS[layer.recurrent_activation].slope

    d_kernel, d_recurrent = np.zeros_like(kernel), np.zeros_like(recurrent_kernel)
    d_bias = np.zeros((4, units))
    d_x = np.empty((batch, steps, kernel.shape[1]))
    d_h, d_c = np.zeros((batch, units)), np.zeros((batch, units))
    for t in reversed(range(steps)):
        i, f, g, o = cache.gates[t]
        d_h = d_h + d_outputs[:, t]
        d_c = d_c + d_h * o * activation(cache.c[t + 1], cache.activated[t])
        z, gates = cache.z[t], cache.gates[t]
        d_z = np.stack(
            [
                d_c * g * recurrent_activation(z[0], gates[0]),
                d_c * cache.c[t] * recurrent_activation(z[1], gates[1]),
                d_c * i * activation(z[2], gates[2]),
                d_h * cache.activated[t] * recurrent_activation(z[3], gates[3]),
            ]
        )  # (4, B, U)
        d_kernel += cache.x[t].transpose(0, 2, 1) @ d_z
        d_recurrent += cache.h[t].transpose(0, 2, 1) @ d_z
        d_bias += d_z.sum(axis=1)
        d_x[:, t] = (d_z @ kernel.transpose(0, 2, 1) * input_mask).sum(axis=0)
        d_h = (d_z @ recurrent_kernel.transpose(0, 2, 1) * recurrent_mask).sum(axis=0)
        d_c = d_c * f
    gradients = {"recurrent_kernel": _fused(d_recurrent), "kernel": _fused(d_kernel)}
    if layer.use_bias:
        gradients["bias"] = d_bias.reshape(-1)
    return d_x, gradients


def dense_forward(layer: Dense, weights: Arrays, x: F64) -> tuple[F64, tuple[F64, F64, F64]]:
    """activation(x @ kernel + bias) on the last axis of x (B, C) or (B, L, C); cache (x, z, outputs)."""
    z = x @ weights["kernel"]
    if layer.use_bias:
        z = z + weights["bias"]
    outputs = ACTIVATION_FUNCTIONS[layer.activation].value(z)
    return outputs, (x, z, outputs)


def dense_backward(
    layer: Dense, weights: Arrays, cache: tuple[F64, F64, F64], d_outputs: F64
) -> tuple[F64, Arrays]:
    """d_outputs (B, H) or (B, L, H) -> d_x and the gradients."""
    x, z, outputs = cache
    d_z = d_outputs * ACTIVATION_FUNCTIONS[layer.activation].slope(z, outputs)
    rows, d_rows = x.reshape(-1, x.shape[-1]), d_z.reshape(-1, d_z.shape[-1])
    gradients = {"kernel": rows.T @ d_rows}
    if layer.use_bias:
        gradients["bias"] = d_rows.sum(axis=0)
    return d_z @ weights["kernel"].T, gradients
