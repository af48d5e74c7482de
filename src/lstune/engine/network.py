"""Where everything of a model lies in the workspace: one flat float32 buffer and a table of offsets.

Kernels get the buffer and the table and nothing else, so that no shape is compiled in and nothing is
allocated while training. `Network(model, ...)` lays out the buffer; the table's columns are named below, and
each layer has a row (a bidirectional one three). Sequences are stored step by step: row t * b + j is step t
of the batch's window j, b the number of windows in the batch at hand (an epoch's last batch may be smaller
than the space kept for it).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lstune.engine.config import ACTIVATIONS, LSTM, RECURRENT_ACTIVATIONS, Dense, Dropout, ModelConfig
from lstune.engine.gemm import PANEL, padded
from lstune.engine.simd import LINE, WIDTH
from lstune.engine.weights import input_widths, parameter_count, variables

# Columns of the table. Those that end in _AT are offsets into the workspace.
(
    KIND,  # one of the KIND_ codes
    THETA_AT,  # the layer's first weight in the flat vector
    IN_AT,  # the layer's input, (steps * b, IN_STEP) of which IN_WIDTH columns are used
    IN_STEP,
    IN_WIDTH,
    IN_SEQUENCE,  # 1 if the input has a row for each step, else 0
    D_IN_AT,  # where the input's gradient goes, laid out as the input; -1 if nobody needs it
    OUT_AT,
    OUT_STEP,
    UNITS,
    OUT_SEQUENCE,
    D_OUT_AT,
    ACTIVATION,  # LSTM: activation * 2 + recurrent activation
    HAS_BIAS,
    BLOCKS,  # LSTM: blocks of WIDTH units
    HIDDEN,  # LSTM: BLOCKS * WIDTH, the padded number of units
    DEPTH_IN,  # LSTM: HIDDEN + IN_WIDTH + HAS_BIAS, the length of an augmented row [h, x, 1]
    ROWS_AT,  # LSTM: augmented rows, L + 1 steps; Dense: packed kernel
    ROW_STEP,
    GATES_AT,  # LSTM: gates in panels, (2 * BLOCKS, panel_size(L * b))
    CELL_AT,  # LSTM: c, L + 1 steps of (b, HIDDEN), the first zero
    SQUASHED_AT,  # LSTM: activation(c)
    D_HIDDEN_AT,  # LSTM: gradient of the augmented row's [h, x], (b, D_HIDDEN_STEP)
    D_HIDDEN_STEP,
    D_CELL_AT,
    D_GATES_AT,  # LSTM: one step's gate gradients, (b, 4 * HIDDEN)
    PACKED_AT,  # LSTM and Dense: weights in panels
    TRANSPOSED_AT,  # LSTM and Dense: transposed weights in panels
    GRADIENT_AT,  # LSTM and Dense: weight gradient in panels
    IN_MASK_AT,  # LSTM: dropout multipliers of the inputs, (b, IN_WIDTH), or (4, b, IN_WIDTH) one by gate
    ZERO_AT,  # a row of zeros, as long as any layer needs
    REVERSED,  # LSTM: 1 if it reads the window from its end
    D_IN_ADDS,  # LSTM: 1 if the input's gradient is added to what stands there
    # LSTM with recurrent dropout (see gate_masks), without meaning elsewhere:
    HIDDEN_MASK_AT,  # dropout multipliers of the hidden state, (4, b, HIDDEN)
    GATE_PACKED_AT,  # each gate's weights in panels
    SCRATCH_AT,  # one row's gates, (4 * HIDDEN)
    PRODUCT_AT,  # one gate's share of what goes to D_HIDDEN_AT
    FIELDS,
) = range(38)

# A bidirectional LSTM takes three rows: its two directions, the second reversed, and one that merges them.
KIND_LSTM, KIND_DENSE, KIND_DROPOUT, KIND_MERGE = range(4)

# Columns of the table of rates.
RATE, RECURRENT_RATE = range(2)

# A Dense layer of up to this many units takes dot products instead of a mostly empty panel.
NARROW = 4

# Rows of a block in the products (see gemm): enough to keep an accumulator busy, few enough that the block's
# two operands share a 32 KiB cache. The weight gradient's left operand is read down its columns, hence less.
DEPTH = 256
GRADIENT_DEPTH = 128


class Network:
    """A model's table, rates and workspace for batches of up to `batch` windows of `lookback` steps.

    table: (rows, FIELDS) int64.  rates: (rows, 2) float64.  workspace: (size,) float32.
    segments: (variables, 2) int64, start and stop of each weight array in the flat vector.
    One Network serves one thread at a time.
    """

    def __init__(self, model: ModelConfig, lookback: int, batch: int) -> None:
        self.model = model
        self.lookback = lookback
        self.batch = batch
        self.parameters = parameter_count(model)
        self.segments = np.array([(v.offset, v.stop) for v in variables(model)], np.int64)
        self._size = self._taken = 0
        rows, rates = self._lay_out()
        self.table = np.array(rows, np.int64)
        self.rates = np.array(rates, np.float64)
        self.workspace = _aligned_zeros(self._size)

    def _take(self, floats: int) -> int:
        """Reserve `floats` from the workspace, on a cache line; its offset.

        A gap of a few lines follows, another one each time: buffers whose sizes are multiples of 4 KiB would
        otherwise all start in the same set of the first-level cache, and drive each other out of it.
        """
        at = self._size
        self._taken += 1
        gap = 1 + self._taken * 5 % 61
        self._size += ((floats + LINE - 1) // LINE + gap) * LINE
        return at

    def _lay_out(self) -> tuple[list[Any], list[tuple[float, float]]]:
        widths = input_widths(self.model)
        theta = {(v.layer, v.name): v.offset for v in variables(self.model)}
        units = [layer.units for layer in self.model.layers if isinstance(layer, LSTM)]
        below = np.full(FIELDS, -1, np.int64)
        below[ZERO_AT] = self._take(max(units, default=0) + WIDTH)
        below[[OUT_AT, OUT_STEP]] = self._take(self.lookback * self.batch * widths[0]), widths[0]
        below[[OUT_SEQUENCE, REVERSED, D_IN_ADDS]] = 1, 0, 0
        trains = False
        rows: list[Any] = []
        rates: list[tuple[float, float]] = []
        for index, layer in enumerate(self.model.layers):
            row = below.copy()
            row[[IN_AT, IN_STEP, IN_SEQUENCE]] = below[[OUT_AT, OUT_STEP, OUT_SEQUENCE]]
            # Nobody needs a gradient below the first layer with weights.
            row[D_IN_AT] = below[D_OUT_AT] if trains else -1
            row[IN_WIDTH] = widths[index]
            row[THETA_AT] = theta.get((index, "recurrent_kernel"), theta.get((index, "kernel"), 0))
            rate = (0.0, 0.0)
            if isinstance(layer, LSTM):
                rate = (layer.dropout, layer.recurrent_dropout)
                self._lay_out_lstm(row, layer)
                if layer.bidirectional:
                    second = row.copy()
                    second[THETA_AT] = theta[index, "backward_recurrent_kernel"]
                    second[REVERSED] = 1
                    self._lay_out_lstm(second, layer)
                    row[D_IN_ADDS] = 1
                    rows += [row, second]
                    rates += [rate, rate]
                    row, rate = self._merged(row, layer), (0.0, 0.0)
            elif isinstance(layer, Dense):
                self._lay_out_dense(row, layer)
            else:
                rate = (layer.rate, 0.0)
                held = (self.lookback if row[IN_SEQUENCE] else 1) * self.batch * int(row[IN_STEP])
                row[[KIND, UNITS, OUT_STEP]] = KIND_DROPOUT, widths[index], row[IN_STEP]
                row[OUT_SEQUENCE] = row[IN_SEQUENCE]
                row[[OUT_AT, D_OUT_AT]] = self._take(held), self._take(held)
            trains = trains or not isinstance(layer, Dropout)
            rows.append(row)
            rates.append(rate)
            below = row
        return rows, rates

    def _merged(self, first: Any, layer: LSTM) -> Any:
        """The row that lays two directions side by side."""
        row = first.copy()
        row[[KIND, UNITS, OUT_STEP, IN_SEQUENCE]] = KIND_MERGE, layer.width, layer.width, row[OUT_SEQUENCE]
        row[D_IN_ADDS] = 0
        held = (self.lookback if layer.return_sequences else 1) * self.batch * layer.width
        row[[OUT_AT, D_OUT_AT]] = self._take(held), self._take(held)
        return row

    def _lay_out_lstm(self, row: Any, layer: LSTM) -> None:
        lookback, batch, width = self.lookback, self.batch, int(row[IN_WIDTH])
        rows = lookback * batch
        blocks = (layer.units + WIDTH - 1) // WIDTH
        hidden = blocks * WIDTH
        depth = hidden + width + int(layer.use_bias)
        row_step = (depth + WIDTH - 1) // WIDTH * WIDTH
        d_hidden_step = padded(hidden + width)
        # Masks of its own make a gate's rows, weights and gradients its own too, in whole panels.
        gatewise = layer.recurrent_dropout > 0
        masks = 4 if gatewise else 1
        gates = 4 * (padded(hidden) if gatewise else hidden)
        code = ACTIVATIONS.index(layer.activation) * len(RECURRENT_ACTIVATIONS)
        row[[KIND, UNITS, OUT_STEP]] = KIND_LSTM, layer.units, hidden
        row[OUT_SEQUENCE] = int(layer.return_sequences)
        row[ACTIVATION] = code + RECURRENT_ACTIVATIONS.index(layer.recurrent_activation)
        row[[HAS_BIAS, BLOCKS, HIDDEN]] = int(layer.use_bias), blocks, hidden
        row[[DEPTH_IN, ROW_STEP, D_HIDDEN_STEP]] = depth, row_step, d_hidden_step
        row[ROWS_AT] = self._take(masks * (rows + batch) * row_step)
        row[GATES_AT] = self._take(gates // PANEL * panel_size(rows))
        row[CELL_AT] = self._take((rows + batch) * hidden)
        row[SQUASHED_AT] = self._take(rows * hidden)
        # Where only the last step goes on, every step writes to the same place.
        row[OUT_AT] = self._take((rows if layer.return_sequences else batch) * hidden)
        row[D_OUT_AT] = self._take((rows if layer.return_sequences else batch) * hidden)
        row[D_HIDDEN_AT] = self._take(batch * d_hidden_step)
        row[D_CELL_AT] = self._take(batch * hidden)
        row[D_GATES_AT] = self._take(batch * 4 * hidden)
        row[PACKED_AT] = self._take(depth * 4 * hidden)
        row[TRANSPOSED_AT] = self._take(4 * hidden * d_hidden_step)
        row[GRADIENT_AT] = self._take(depth * gates)
        row[IN_MASK_AT] = self._take(masks * batch * width)
        if gatewise:
            row[HIDDEN_MASK_AT] = self._take(masks * batch * hidden)
            row[GATE_PACKED_AT] = self._take(depth * gates)
            row[SCRATCH_AT] = self._take(4 * hidden)
            row[PRODUCT_AT] = self._take(batch * d_hidden_step)

    def _lay_out_dense(self, row: Any, layer: Dense) -> None:
        width, step = int(row[IN_WIDTH]), padded(layer.units)
        rows = (self.lookback if row[IN_SEQUENCE] else 1) * self.batch
        row[[KIND, UNITS, OUT_STEP, OUT_SEQUENCE]] = KIND_DENSE, layer.units, step, row[IN_SEQUENCE]
        row[[ACTIVATION, HAS_BIAS]] = ACTIVATIONS.index(layer.activation), int(layer.use_bias)
        row[OUT_AT], row[D_OUT_AT] = self._take(rows * step), self._take(rows * step)
        row[PACKED_AT] = self._take(width * step)
        row[GRADIENT_AT] = self._take(width * step)
        # The input's gradient comes in whole panels, wider than the rows it goes to.
        row[D_HIDDEN_STEP] = padded(width)
        row[TRANSPOSED_AT] = self._take(layer.units * padded(width))
        row[D_HIDDEN_AT] = self._take(rows * padded(width))


def panel_size(rows: int) -> int:
    """Floats from one panel of gates to the next: one cache line more than needed, for the cache's sets."""
    return rows * PANEL + LINE


def _aligned_zeros(floats: int) -> Any:
    """Zeros that start on a cache line, so that vector loads do not straddle two."""
    buffer = np.zeros(floats + LINE, np.float32)
    skip = -(buffer.ctypes.data // 4) % LINE
    return buffer[skip : skip + floats]
