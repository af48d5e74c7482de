"""Losses on the last layer's output, with their gradients; definitions as in Keras and `reference`."""

from __future__ import annotations

import math

import numpy as np

from lstune.engine._jit import kernel
from lstune.engine.config import LOSSES
from lstune.engine.data import BATCH_TARGETS
from lstune.engine.network import D_OUT_AT, OUT_AT, OUT_SEQUENCE, OUT_STEP, UNITS

_MSE, _MAE, _HUBER, _LOG_COSH, _PINBALL = (
    LOSSES.index(name) for name in ("mse", "mae", "huber", "log_cosh", "pinball")
)

# Keras' epsilon: a relative error counts a target as at least this large.
RELATIVE_FLOOR = 1e-7


@kernel
def _element(code, shape, error):
    """Loss and slope (with respect to the output) for error = output - target."""
    size = abs(error)
    sign = 1.0 if error > 0.0 else (-1.0 if error < 0.0 else 0.0)
    if code == _MSE:
        return error * error, 2.0 * error
    if code == _MAE:
        return size, sign
    if code == _HUBER:
        # size > shape is false for NaN, whose loss then stays NaN.
        if size > shape:
            return shape * size - 0.5 * shape * shape, shape * sign
        return 0.5 * error * error, error
    if code == _LOG_COSH:
        return size + math.log1p(math.exp(-2.0 * size)) - math.log(2.0), math.tanh(error)
    if error < 0.0:
        return -shape * error, -shape
    return (1.0 - shape) * error, (1.0 - shape) if error > 0.0 else 0.0


@kernel
def _loss_of_pairs(
    ws, p, steps, b, first_step, code, shape, targets, target_starts, order, position, training, errors
):  # fmt: skip
    """As `loss`, each output scored against the targets of all the batch's windows (see BATCH_TARGETS)."""
    start, out_step = p[OUT_AT], p[OUT_STEP]
    scale = 1.0 / ((steps - first_step) * b * b)
    total, absolute, squared, relative = 0.0, 0.0, 0.0, 0.0
    for t in range(steps):
        for j in range(b):
            row = t * b + j
            slopes = 0.0
            if t >= first_step:
                output = float(ws[start + row * out_step])
                for k in range(b):
                    goal = float(targets[target_starts[order[position + k]], 0])
                    value, slope = _element(code, shape, output - goal)
                    total += value
                    slopes += slope
                    absolute += abs(output - goal)
                    squared += (output - goal) * (output - goal)
                    relative += abs(output - goal) / max(abs(goal), RELATIVE_FLOOR)
            if training:
                ws[p[D_OUT_AT] + row * out_step] = np.float32(slopes * scale)
    errors[0] += absolute / b
    errors[1] += squared / b
    errors[2] += relative / b
    return total * scale


@kernel
def loss(
    ws, p, steps, b, first_step, code, shape, targets, target_starts, target_step, order, position, training,
    errors,
):  # fmt: skip
    """The batch's mean loss over steps `first_step` on; in training also its gradient, at D_OUT_AT.

    `shape` is huber's delta or pinball's quantile. The batch is order[position : position + b]. To `errors`
    (3,) are added the sums of absolute, squared and relative absolute errors, for metrics.
    """
    if target_step == BATCH_TARGETS:
        return _loss_of_pairs(
            ws, p, steps, b, first_step, code, shape, targets, target_starts, order, position, training,
            errors,
        )  # fmt: skip
    units, out_step, sequence = p[UNITS], p[OUT_STEP], p[OUT_SEQUENCE]
    start = p[OUT_AT]
    rows = steps if sequence else 1
    begin = first_step if sequence else 0
    scale = 1.0 / ((rows - begin) * b * units)
    total = 0.0
    for t in range(rows):
        for j in range(b):
            row = t * b + j
            at = p[D_OUT_AT] + row * out_step
            if t < begin:
                if training:
                    ws[at : at + units] = 0.0
                continue
            goal = targets[target_starts[order[position + j]] + t * target_step]
            for u in range(units):
                error = float(ws[start + row * out_step + u]) - float(goal[u])
                value, slope = _element(code, shape, error)
                total += value
                errors[0] += abs(error)
                errors[1] += error * error
                errors[2] += abs(error) / max(abs(float(goal[u])), RELATIVE_FLOOR)
                if training:
                    ws[at + u] = np.float32(slope * scale)
    return total * scale
