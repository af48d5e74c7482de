"""An LSTM's weights between Keras' order in the flat vector and the panels that the products read.

Done before and after every batch, which for short windows is no small part of it: vectors of WIDTH units are
moved whole, and turned over in registers where the transpose is needed. What a layer's last units leave of a
vector is moved one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lstune.engine._jit import JIT_DISABLED, kernel
from lstune.engine.gemm import PANEL
from lstune.engine.network import (
    BLOCKS,
    D_IN_AT,
    DEPTH_IN,
    GRADIENT_AT,
    HIDDEN,
    IN_WIDTH,
    PACKED_AT,
    THETA_AT,
    TRANSPOSED_AT,
    UNITS,
)
from lstune.engine.simd import WIDTH, load, pointer, shared_function, store

__all__ = ["pack_weights", "unpack_gradient"]

_I32, _I64, _FLOATS = ir.IntType(32), ir.IntType(64), ir.FloatType().as_pointer()


def _emit_move(module: ir.Module) -> ir.Function:
    function, builder = shared_function(module, "lstune_move", [_I64] * 7 + [_FLOATS] * 2)
    if builder is None:
        return function
    count, *steps, source, target = function.args

    def at(base: ir.Value, *terms: tuple[ir.Value, ir.Value]) -> ir.Value:
        for index, step in terms:
            base = builder.gep(base, [builder.mul(index, step)])
        return base

    with cgutils.for_range(builder, count, intp=_I64) as loop:
        for pair in range(2):
            for half in range(2):
                indices = [loop.index, ir.Constant(_I64, pair), ir.Constant(_I64, half)]
                given = at(source, *zip(indices, steps[:3], strict=True))
                taken = at(target, *zip(indices, steps[3:], strict=True))
                store(builder, load(builder, given, WIDTH), taken)
    builder.ret_void()
    return function


def _emit_turn(module: ir.Module) -> ir.Function:
    function, builder = shared_function(module, "lstune_turn", [_I64] * 2 + [_FLOATS] * 2)
    if builder is None:
        return function
    source_step, target_step, source, target = function.args

    def row(base: ir.Value, step: ir.Value, index: int) -> ir.Value:
        return builder.gep(base, [builder.mul(step, ir.Constant(_I64, index))])

    lanes = ir.VectorType(_I32, WIDTH)
    rows = [load(builder, row(source, source_step, index), WIDTH) for index in range(WIDTH)]
    bit = 1
    while bit < WIDTH:  # at each bit of the index, rows and lanes change places
        below = [lane if not lane & bit else WIDTH + lane - bit for lane in range(WIDTH)]
        above = [lane + bit if not lane & bit else WIDTH + lane for lane in range(WIDTH)]
        for first in range(WIDTH):
            if not first & bit:
                pair = rows[first], rows[first + bit]
                for place, order in ((first, below), (first + bit, above)):
                    rows[place] = builder.shuffle_vector(*pair, ir.Constant(lanes, order))
        bit *= 2
    for index, value in enumerate(rows):
        store(builder, value, row(target, target_step, index))
    builder.ret_void()
    return function


@intrinsic
def _move_ir(
    typing_context, count, s_block, s_pair, s_half, t_block, t_pair, t_half, source, s_at, target, t_at
):
    def generate(context, builder, sig, arguments):
        *numbers, source, s_at, target, t_at = arguments
        kinds = sig.args[7], sig.args[9]
        places = [
            pointer(context, builder, kind, array, at)
            for kind, array, at in zip(kinds, (source, target), (s_at, t_at), strict=True)
        ]
        builder.call(_emit_move(builder.module), [*numbers, *places])
        return context.get_dummy_value()

    i64 = types.int64
    return types.void(*[i64] * 7, source, i64, target, i64), generate


@intrinsic
def _turn_ir(typing_context, source, s_at, s_step, target, t_at, t_step):
    def generate(context, builder, sig, arguments):
        source, s_at, s_step, target, t_at, t_step = arguments
        given = pointer(context, builder, sig.args[0], source, s_at)
        taken = pointer(context, builder, sig.args[3], target, t_at)
        builder.call(_emit_turn(builder.module), [s_step, t_step, given, taken])
        return context.get_dummy_value()

    i64 = types.int64
    return types.void(source, i64, i64, target, i64, i64), generate


def _view(array: Any, at: int, shape: tuple[int, ...], *steps: int) -> Any:
    return np.lib.stride_tricks.as_strided(array[at:], shape, [4 * step for step in steps])


def _move_python(count, s_block, s_pair, s_half, t_block, t_pair, t_half, source, s_at, target, t_at):
    shape = (count, 2, 2, WIDTH)
    _view(target, t_at, shape, t_block, t_pair, t_half, 1)[...] = _view(
        source, s_at, shape, s_block, s_pair, s_half, 1
    )


def _turn_python(source, s_at, s_step, target, t_at, t_step):
    shape = (WIDTH, WIDTH)
    _view(target, t_at, shape, t_step, 1)[...] = _view(source, s_at, shape, s_step, 1).T


# _move(count, s_block, s_pair, s_half, t_block, t_pair, t_half, source, s_at, target, t_at): the four gates
# of `count` blocks of WIDTH units. Gate 2 pair + half of a block starts at s_at + block s_block + pair s_pair
# + half s_half, and goes to where the same sum with t says.
# _turn(source, s_at, s_step, target, t_at, t_step): the transpose of WIDTH rows of WIDTH floats.
_move: Any = _move_python if JIT_DISABLED else _move_ir
_turn: Any = _turn_python if JIT_DISABLED else _turn_ir


@kernel
def _move_row(units, s_block, s_pair, s_half, t_block, t_pair, t_half, source, s_at, target, t_at):
    """The four gates of a row of `units` units, the last ones that fill no vector one by one."""
    whole, rest = units // WIDTH, units % WIDTH
    if whole:
        _move(whole, s_block, s_pair, s_half, t_block, t_pair, t_half, source, s_at, target, t_at)
    if rest:
        for gate in range(4):
            given = s_at + whole * s_block + (gate // 2) * s_pair + (gate % 2) * s_half
            taken = t_at + whole * t_block + (gate // 2) * t_pair + (gate % 2) * t_half
            for q in range(rest):
                target[taken + q] = source[given + q]


@kernel
def pack_weights(ws, p, theta, training):
    """Weights (U + C + 1, 4U) from the flat vector into panels, and [recurrent, kernel] transposed.

    Places of padding units, between U and HIDDEN, are never written and stay zero.
    """
    units, hidden, blocks, depth = p[UNITS], p[HIDDEN], p[BLOCKS], p[DEPTH_IN]
    padding, step = hidden - units, 4 * units
    panel = depth * PANEL
    for k in range(depth - padding):
        row = k if k < units else k + padding
        _move_row(
            units, WIDTH, 2 * units, units, 2 * panel, panel, WIDTH,
            theta, p[THETA_AT] + k * step, ws, p[PACKED_AT] + row * PANEL,
        )  # fmt: skip
    if not training:
        return
    whole = units // WIDTH
    for k in range(units + (p[IN_WIDTH] if p[D_IN_AT] >= 0 else 0)):
        column = k if k < units else k + padding
        source = p[THETA_AT] + k * step
        to = p[TRANSPOSED_AT] + (column // PANEL) * 4 * hidden * PANEL + column % PANEL
        turned = column // WIDTH < whole
        if turned and column % WIDTH == 0:
            for block in range(whole):
                for gate in range(4):
                    begin = source + gate * units + block * WIDTH
                    _turn(theta, begin, step, ws, to + (block * 4 + gate) * WIDTH * PANEL, PANEL)
        for block in range(whole if turned else 0, blocks):
            for gate in range(4):
                begin = source + gate * units + block * WIDTH
                down = to + (block * 4 + gate) * WIDTH * PANEL
                for q in range(min(WIDTH, units - block * WIDTH)):
                    ws[down + q * PANEL] = theta[begin + q]


@kernel
def unpack_gradient(ws, p, gradient):
    """The weight gradient from its panels into the flat vector."""
    units, depth = p[UNITS], p[DEPTH_IN]
    padding, panel = p[HIDDEN] - units, depth * PANEL
    for k in range(depth - padding):
        row = k if k < units else k + padding
        _move_row(
            units, 2 * panel, panel, WIDTH, WIDTH, 2 * units, units,
            ws, p[GRADIENT_AT] + row * PANEL, gradient, p[THETA_AT] + k * 4 * units,
        )  # fmt: skip
