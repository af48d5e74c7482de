"""The elementwise half of an LSTM step, forward and backward, on vectors.

Gates live in panels: for each block of WIDTH units there is one panel of [i, f] and one of [g, o], each a
matrix product's two vectors wide, so a block's four gates are four whole vectors and no unit count needs a
scalar tail (blocks are padded with units whose weights are zero).

Activations are written once, on values that are LLVM vectors when compiled and NumPy arrays when the JIT is
off. Every derivative is taken from the activation's output, so pre-activations need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lstune.engine._jit import JIT_DISABLED
from lstune.engine.config import ACTIVATIONS, RECURRENT_ACTIVATIONS
from lstune.engine.simd import FUSED, WIDTH, emit_cases, emit_loop, pointer, shared_function, where

__all__ = ["activate", "activation_slope", "cell_backward", "cell_forward"]

# Rational approximation of tanh (the coefficients that Eigen and XLA use); error below 3e-7, a quarter of the
# cost of exp. Beyond the limit it stays what it is there, which must be 1 to the last bit: a slope of 2e-7
# in place of 0, times inputs in the thousands, would move the weights of cells that are saturated. Where
# that first is so depends on how often the fraction is rounded.
_TANH_LIMIT = 7.99881172180175781 if FUSED and not JIT_DISABLED else 7.90531110763549805
_TANH_ODD = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928935436e-04,
    4.89352455891786e-03,
)
_TANH_EVEN = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)


# sigmoid(x) - 1/2 = tanh(x / 2) / 2: the same fraction with the halves worked into its coefficients.
_SIGMOID_ODD = tuple(c * 0.25 ** (7 - k) for k, c in enumerate(_TANH_ODD))
_SIGMOID_EVEN = tuple(c * 0.25 ** (3 - k) for k, c in enumerate(_TANH_EVEN))


def _fraction(x: Any, limit: float, odd: tuple[float, ...], even: tuple[float, ...]) -> Any:
    # Comparisons, not min and max, so that a NaN stays a NaN.
    x = where(x < -limit, -limit, x)
    x = where(x > limit, limit, x)
    square = x * x
    top = square * odd[0] + odd[1]
    for coefficient in odd[2:]:
        top = top * square + coefficient
    bottom = square * even[0] + even[1]
    for coefficient in even[2:]:
        bottom = bottom * square + coefficient
    return x * top / bottom


def _tanh(x: Any) -> Any:
    return _fraction(x, _TANH_LIMIT, _TANH_ODD, _TANH_EVEN)


def _sigmoid(x: Any) -> Any:
    return _fraction(x, 2.0 * _TANH_LIMIT, _SIGMOID_ODD, _SIGMOID_EVEN) + 0.5


def _elu(x: Any) -> Any:
    # expm1(x) = 2 t / (1 - t) with t = tanh(x / 2), exact to a few units in the last place for x < 0.
    half = _tanh(where(x > 0.0, 0.0, x) * 0.5)
    return where(x > 0.0, x, half * 2.0 / (1.0 - half))


def _hard_sigmoid(x: Any) -> Any:
    y = x * np.float32(1.0 / 6.0) + 0.5
    y = where(y < 0.0, 0.0, y)
    return where(y > 1.0, 1.0, y)


def _softsign_slope(y: Any) -> Any:
    edge = 1.0 - where(y < 0.0, 0.0 - y, y)
    return edge * edge


_Unary = Callable[[Any], Any]

# name -> (function, its derivative from its output)
_TABLE: dict[str, tuple[_Unary, _Unary]] = {
    "linear": (lambda x: x, lambda y: y * 0.0 + 1.0),
    "tanh": (_tanh, lambda y: 1.0 - y * y),
    "sigmoid": (_sigmoid, lambda y: y * (1.0 - y)),
    "relu": (lambda x: where(x < 0.0, 0.0, x), lambda y: where(y > 0.0, y * 0.0 + 1.0, 0.0)),
    "elu": (_elu, lambda y: where(y > 0.0, y * 0.0 + 1.0, y + 1.0)),
    "softsign": (lambda x: x / (where(x < 0.0, 0.0 - x, x) + 1.0), _softsign_slope),
    "hard_sigmoid": (
        _hard_sigmoid,
        lambda y: where(y > 0.0, where(y < 1.0, y * 0.0 + np.float32(1.0 / 6.0), 0.0), 0.0),
    ),
}


def _gates_body(activation: _Unary, recurrent: _Unary) -> Callable[..., tuple[Any, ...]]:
    def body(i: Any, f: Any, g: Any, o: Any, c_before: Any) -> tuple[Any, ...]:
        i, f, g, o = recurrent(i), recurrent(f), activation(g), recurrent(o)
        return i, f, g, o, f * c_before + i * g

    return body


def _output_body(activation: _Unary) -> Callable[..., tuple[Any, ...]]:
    def body(c: Any, o: Any) -> tuple[Any, ...]:
        squashed = activation(c)
        return squashed, o * squashed, o * squashed

    return body


def _backward_body(slope: _Unary, recurrent_slope: _Unary) -> Callable[..., tuple[Any, ...]]:
    def body(
        i: Any,
        f: Any,
        g: Any,
        o: Any,
        c_before: Any,
        squashed: Any,
        dh_next: Any,
        dh_above: Any,
        dc_next: Any,
    ) -> tuple[Any, ...]:
        dh = dh_next + dh_above
        dc = dc_next + dh * o * slope(squashed)
        d_o = dh * squashed * recurrent_slope(o)
        d_i = dc * g * recurrent_slope(i)
        d_f = dc * c_before * recurrent_slope(f)
        d_g = dc * i * slope(g)
        return d_i, d_f, d_g, d_o, d_i, d_f, d_g, d_o, dc * f

    return body


def _pair(case: int) -> tuple[str, str]:
    return ACTIVATIONS[case // len(RECURRENT_ACTIVATIONS)], RECURRENT_ACTIVATIONS[
        case % len(RECURRENT_ACTIVATIONS)
    ]


_PAIRS = len(ACTIVATIONS) * len(RECURRENT_ACTIVATIONS)


_I64 = ir.IntType(64)
_FLOATS = ir.FloatType().as_pointer()
_STEP = ir.Constant(_I64, WIDTH)


def _gate_addresses(
    builder: ir.IRBuilder, base: ir.Value, panel: ir.Value
) -> list[tuple[ir.Value, ir.Value]]:
    """(address, step between unit blocks) of i, f, g, o, when panels lie `panel` floats apart."""
    two_panels = builder.mul(panel, ir.Constant(_I64, 2))
    second = builder.gep(base, [panel])
    starts = [base, builder.gep(base, [_STEP]), second, builder.gep(second, [_STEP])]
    return [(start, two_panels) for start in starts]


def _emit_cell_forward(module: ir.Module) -> ir.Function:
    function, builder = shared_function(module, "lstune_cell_forward", [_I64] * 3 + [_FLOATS] * 6)
    if builder is None:
        return function
    code, count, panel, z, *rows = function.args
    gates = _gate_addresses(builder, z, panel)
    before, now, *outputs = [(row, _STEP) for row in rows]

    def emit(pair: int) -> None:
        activation, recurrent = (_TABLE[name][0] for name in _pair(pair))
        # Two loops, since activation(c) waits for c: in one loop that wait, longer than the processor can
        # look ahead, would stand in every turn.
        emit_loop(builder, count, [*gates, before], [*gates, now], _gates_body(activation, recurrent))
        emit_loop(builder, count, [now, gates[3]], outputs, _output_body(activation))

    emit_cases(builder, code, _PAIRS, emit)
    builder.ret_void()
    return function


def _emit_cell_backward(module: ir.Module) -> ir.Function:
    function, builder = shared_function(module, "lstune_cell_backward", [_I64] * 4 + [_FLOATS] * 7)
    if builder is None:
        return function
    code, count, panel, batch, z, *rows, dz = function.args
    gates = _gate_addresses(builder, z, panel)
    inputs = [(row, _STEP) for row in rows]
    four = ir.Constant(_I64, 4 * WIDTH)
    flats = [(builder.gep(dz, [ir.Constant(_I64, k * WIDTH)]), four) for k in range(4)]
    # The step before comes next, and was written long ago; its gates are asked for by the product meanwhile.
    unit_rows = builder.mul(builder.neg(batch), builder.mul(count, _STEP))
    soon = [(builder.gep(base, [unit_rows]), step) for base, step in inputs[:2]]

    def emit(pair: int) -> None:
        activation, recurrent = _pair(pair)
        body = _backward_body(_TABLE[activation][1], _TABLE[recurrent][1])
        emit_loop(builder, count, [*gates, *inputs], [*gates, *flats, inputs[-1]], body, soon)

    emit_cases(builder, code, _PAIRS, emit)
    builder.ret_void()
    return function


def _emit_activate(module: ir.Module) -> ir.Function:
    function, builder = shared_function(module, "lstune_activate", [_I64] * 2 + [_FLOATS])
    if builder is None:
        return function
    code, count, row = function.args

    def emit(which: int) -> None:
        activation = _TABLE[ACTIVATIONS[which]][0]
        emit_loop(builder, count, [(row, _STEP)], [(row, _STEP)], lambda x: (activation(x),))

    emit_cases(builder, code, len(ACTIVATIONS), emit)
    builder.ret_void()
    return function


def _emit_activation_slope(module: ir.Module) -> ir.Function:
    function, builder = shared_function(module, "lstune_activation_slope", [_I64] * 2 + [_FLOATS] * 2)
    if builder is None:
        return function
    code, count, outputs, slopes = function.args

    def emit(which: int) -> None:
        slope = _TABLE[ACTIVATIONS[which]][1]
        pairs = [(outputs, _STEP), (slopes, _STEP)]
        emit_loop(builder, count, pairs, pairs[1:], lambda y, dy: (dy * slope(y),))

    emit_cases(builder, code, len(ACTIVATIONS), emit)
    builder.ret_void()
    return function


def _call_shared(
    context: Any, builder: ir.IRBuilder, ws_type: Any, arguments: Any, function: ir.Function, numbers: int
) -> Any:
    """Call with the first `numbers` arguments after the workspace as they are, the rest as addresses."""
    ws, *values = arguments
    places = [pointer(context, builder, ws_type, ws, at) for at in values[numbers:]]
    builder.call(function, [*values[:numbers], *places])
    return context.get_dummy_value()


@intrinsic
def _cell_forward_ir(typing_context, ws, code, blocks, panel, z, c_before, c, squashed, h, h_next):
    def generate(context, builder, sig, arguments):
        function = _emit_cell_forward(builder.module)
        return _call_shared(context, builder, sig.args[0], arguments, function, 3)

    return types.void(ws, *[types.int64] * 9), generate


@intrinsic
def _cell_backward_ir(
    typing_context, ws, code, blocks, panel, batch, z, c_before, squashed, dh_next, dh_above, dc, dz
):
    def generate(context, builder, sig, arguments):
        function = _emit_cell_backward(builder.module)
        return _call_shared(context, builder, sig.args[0], arguments, function, 4)

    return types.void(ws, *[types.int64] * 11), generate


@intrinsic
def _activate_ir(typing_context, ws, code, vectors, at):
    def generate(context, builder, sig, arguments):
        return _call_shared(context, builder, sig.args[0], arguments, _emit_activate(builder.module), 2)

    return types.void(ws, *[types.int64] * 3), generate


@intrinsic
def _activation_slope_ir(typing_context, ws, code, vectors, y, dy):
    def generate(context, builder, sig, arguments):
        return _call_shared(
            context, builder, sig.args[0], arguments, _emit_activation_slope(builder.module), 2
        )

    return types.void(ws, *[types.int64] * 4), generate


def _python_gates(ws: Any, z: int, panel: int, blocks: int) -> list[Any]:
    starts = (z, z + WIDTH, z + panel, z + panel + WIDTH)
    shape, strides = (blocks, WIDTH), (8 * panel, 4)
    return [np.lib.stride_tricks.as_strided(ws[start:], shape, strides) for start in starts]


def _python_rows(ws: Any, blocks: int, *starts: int) -> list[Any]:
    return [ws[start : start + blocks * WIDTH].reshape(blocks, WIDTH) for start in starts]


def _assign(targets: list[Any], values: tuple[Any, ...]) -> None:
    for target, value in zip(targets, [np.array(value) for value in values], strict=True):
        target[...] = value


def _cell_forward_python(ws, code, blocks, panel, z, c_before, c, squashed, h, h_next):
    activation, recurrent = (_TABLE[name][0] for name in _pair(code))
    gates = _python_gates(ws, z, panel, blocks)
    before, now, *outputs = _python_rows(ws, blocks, c_before, c, squashed, h, h_next)
    _assign([*gates, now], _gates_body(activation, recurrent)(*gates, before))
    _assign(outputs, _output_body(activation)(now, gates[3]))


def _cell_backward_python(
    ws, code, blocks, panel, batch, z, c_before, squashed, dh_next, dh_above, dc, dz
):  # fmt: skip
    activation, recurrent = _pair(code)
    gates = _python_gates(ws, z, panel, blocks)
    inputs = _python_rows(ws, blocks, c_before, squashed, dh_next, dh_above, dc)
    flat = ws[dz : dz + blocks * 4 * WIDTH].reshape(blocks, 4, WIDTH)
    body = _backward_body(_TABLE[activation][1], _TABLE[recurrent][1])
    _assign([*gates, *(flat[:, k] for k in range(4)), inputs[-1]], body(*gates, *inputs))


# One row's step of a layer, in place on the workspace `ws`; positions are offsets of the row's first value.
#
# cell_forward(ws, code, blocks, panel, z, c_before, c, squashed, h, h_next): pre-activations at z become
# gates; writes c, activation(c) and h, h twice (`h_next` is the next step's input row).
# cell_backward(ws, code, blocks, panel, batch, z, c_before, squashed, dh_next, dh_above, dc, dz): gates at z
# become their gradients, also written in a row at dz as [block][i f g o][WIDTH]; dc goes from step t to
# t - 1, whose rows lie `batch` rows before.
# `code` is activation * 2 + recurrent activation, by their places in config.
cell_forward: Any = _cell_forward_python if JIT_DISABLED else _cell_forward_ir
cell_backward: Any = _cell_backward_python if JIT_DISABLED else _cell_backward_ir


def _activate_python(ws, code, vectors, at):
    row = ws[at : at + vectors * WIDTH]
    row[...] = _TABLE[ACTIVATIONS[code]][0](row)


def _activation_slope_python(ws, code, vectors, y, dy):
    outputs, slopes = (ws[at : at + vectors * WIDTH] for at in (y, dy))
    slopes[...] = slopes * _TABLE[ACTIVATIONS[code]][1](outputs)


# activate(ws, code, vectors, at): apply an activation in place to vectors * WIDTH values.
# activation_slope(ws, code, vectors, y, dy): multiply the gradients at dy by the derivative at the outputs y.
activate: Any = _activate_python if JIT_DISABLED else _activate_ir
activation_slope: Any = _activation_slope_python if JIT_DISABLED else _activation_slope_ir
