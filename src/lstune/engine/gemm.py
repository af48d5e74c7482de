"""Matrix products for small row counts, from packed panels, near the processor's limit.

The scheme is that of Goto & van de Geijn, "Anatomy of high-performance matrix multiplication" (ACM TOMS
2008): the right operand is cut into panels as wide as one register tile, a panel's block of DEPTH rows stays
in the first-level cache while every row of the left operand passes by, and each tile of the result is kept in
registers over the whole block. Against plain loops this keeps its speed when the weights outgrow the
second-level cache (U = 256), since they are then read once a step, not once for each few rows.

All matrices are stretches of flat float32 buffers, given as (buffer, offset, strides).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lstune.engine._jit import JIT_DISABLED, kernel
from lstune.engine.simd import TILE_ROWS, WIDTH, load, pointer, store

__all__ = ["DEPTH", "PANEL", "gemm", "pack", "pack_transposed", "padded"]

PANEL = 2 * WIDTH  # columns of a panel, and of a register tile
DEPTH = 256  # rows of a panel's block: 256 x 16 floats are 16 KiB, half of a first-level cache

_F32 = ir.FloatType()
_I64 = ir.IntType(64)


def padded(columns: int) -> int:
    """The width of a buffer row that takes whole panels."""
    return (columns + PANEL - 1) // PANEL * PANEL


def _emit_tile(context: Any, builder: ir.IRBuilder, rows: int, arguments: list[Any], kinds: Any) -> None:
    (c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate) = arguments
    vector = ir.VectorType(_F32, WIDTH)
    # A fused multiply-add where the processor has one, else a product and a sum.
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{WIDTH}f32"
    )
    lane_mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    undefined = ir.Constant(vector, ir.Undefined)
    c_base = pointer(context, builder, kinds[0], c, c_at)
    a_base = pointer(context, builder, kinds[3], a, a_at)
    b_base = pointer(context, builder, kinds[7], b, b_at)
    a_offsets = [builder.mul(a_row, ir.Constant(_I64, r)) for r in range(rows)]

    entry = builder.block
    loop = builder.function.append_basic_block("tile")
    done = builder.function.append_basic_block("tile.end")
    builder.branch(loop)

    builder.position_at_end(loop)
    index = builder.phi(_I64)
    a_now, b_now = builder.phi(a_base.type), builder.phi(b_base.type)
    sums = [[builder.phi(vector) for _ in range(2)] for _ in range(rows)]
    zero = ir.Constant(vector, [0.0] * WIDTH)
    index.add_incoming(ir.Constant(_I64, 0), entry)
    a_now.add_incoming(a_base, entry)
    b_now.add_incoming(b_base, entry)
    right = [
        load(builder, builder.gep(b_now, [ir.Constant(_I64, v * WIDTH)]), WIDTH) for v in range(2)
    ]
    results = []
    for r in range(rows):
        scalar = builder.load(builder.gep(a_now, [a_offsets[r]]), typ=_F32)
        single = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        left = builder.shuffle_vector(single, undefined, lane_mask)
        results.append([builder.call(fma, [left, right[v], sums[r][v]]) for v in range(2)])
    following = builder.add(index, ir.Constant(_I64, 1))
    index.add_incoming(following, loop)
    a_now.add_incoming(builder.gep(a_now, [a_col]), loop)
    b_now.add_incoming(builder.gep(b_now, [b_step]), loop)
    for r in range(rows):
        for v in range(2):
            sums[r][v].add_incoming(zero, entry)
            sums[r][v].add_incoming(results[r][v], loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)

    builder.position_at_end(done)
    adding = builder.function.append_basic_block("tile.add")
    setting = builder.function.append_basic_block("tile.set")
    finish = builder.function.append_basic_block("tile.stored")
    builder.cbranch(builder.icmp_signed("!=", accumulate, ir.Constant(_I64, 0)), adding, setting)
    for block, add in ((adding, True), (setting, False)):
        builder.position_at_end(block)
        for r in range(rows):
            row = builder.gep(c_base, [builder.mul(c_step, ir.Constant(_I64, r))])
            for v in range(2):
                address = builder.gep(row, [ir.Constant(_I64, v * WIDTH)])
                value = results[r][v]
                if add:
                    value = builder.fadd(value, load(builder, address, WIDTH))
                store(builder, value, address)
        builder.branch(finish)
    builder.position_at_end(finish)


def _make_tile(rows: int) -> Any:
    """c[0:rows, 0:PANEL] (+)= a[0:rows, 0:depth] @ b[0:depth, 0:PANEL], depth at least 1."""
    if JIT_DISABLED:
        return _python_tile(rows)

    @intrinsic
    def tile(typing_context, c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate):  # type: ignore[no-untyped-def]
        i64 = types.int64
        signature = types.void(c, i64, i64, a, i64, i64, i64, b, i64, i64, i64, i64)

        def generate(context, builder, sig, arguments):  # type: ignore[no-untyped-def]
            _emit_tile(context, builder, rows, arguments, sig.args)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _python_tile(rows: int) -> Any:
    def view(buffer: Any, at: int, shape: tuple[int, int], row: int, column: int) -> Any:
        return np.lib.stride_tricks.as_strided(buffer[at:], shape, (4 * row, 4 * column))

    def tile(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate):  # type: ignore[no-untyped-def]
        product = view(a, a_at, (rows, depth), a_row, a_col) @ view(b, b_at, (depth, PANEL), b_step, 1)
        target = view(c, c_at, (rows, PANEL), c_step, 1)
        target[...] = target + product if accumulate else product

    return tile


_tile_1, _tile_2, _tile_3, _tile_4, _tile_5, _tile_6, _tile_7, _tile_8 = (_make_tile(r) for r in range(1, 9))


@kernel
def _tile(rows, c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate):  # type: ignore[no-untyped-def]
    if rows == 6:
        _tile_6(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)
    elif rows == 4:
        _tile_4(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)
    elif rows == 8:
        _tile_8(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)
    elif rows == 5:
        _tile_5(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)
    elif rows == 3:
        _tile_3(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)
    elif rows == 2:
        _tile_2(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)
    elif rows == 7:
        _tile_7(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)
    else:
        _tile_1(c, c_at, c_step, a, a_at, a_row, a_col, b, b_at, b_step, depth, accumulate)


@kernel
def gemm(m, panels, k, c, c_at, c_step, c_panel, a, a_at, a_row, a_col, b, b_at, b_step, b_panel, depth, accumulate):  # type: ignore[no-untyped-def]
    """C (m, panels) = or += A (m, k) @ B (k, panels), B and C in panels of PANEL columns.

    A's element (i, p) lies at a_at + i*a_row + p*a_col. Row p of B's panel j starts at
    b_at + j*b_panel + p*b_step, row i of C's at c_at + j*c_panel + i*c_step: a plain row-major matrix has a
    panel stride of PANEL and its row length as step; a packed one has step PANEL.
    `depth` is how many rows of a panel are worked off before the next row block comes.
    """
    # Row blocks as even as can be: a lone leftover row costs nearly as much as a full tile.
    blocks = (m + TILE_ROWS - 1) // TILE_ROWS
    for p0 in range(0, k, depth):
        steps = min(depth, k - p0)
        add = 1 if p0 > 0 else accumulate
        for j in range(panels):
            b_block = b_at + j * b_panel + p0 * b_step
            c_block = c_at + j * c_panel
            row = 0
            for block in range(blocks):
                rows = (m - row + blocks - block - 1) // (blocks - block)
                a_block = a_at + row * a_row + p0 * a_col
                to = c_block + row * c_step
                _tile(rows, c, to, c_step, a, a_block, a_row, a_col, b, b_block, b_step, steps, add)
                row += rows


@kernel
def pack(k, n, source, source_at, row_step, target, target_at):  # type: ignore[no-untyped-def]
    """Panels of a row-major (k, n) matrix: target[j][p][0:PANEL] = source[p, j*PANEL : ...], zero padded."""
    panels = (n + PANEL - 1) // PANEL
    for j in range(panels):
        width = min(PANEL, n - j * PANEL)
        for p in range(k):
            to = target_at + (j * k + p) * PANEL
            at = source_at + p * row_step + j * PANEL
            row_in = source[at : at + width]
            row_out = target[to : to + PANEL]
            for q in range(width):
                row_out[q] = row_in[q]
            for q in range(width, PANEL):
                row_out[q] = 0.0


@kernel
def pack_transposed(k, n, source, source_at, row_step, target, target_at):  # type: ignore[no-untyped-def]
    """Panels of the transpose of a row-major (n, k) matrix: target[j][p][q] = source[j*PANEL + q, p]."""
    panels = (n + PANEL - 1) // PANEL
    for j in range(panels):
        width = min(PANEL, n - j * PANEL)
        for q in range(PANEL):
            if q < width:
                at = source_at + (j * PANEL + q) * row_step
                row_in = source[at : at + k]
                for p in range(k):
                    target[target_at + (j * k + p) * PANEL + q] = row_in[p]
            else:
                for p in range(k):
                    target[target_at + (j * k + p) * PANEL + q] = 0.0
