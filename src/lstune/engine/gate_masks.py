"""An LSTM layer in training with `recurrent_dropout`, where each gate has masks of its own.

Keras 3 draws one mask for each gate, of the hidden state and of the inputs, as soon as `recurrent_dropout`
is above 0 (Gal & Ghahramani 2016, untied weights). A gate then reads inputs of its own, so that the one
product that gives all gates at once, as in `kernels`, becomes four of a quarter's width: no more arithmetic
in all. Layers without recurrent dropout, and all layers in evaluation, never come here.

What a gate needs lies together: its packed weights, its rows [h, x, 1], its pre-activations and their
gradients, in panels of PANEL units. The cell's functions want the four gates of a row side by side,
[block][i f g o][WIDTH]: a row is brought into that order in a scratch row, and back.
"""

from __future__ import annotations

from lstune.engine._jit import kernel
from lstune.engine.cell import cell_backward, cell_forward
from lstune.engine.dropout import dropout_multipliers, mix
from lstune.engine.gemm import PANEL, gemm
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
    GATE_PACKED_AT,
    GATES_AT,
    GRADIENT_AT,
    GRADIENT_DEPTH,
    HAS_BIAS,
    HIDDEN,
    HIDDEN_MASK_AT,
    IN_AT,
    IN_MASK_AT,
    IN_STEP,
    IN_WIDTH,
    OUT_AT,
    OUT_SEQUENCE,
    PRODUCT_AT,
    RATE,
    RECURRENT_RATE,
    REVERSED,
    ROW_STEP,
    ROWS_AT,
    SCRATCH_AT,
    SQUASHED_AT,
    THETA_AT,
    TRANSPOSED_AT,
    UNITS,
    ZERO_AT,
)
from lstune.engine.simd import LINE, WIDTH
from lstune.engine.spans import add, copy, multiply

__all__ = ["gatewise_backward", "gatewise_forward"]


@kernel
def _pack(ws, p, theta):
    """Each gate's weights (U + C + 1, U) into panels, and [recurrent, kernel] of each transposed."""
    units, hidden, depth = p[UNITS], p[HIDDEN], p[DEPTH_IN]
    pairs = (hidden + PANEL - 1) // PANEL
    columns = hidden + (p[IN_WIDTH] if p[D_IN_AT] >= 0 else 0)
    for row in range(depth):
        # Rows of padding units carry no weight: nothing is ever written there.
        if units <= row < hidden:
            continue
        source = p[THETA_AT] + (row if row < hidden else row - hidden + units) * 4 * units
        for gate in range(4):
            for pair in range(pairs):
                begin = source + gate * units + pair * PANEL
                used = min(PANEL, units - pair * PANEL)
                to = p[GATE_PACKED_AT] + ((gate * pairs + pair) * depth + row) * PANEL
                out, given = ws[to : to + used], theta[begin : begin + used]
                for q in range(used):
                    out[q] = given[q]
            if row < columns:
                to = p[TRANSPOSED_AT] + ((row // PANEL) * 4 + gate) * hidden * PANEL + row % PANEL
                for u in range(units):
                    ws[to + u * PANEL] = theta[source + gate * units + u]


@kernel
def _unpack_gradient(ws, p, gradient):
    units, hidden, depth = p[UNITS], p[HIDDEN], p[DEPTH_IN]
    pairs = (hidden + PANEL - 1) // PANEL
    for row in range(depth):
        if units <= row < hidden:
            continue
        to = p[THETA_AT] + (row if row < hidden else row - hidden + units) * 4 * units
        for gate in range(4):
            for pair in range(pairs):
                begin = to + gate * units + pair * PANEL
                used = min(PANEL, units - pair * PANEL)
                source = p[GRADIENT_AT] + ((gate * pairs + pair) * depth + row) * PANEL
                out, given = gradient[begin : begin + used], ws[source : source + used]
                for q in range(used):
                    out[q] = given[q]


@kernel
def _rows(ws, p, rates, steps, b, key):
    """Draw the masks; the x and 1 of every gate's rows [h, x, 1], and zero states before the first step."""
    width, hidden, row_step = p[IN_WIDTH], p[HIDDEN], p[ROW_STEP]
    if rates[RATE] > 0.0:
        dropout_multipliers(ws[p[IN_MASK_AT] : p[IN_MASK_AT] + 4 * b * width], rates[RATE], mix(key, 0))
    at = p[HIDDEN_MASK_AT]
    dropout_multipliers(ws[at : at + 4 * b * hidden], rates[RECURRENT_RATE], mix(key, 1))
    for gate in range(4):
        rows = p[ROWS_AT] + gate * (steps + 1) * b * row_step
        for t in range(steps):
            read = steps - 1 - t if p[REVERSED] else t
            for j in range(b):
                row = rows + (t * b + j) * row_step + hidden
                copy(ws, row, p[IN_AT] + (read * b + j) * p[IN_STEP], width)
                if rates[RATE] > 0.0:
                    multiply(ws, row, p[IN_MASK_AT] + (gate * b + j) * width, width)
                if p[HAS_BIAS]:
                    ws[row + width] = 1.0
        for j in range(b):
            ws[rows + j * row_step : rows + j * row_step + hidden] = 0.0
    ws[p[CELL_AT] : p[CELL_AT] + b * hidden] = 0.0


@kernel
def _gather_row(ws, p, panel, row):
    """One row's gates from their panels into the scratch row."""
    pairs = (p[BLOCKS] + 1) // 2
    for gate in range(4):
        for block in range(p[BLOCKS]):
            source = p[GATES_AT] + (gate * pairs + block // 2) * panel + row * PANEL + (block % 2) * WIDTH
            copy(ws, p[SCRATCH_AT] + (block * 4 + gate) * WIDTH, source, WIDTH)


@kernel
def _scatter_row(ws, p, panel, row):
    """The inverse of `_gather_row`."""
    pairs = (p[BLOCKS] + 1) // 2
    for gate in range(4):
        for block in range(p[BLOCKS]):
            to = p[GATES_AT] + (gate * pairs + block // 2) * panel + row * PANEL + (block % 2) * WIDTH
            copy(ws, to, p[SCRATCH_AT] + (block * 4 + gate) * WIDTH, WIDTH)


@kernel
def gatewise_forward(ws, p, rates, theta, steps, b, key):
    """All steps of the layer in training; as `kernels.lstm_forward`, gate by gate."""
    hidden, depth, row_step = p[HIDDEN], p[DEPTH_IN], p[ROW_STEP]
    pairs = (p[BLOCKS] + 1) // 2
    panel = steps * b * PANEL + LINE
    _pack(ws, p, theta)
    _rows(ws, p, rates, steps, b, key)
    parts = (depth + 319) // 320
    block_depth = (depth + parts - 1) // parts
    for t in range(steps):
        for gate in range(4):
            rows = p[ROWS_AT] + (gate * (steps + 1) + t) * b * row_step
            gemm(
                b, pairs, depth, ws, p[GATES_AT] + gate * pairs * panel + t * b * PANEL, PANEL, panel,
                ws, rows, row_step, 1,
                ws, p[GATE_PACKED_AT] + gate * pairs * depth * PANEL, PANEL, depth * PANEL, block_depth, 0,
            )  # fmt: skip
        for j in range(b):
            row = t * b + j
            cell = p[CELL_AT] + row * hidden
            out = p[OUT_AT] + (row if p[OUT_SEQUENCE] else j) * hidden
            _gather_row(ws, p, panel, row)
            cell_forward(
                ws, p[ACTIVATION], p[BLOCKS], PANEL, p[SCRATCH_AT],
                cell, cell + b * hidden, p[SQUASHED_AT] + row * hidden, out,
                p[ROWS_AT] + (row + b) * row_step,
            )  # fmt: skip
            _scatter_row(ws, p, panel, row)
            for gate in range(4):
                h_next = p[ROWS_AT] + (gate * (steps + 1) * b + row + b) * row_step
                copy(ws, h_next, out, hidden)
                multiply(ws, h_next, p[HIDDEN_MASK_AT] + (gate * b + j) * hidden, hidden)


@kernel
def _step_back(ws, p, rates, b):
    """The gradient of the rows [h, x], at D_HIDDEN_AT: the sum of the gates' shares, each one masked."""
    hidden, width, d_step = p[HIDDEN], p[IN_WIDTH], p[D_HIDDEN_STEP]
    passes_on = p[D_IN_AT] >= 0
    columns = hidden + (width if passes_on else 0)
    for gate in range(4):
        gemm(
            b, (columns + PANEL - 1) // PANEL, hidden, ws, p[PRODUCT_AT], d_step, PANEL,
            ws, p[D_GATES_AT] + gate * hidden, 4 * hidden, 1,
            ws, p[TRANSPOSED_AT] + gate * hidden * PANEL, PANEL, 4 * hidden * PANEL, DEPTH, 0,
        )  # fmt: skip
        for j in range(b):
            share, total = p[PRODUCT_AT] + j * d_step, p[D_HIDDEN_AT] + j * d_step
            multiply(ws, share, p[HIDDEN_MASK_AT] + (gate * b + j) * hidden, hidden)
            if passes_on and rates[RATE] > 0.0:
                multiply(ws, share + hidden, p[IN_MASK_AT] + (gate * b + j) * width, width)
            if gate == 0:
                copy(ws, total, share, columns)
            else:
                add(ws, total, share, columns)


@kernel
def gatewise_backward(ws, p, rates, gradient, steps, b):
    """Back through time; as `kernels.lstm_backward`, gate by gate."""
    hidden, depth, row_step = p[HIDDEN], p[DEPTH_IN], p[ROW_STEP]
    width, d_step, pairs = p[IN_WIDTH], p[D_HIDDEN_STEP], (p[BLOCKS] + 1) // 2
    panel = steps * b * PANEL + LINE
    passes_on = p[D_IN_AT] >= 0
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
            _gather_row(ws, p, panel, row)
            cell_backward(
                ws, p[ACTIVATION], p[BLOCKS], PANEL, b, p[SCRATCH_AT],
                p[CELL_AT] + row * hidden, p[SQUASHED_AT] + row * hidden,
                p[D_HIDDEN_AT] + j * d_step, above, p[D_CELL_AT] + j * hidden, p[SCRATCH_AT],
            )  # fmt: skip
            _scatter_row(ws, p, panel, row)
            for gate in range(4):
                to = p[D_GATES_AT] + (j * 4 + gate) * hidden
                for block in range(p[BLOCKS]):
                    copy(ws, to + block * WIDTH, p[SCRATCH_AT] + (block * 4 + gate) * WIDTH, WIDTH)
        if t > 0 or passes_on:
            _step_back(ws, p, rates, b)
        if passes_on:
            read = steps - 1 - t if p[REVERSED] else t
            for j in range(b):
                source = p[D_HIDDEN_AT] + j * d_step + hidden
                to = p[D_IN_AT] + (read * b + j) * p[IN_STEP]
                if p[D_IN_ADDS]:
                    add(ws, to, source, width)
                else:
                    copy(ws, to, source, width)
    for gate in range(4):
        gemm(
            depth, pairs, steps * b, ws, p[GRADIENT_AT] + gate * pairs * depth * PANEL, PANEL, depth * PANEL,
            ws, p[ROWS_AT] + gate * (steps + 1) * b * row_step, 1, row_step,
            ws, p[GATES_AT] + gate * pairs * panel, PANEL, panel, GRADIENT_DEPTH, 0,
        )  # fmt: skip
    _unpack_gradient(ws, p, gradient)
