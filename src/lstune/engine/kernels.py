"""The layers, forward and backward, on the workspace that `network` lays out.

Every function takes the workspace `ws`, the table row `p` of its layer, and the batch's shape: `steps` (L)
and `b` windows. Weights come packed (see `gemm`), gates in panels (see `cell`). A layer's backward pass reads
the gradient of its output, writes that of its input, and fills its part of the flat gradient.
"""

from __future__ import annotations

import numpy as np

from lstune.engine._jit import kernel
from lstune.engine.cell import activate, activation_slope, cell_backward, cell_forward
from lstune.engine.dropout import dropout_multipliers, mix
from lstune.engine.gate_masks import gatewise_backward, gatewise_forward
from lstune.engine.gemm import PANEL, gemm, pack, pack_transposed
from lstune.engine.network import (
    ACTIVATION,
    BLOCKS,
    CELL_AT,
    D_CELL_AT,
    D_GATES_AT,
    D_HIDDEN_AT,
    D_HIDDEN_STEP,
    D_IN_ADDS,
    D_IN_AT,
    D_OUT_AT,
    DEPTH,
    DEPTH_IN,
    GATES_AT,
    GRADIENT_AT,
    GRADIENT_DEPTH,
    HAS_BIAS,
    HIDDEN,
    IN_AT,
    IN_MASK_AT,
    IN_SEQUENCE,
    IN_STEP,
    IN_WIDTH,
    KIND,
    KIND_DENSE,
    KIND_DROPOUT,
    KIND_LSTM,
    KIND_MERGE,
    NARROW,
    OUT_AT,
    OUT_SEQUENCE,
    OUT_STEP,
    PACKED_AT,
    RATE,
    RECURRENT_RATE,
    REVERSED,
    ROW_STEP,
    ROWS_AT,
    SQUASHED_AT,
    THETA_AT,
    TRANSPOSED_AT,
    UNITS,
    ZERO_AT,
)
from lstune.engine.packing import pack_weights, unpack_gradient
from lstune.engine.simd import LINE, WIDTH
from lstune.engine.spans import add, copy, multiply


@kernel
def _lstm_rows(ws, p, rates, steps, b, training, key):
    """The x and 1 of every augmented row [h, x, 1], and zero states before the first step."""
    width, hidden, row_step, in_step = p[IN_WIDTH], p[HIDDEN], p[ROW_STEP], p[IN_STEP]
    masked = training and rates[RATE] > 0.0
    if masked:
        dropout_multipliers(ws[p[IN_MASK_AT] : p[IN_MASK_AT] + b * width], rates[RATE], mix(key, 0))
    for t in range(steps):
        for j in range(b):
            row = p[ROWS_AT] + (t * b + j) * row_step
            read = steps - 1 - t if p[REVERSED] else t
            copy(ws, row + hidden, p[IN_AT] + (read * b + j) * in_step, width)
            if masked:
                multiply(ws, row + hidden, p[IN_MASK_AT] + j * width, width)
            if p[HAS_BIAS]:
                ws[row + hidden + width] = 1.0
    for j in range(b):
        row = p[ROWS_AT] + j * row_step
        ws[row : row + hidden] = 0.0
    ws[p[CELL_AT] : p[CELL_AT] + b * hidden] = 0.0


@kernel
def lstm_forward(ws, p, rates, theta, steps, b, training, key):
    """All steps of an LSTM layer; gates, cells and outputs stay in the workspace for the backward pass."""
    hidden, blocks, depth, row_step = p[HIDDEN], p[BLOCKS], p[DEPTH_IN], p[ROW_STEP]
    panel = steps * b * PANEL + LINE
    pack_weights(ws, p, theta, training)
    _lstm_rows(ws, p, rates, steps, b, training, key)
    # A panel of up to 320 rows still leaves room for the rows that pass by it.
    parts = (depth + 319) // 320
    block_depth = (depth + parts - 1) // parts
    for t in range(steps):
        gates = p[GATES_AT] + t * b * PANEL
        # The hidden state before the first step is zero: only [x, 1] counts there.
        skipped = hidden if t == 0 else 0
        gemm(
            b, 2 * blocks, depth - skipped, ws, gates, PANEL, panel,
            ws, p[ROWS_AT] + t * b * row_step + skipped, row_step, 1,
            ws, p[PACKED_AT] + skipped * PANEL, PANEL, depth * PANEL, block_depth, 0,
        )  # fmt: skip
        for j in range(b):
            row = t * b + j
            h_next = p[ROWS_AT] + (row + b) * row_step
            cell = p[CELL_AT] + row * hidden
            out = p[OUT_AT] + (row if p[OUT_SEQUENCE] else j) * hidden
            cell_forward(
                ws, p[ACTIVATION], blocks, panel, gates + j * PANEL,
                cell, cell + b * hidden, p[SQUASHED_AT] + row * hidden, out, h_next,
            )  # fmt: skip


@kernel
def lstm_backward(ws, p, rates, gradient, steps, b):
    """Back through time; the weight gradient is one large product over all steps at the end."""
    hidden, blocks, depth, row_step = p[HIDDEN], p[BLOCKS], p[DEPTH_IN], p[ROW_STEP]
    panel = steps * b * PANEL + LINE
    width, d_step = p[IN_WIDTH], p[D_HIDDEN_STEP]
    passes_on = p[D_IN_AT] >= 0
    columns = hidden + (width if passes_on else 0)
    ws[p[D_HIDDEN_AT] : p[D_HIDDEN_AT] + b * d_step] = 0.0
    ws[p[D_CELL_AT] : p[D_CELL_AT] + b * hidden] = 0.0
    for t in range(steps - 1, -1, -1):
        for j in range(b):
            row = t * b + j
            above = p[ZERO_AT]
            if p[OUT_SEQUENCE]:
                above = p[D_OUT_AT] + row * hidden
            elif t == steps - 1:
                above = p[D_OUT_AT] + j * hidden
            cell_backward(
                ws, p[ACTIVATION], blocks, panel, b, p[GATES_AT] + row * PANEL,
                p[CELL_AT] + row * hidden, p[SQUASHED_AT] + row * hidden,
                p[D_HIDDEN_AT] + j * d_step, above, p[D_CELL_AT] + j * hidden,
                p[D_GATES_AT] + j * 4 * hidden,
            )  # fmt: skip
        if t > 0 or passes_on:
            # The gates of the step before are needed next. They were written long ago, and how their panels
            # follow each other is more than the processor's own prefetching sees through.
            gemm(
                b, (columns + PANEL - 1) // PANEL, 4 * hidden, ws, p[D_HIDDEN_AT], d_step, PANEL,
                ws, p[D_GATES_AT], 4 * hidden, 1,
                ws, p[TRANSPOSED_AT], PANEL, 4 * hidden * PANEL, DEPTH, 0,
                p[GATES_AT] + (t - 1) * b * PANEL, b, panel, 2 * blocks if t > 0 else 0,
            )  # fmt: skip
        if passes_on:
            read = steps - 1 - t if p[REVERSED] else t
            for j in range(b):
                source = p[D_HIDDEN_AT] + j * d_step + hidden
                if rates[RATE] > 0.0:
                    multiply(ws, source, p[IN_MASK_AT] + j * width, width)
                to = p[D_IN_AT] + (read * b + j) * p[IN_STEP]
                if p[D_IN_ADDS]:
                    add(ws, to, source, width)
                else:
                    copy(ws, to, source, width)
    # Rows of the first step, where the hidden state is zero, count for [x, 1] only.
    first = b if steps > 1 else 0
    gemm(
        depth, 2 * blocks, steps * b - first, ws, p[GRADIENT_AT], PANEL, depth * PANEL,
        ws, p[ROWS_AT] + first * row_step, 1, row_step,
        ws, p[GATES_AT] + first * PANEL, PANEL, panel, GRADIENT_DEPTH, 0,
    )  # fmt: skip
    if first:
        gemm(
            depth - hidden, 2 * blocks, first, ws, p[GRADIENT_AT] + hidden * PANEL, PANEL, depth * PANEL,
            ws, p[ROWS_AT] + hidden, 1, row_step, ws, p[GATES_AT], PANEL, panel, GRADIENT_DEPTH, 1,
        )  # fmt: skip
    unpack_gradient(ws, p, gradient)


@kernel
def dense_forward(ws, p, theta, rows):
    """out = activation(in @ kernel + bias) for `rows` rows."""
    units, width, at = p[UNITS], p[IN_WIDTH], p[THETA_AT]
    out_at, out_step = p[OUT_AT], p[OUT_STEP]
    if units <= NARROW:
        # The kernel's columns as rows, for dot products over unit strides.
        for o in range(units):
            for i in range(width):
                ws[p[PACKED_AT] + o * width + i] = theta[at + i * units + o]
        for r in range(rows):
            given = ws[p[IN_AT] + r * p[IN_STEP] : p[IN_AT] + r * p[IN_STEP] + width]
            for o in range(units):
                column = ws[p[PACKED_AT] + o * width : p[PACKED_AT] + (o + 1) * width]
                total = np.float32(0.0)
                for i in range(width):
                    total += given[i] * column[i]
                ws[out_at + r * out_step + o] = total
    else:
        pack(width, units, theta, at, units, ws, p[PACKED_AT])
        gemm(
            rows, out_step // PANEL, width, ws, out_at, out_step, PANEL,
            ws, p[IN_AT], p[IN_STEP], 1, ws, p[PACKED_AT], PANEL, width * PANEL, DEPTH, 0,
        )  # fmt: skip
    if p[HAS_BIAS]:
        bias = theta[at + width * units : at + width * units + units]
        for r in range(rows):
            out = ws[out_at + r * out_step : out_at + r * out_step + units]
            for o in range(units):
                out[o] += bias[o]
    if p[ACTIVATION]:
        activate(ws, p[ACTIVATION], rows * out_step // WIDTH, out_at)


@kernel
def dense_backward(ws, p, theta, gradient, rows):
    """Gradients of kernel, bias and input from that of the output."""
    units, width, at = p[UNITS], p[IN_WIDTH], p[THETA_AT]
    d_out, out_step = p[D_OUT_AT], p[OUT_STEP]
    passes_on = p[D_IN_AT] >= 0
    if p[ACTIVATION]:
        activation_slope(ws, p[ACTIVATION], rows * out_step // WIDTH, p[OUT_AT], d_out)
    if p[HAS_BIAS]:
        for o in range(units):
            total = np.float32(0.0)
            for r in range(rows):
                total += ws[d_out + r * out_step + o]
            gradient[at + width * units + o] = total
    if units <= NARROW:
        ws[p[GRADIENT_AT] : p[GRADIENT_AT] + units * width] = 0.0
        for r in range(rows):
            given = ws[p[IN_AT] + r * p[IN_STEP] : p[IN_AT] + r * p[IN_STEP] + width]
            for o in range(units):
                slope = ws[d_out + r * out_step + o]
                summed = ws[p[GRADIENT_AT] + o * width : p[GRADIENT_AT] + (o + 1) * width]
                for i in range(width):
                    summed[i] += slope * given[i]
            if passes_on:
                passed = ws[p[D_IN_AT] + r * p[IN_STEP] : p[D_IN_AT] + r * p[IN_STEP] + width]
                for o in range(units):
                    slope = ws[d_out + r * out_step + o]
                    column = ws[p[PACKED_AT] + o * width : p[PACKED_AT] + (o + 1) * width]
                    if o == 0:
                        for i in range(width):
                            passed[i] = slope * column[i]
                    else:
                        for i in range(width):
                            passed[i] += slope * column[i]
        for o in range(units):
            for i in range(width):
                gradient[at + i * units + o] = ws[p[GRADIENT_AT] + o * width + i]
        return
    panels = out_step // PANEL
    gemm(
        width, panels, rows, ws, p[GRADIENT_AT], PANEL, width * PANEL,
        ws, p[IN_AT], 1, p[IN_STEP], ws, d_out, out_step, PANEL, GRADIENT_DEPTH, 0,
    )  # fmt: skip
    for i in range(width):
        for o in range(units):
            gradient[at + i * units + o] = ws[p[GRADIENT_AT] + ((o // PANEL) * width + i) * PANEL + o % PANEL]
    if passes_on:
        step = p[D_HIDDEN_STEP]
        pack_transposed(units, width, theta, at, units, ws, p[TRANSPOSED_AT])
        gemm(
            rows, step // PANEL, units, ws, p[D_HIDDEN_AT], step, PANEL,
            ws, d_out, out_step, 1, ws, p[TRANSPOSED_AT], PANEL, units * PANEL, DEPTH, 0,
        )  # fmt: skip
        for r in range(rows):
            copy(ws, p[D_IN_AT] + r * p[IN_STEP], p[D_HIDDEN_AT] + r * step, width)


@kernel
def dropout_forward(ws, p, rates, rows, training, key):
    """Copy, multiplied in training by fresh multipliers."""
    count = rows * p[IN_STEP]
    if training and rates[RATE] > 0.0:
        dropout_multipliers(ws[p[OUT_AT] : p[OUT_AT] + count], rates[RATE], mix(key, 0))
        multiply(ws, p[OUT_AT], p[IN_AT], count)
    else:
        copy(ws, p[OUT_AT], p[IN_AT], count)


@kernel
def dropout_backward(ws, p, rates, rows, key):
    """The same multipliers, drawn again, on the gradient."""
    if p[D_IN_AT] < 0:
        return
    count = rows * p[IN_STEP]
    if rates[RATE] > 0.0:
        dropout_multipliers(ws[p[D_IN_AT] : p[D_IN_AT] + count], rates[RATE], mix(key, 0))
        multiply(ws, p[D_IN_AT], p[D_OUT_AT], count)
    else:
        copy(ws, p[D_IN_AT], p[D_OUT_AT], count)


@kernel
def _merge(ws, table, index, steps, b, backwards):
    """Two directions' outputs side by side, the second turned round; `backwards` splits the gradient."""
    merged = table[index]
    sequence, units = merged[OUT_SEQUENCE], merged[UNITS] // 2
    rows = steps if sequence else 1
    for part in range(2):
        p = table[index - 2 + part]
        for t in range(rows):
            source_step = (steps - 1 - t if part else t) if sequence else 0
            for j in range(b):
                row = (t * b + j) * merged[OUT_STEP] + part * units
                if backwards:
                    to = p[D_OUT_AT] + (source_step * b + j) * p[OUT_STEP]
                    copy(ws, to, merged[D_OUT_AT] + row, units)
                else:
                    source = p[OUT_AT] + (source_step * b + j) * p[OUT_STEP]
                    copy(ws, merged[OUT_AT] + row, source, units)


@kernel
def forward(ws, table, rates, theta, steps, b, training, key):
    """Every layer in order; the batch's inputs already stand at the first layer's IN_AT."""
    for index in range(len(table)):
        p = table[index]
        rows = (steps if p[IN_SEQUENCE] else 1) * b
        layer_key = mix(key, index)
        if p[KIND] == KIND_LSTM:
            if training and rates[index, RECURRENT_RATE] > 0.0:
                gatewise_forward(ws, p, rates[index], theta, steps, b, layer_key)
            else:
                lstm_forward(ws, p, rates[index], theta, steps, b, training, layer_key)
        elif p[KIND] == KIND_MERGE:
            _merge(ws, table, index, steps, b, False)
        elif p[KIND] == KIND_DENSE:
            dense_forward(ws, p, theta, rows)
        elif p[KIND] == KIND_DROPOUT:
            dropout_forward(ws, p, rates[index], rows, training, layer_key)


@kernel
def backward(ws, table, rates, theta, gradient, steps, b, key):
    """Every layer in reverse; the outputs' gradient already stands at the last layer's D_OUT_AT."""
    for index in range(len(table) - 1, -1, -1):
        p = table[index]
        rows = (steps if p[IN_SEQUENCE] else 1) * b
        if p[KIND] == KIND_LSTM:
            if rates[index, RECURRENT_RATE] > 0.0:
                gatewise_backward(ws, p, rates[index], gradient, steps, b)
            else:
                lstm_backward(ws, p, rates[index], gradient, steps, b)
        elif p[KIND] == KIND_MERGE:
            _merge(ws, table, index, steps, b, True)
        elif p[KIND] == KIND_DENSE:
            dense_backward(ws, p, theta, gradient, rows)
        elif p[KIND] == KIND_DROPOUT:
            dropout_backward(ws, p, rates[index], rows, mix(key, index))
