"""The loop over batches, compiled: from one stop to the next nothing returns to Python.

It comes in two pieces, so that two cores can compile it: the loop with the forward pass, and what only
training has.
"""

from __future__ import annotations

import math

import numpy as np

from lstune.engine._jit import Apart, entry, kernel
from lstune.engine.dropout import mix
from lstune.engine.kernels import backward, forward
from lstune.engine.losses import loss
from lstune.engine.network import IN_AT, OUT_AT, OUT_SEQUENCE, OUT_STEP, UNITS
from lstune.engine.optimizers import optimizer_step

# How a span of batches ended.
SPAN_DONE, SPAN_STOPPED, SPAN_DIVERGED = range(3)


@kernel
def _gather(ws, at, inputs, starts, order, position, steps, b):
    """The batch's rows, step by step: ws[at + (t * b + j) * C ...] = inputs[starts[window j] + t]."""
    channels = inputs.shape[1]
    for t in range(steps):
        for j in range(b):
            row = starts[order[position + j]] + t
            to = at + (t * b + j) * channels
            for c in range(channels):
                ws[to + c] = inputs[row, c]


def _learn(ws, table, rates, theta, gradient, slots, settings, segments, steps, b, key, rate, step):
    """The half of a batch that only training has: the gradient, and the step of the optimizer."""
    backward(ws, table, rates, theta, gradient, steps, b, key)
    optimizer_step(theta, gradient, slots, settings, segments, rate, step)
    return 0


LEARN = Apart(
    _learn,
    "i8(f4[::1], i8[:, ::1], f8[:, ::1], f4[::1], f4[::1], f4[:, ::1], f8[::1], i8[:, ::1],"
    " i8, i8, u8, f8, i8)",
)
_call_learn = LEARN.call


@entry
def _span(
    training, ws, table, rates, theta, inputs, starts, steps, targets, target_starts, target_step, order,
    batch, first_step, loss_code, loss_shape, position, windows, total, errors,
    segments, gradient, slots, settings, rate, seed, step, stop, outputs, learn,
):  # fmt: skip
    """Batches of order[position : windows], trained on or evaluated: the one function that Python calls.

    One for both, since compiling takes several seconds for each. The last two lines of arguments are those
    that only training needs, the last of them the address of LEARN, but for `outputs`, which only evaluation
    fills.
    """
    last = table[len(table) - 1]
    units, out_step = last[UNITS], last[OUT_STEP]
    rows = steps if last[OUT_SEQUENCE] else 1
    # A caller that wants the last step alone gives one row for it.
    skip = rows - outputs.shape[1]
    while position < windows:
        if stop[0] != 0:
            return SPAN_STOPPED, position, step, total
        b = min(batch, windows - position)
        key = mix(seed, step)
        _gather(ws, table[0, IN_AT], inputs, starts, order, position, steps, b)
        forward(ws, table, rates, theta, steps, b, training, key)
        value = loss(
            ws, last, steps, b, first_step, loss_code, loss_shape,
            targets, target_starts, target_step, order, position, training, errors,
        )  # fmt: skip
        if training:
            if not math.isfinite(value):
                return SPAN_DIVERGED, position, step, total
            step += 1
            _call_learn(
                learn, ws, table, rates, theta, gradient, slots, settings, segments, steps, b, key, rate, step
            )
        else:
            at = last[OUT_AT]
            for t in range(skip, rows):
                for j in range(b):
                    for u in range(units):
                        outputs[position + j, t - skip, u] = ws[at + (t * b + j) * out_step + u]
        total += value * b
        position += b
    return SPAN_DONE, position, step, total


ENTRY = _span

# What one of the two has no use for.
_NO_SEGMENTS, _NO_WEIGHTS = np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
_NO_SLOTS, _NO_SETTINGS = np.zeros((0, 0), np.float32), np.zeros(0)
_NO_OUTPUTS = np.zeros((0, 0, 0), np.float32)


def train_span(
    ws, table, rates, segments, theta, gradient, slots, settings,
    inputs, starts, steps, targets, target_starts, target_step, order, batch, first_step,
    loss_code, loss_shape, rate, seed, step, position, windows, stop, total, errors,
):  # fmt: skip
    """Train on order[position : windows] in batches; returns (how it ended, next position, step, loss sum).

    The loss sum weights each batch's mean loss with its number of windows; it goes on from `total`, so that
    an epoch cut into spans adds up in the same order; so do `errors` (see `loss`). A batch whose loss is not
    finite changes no weight and ends the span; so does `stop[0]`, which another thread may set.
    """
    return _span(
        True, ws, table, rates, theta, inputs, starts, steps, targets, target_starts, target_step, order,
        batch, first_step, loss_code, loss_shape, position, windows, total, errors,
        segments, gradient, slots, settings, rate, seed, step, stop, _NO_OUTPUTS,
        LEARN.address(),
    )  # fmt: skip


def evaluate_span(
    ws, table, rates, theta, inputs, starts, steps, targets, target_starts, target_step, order, batch,
    first_step, loss_code, loss_shape, outputs, position, windows, stop, total, errors,
):  # fmt: skip
    """Outputs (windows, rows, H) of windows order[position : windows], without dropout.

    Returns (how it ended, next position, loss sum); `stop`, `total` and `errors` as in `train_span`.
    """
    ended, position, _, total = _span(
        False, ws, table, rates, theta, inputs, starts, steps, targets, target_starts, target_step, order,
        batch, first_step, loss_code, loss_shape, position, windows, total, errors,
        _NO_SEGMENTS, _NO_WEIGHTS, _NO_SLOTS, _NO_SETTINGS, 0.0, np.uint64(0), 0, stop, outputs, 0,
    )  # fmt: skip
    return ended, position, total
