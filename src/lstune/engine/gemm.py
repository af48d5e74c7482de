"""Matrix products for small row counts, from packed panels, near the processor's limit.

The scheme is that of Goto & van de Geijn, "Anatomy of high-performance matrix multiplication" (ACM TOMS
2008): the right operand is cut into panels as wide as one register tile, a panel's block of `depth` rows
stays in the first-level cache while every row of the left operand passes by, and each tile of the result is
kept in registers over the whole block. Against plain loops this keeps its speed when the weights outgrow the
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
from lstune.engine.simd import (
    LINE,
    TILE_ROWS,
    WIDTH,
    emit_cases,
    load,
    pointer,
    prefetch,
    shared_function,
    spread,
    store,
)

__all__ = ["PANEL", "gemm", "pack", "pack_transposed", "padded"]

PANEL = 2 * WIDTH  # columns of a panel, and of a register tile
UNROLL = 4  # steps of a tile in one turn of its loop: its counters then cost next to nothing
AHEAD = 12  # rows of a panel that are asked for before each row block

_F32 = ir.FloatType()
_I64 = ir.IntType(64)


def padded(columns: int) -> int:
    """The width of a buffer row that takes whole panels."""
    return (columns + PANEL - 1) // PANEL * PANEL


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _parts(builder: ir.IRBuilder, whole: ir.Value, part: ir.Value) -> ir.Value:
    """How many parts of at most this size a whole has."""
    return builder.sdiv(builder.sub(builder.add(whole, part), _number(1)), part)


def _offsets(builder: ir.IRBuilder, step: ir.Value, count: int) -> list[ir.Value]:
    """0, step, 2 * step and so on, of which the compiler cannot see that they are so.

    It would otherwise walk from one address of a tile to the next by additions, a quarter of the loop's
    instructions, where an offset that stays in a register is part of the load.
    """
    kind = ir.FunctionType(_I64, [_I64])
    multiples = [builder.mul(step, _number(n)) for n in range(2, count)]
    hidden = [builder.asm(kind, "", "=r,0", [value], side_effect=False) for value in multiples]
    return [_number(0), step, *hidden][:count]


def _emit_tile(builder: ir.IRBuilder, rows: int, place: dict[str, ir.Value], down: bool) -> None:
    """One register tile: c[0:rows, 0:PANEL] = or += a[0:rows, 0:steps] @ b[0:steps, 0:PANEL].

    The left operand's neighbours in memory are its columns or, with `down`, its rows.
    """
    vector = ir.VectorType(_F32, WIDTH)
    # A fused multiply-add where the processor has one, else a product and a sum.
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{WIDTH}f32"
    )
    a_far = _offsets(builder, place["a_col"], UNROLL) if down else _offsets(builder, place["a_row"], rows)
    b_far = _offsets(builder, place["b_step"], UNROLL)
    a_now, b_now = (cgutils.alloca_once_value(builder, place[name]) for name in ("a", "b"))
    zero = ir.Constant(vector, [0.0] * WIDTH)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(2)] for _ in range(rows)]

    def emit_steps(count: int) -> None:
        a, b = builder.load(a_now), builder.load(b_now)
        for n in range(count):
            b_at = builder.gep(b, [b_far[n]])
            right = [load(builder, builder.gep(b_at, [_number(v * WIDTH)]), WIDTH) for v in range(2)]
            for r in range(rows):
                far, near = (n, r) if down else (r, n)
                a_at = builder.gep(builder.gep(a, [a_far[far]]), [_number(near)])
                left = spread(builder, builder.load(a_at, typ=_F32))
                for v in range(2):
                    builder.store(builder.call(fma, [left, right[v], builder.load(sums[r][v])]), sums[r][v])
        a_step = builder.mul(place["a_col"], _number(count)) if down else _number(count)
        builder.store(builder.gep(a, [a_step]), a_now)
        builder.store(builder.gep(b, [builder.mul(place["b_step"], _number(count))]), b_now)

    done = _number(0)
    if rows > TILE_ROWS // 2:  # smaller ones are rare, since row blocks are even, and take time to compile
        done = builder.and_(place["steps"], _number(-UNROLL))
        with cgutils.for_range_slice(builder, _number(0), done, _number(UNROLL), _I64):
            emit_steps(UNROLL)
    with cgutils.for_range_slice(builder, done, place["steps"], _number(1), _I64):
        emit_steps(1)

    with builder.if_else(builder.icmp_signed("!=", place["add"], _number(0))) as (adding, setting):
        for block, add in ((adding, True), (setting, False)):
            with block:
                for r in range(rows):
                    row = builder.gep(place["c"], [builder.mul(place["c_step"], _number(r))])
                    for v in range(2):
                        address = builder.gep(row, [_number(v * WIDTH)])
                        value = builder.load(sums[r][v])
                        if add:
                            value = builder.fadd(value, load(builder, address, WIDTH))
                        store(builder, value, address)


_PARAMETERS = (
    "m", "panels", "k", "c", "c_step", "c_panel", "a", "a_row", "a_col", "b", "b_step", "b_panel", "depth",
    "accumulate", "soon",
)  # fmt: skip


def _emit_ask(module: ir.Module) -> ir.Function:
    """Ask for AHEAD rows of a panel, to lie in the second-level cache when their turn comes."""
    function, builder = shared_function(module, "lstune_ask", [_F32.as_pointer(), _I64])
    if builder is None:
        return function
    at, step = function.args
    for n in range(AHEAD):
        row = builder.gep(at, [builder.mul(step, _number(n))])
        for line in range(0, PANEL, LINE):
            prefetch(builder, builder.gep(row, [_number(line)]), level=2)
    builder.ret_void()
    return function


# Rows that are asked for during a product, which does not read them: the panel that is under way, its next
# row, the rows of a panel, floats from panel to panel, panels to go, and how often AHEAD rows in one go.
_SOON = ir.LiteralStructType([_F32.as_pointer(), *[_I64] * 5])


def _field(builder: ir.IRBuilder, soon: ir.Value, index: int) -> ir.Value:
    return builder.gep(soon, [ir.Constant(ir.IntType(32), n) for n in (0, index)])


def _emit_ask_soon(module: ir.Module) -> ir.Function:
    """One row block's share of the rows that come after the product.

    The processor waits for little while it multiplies, so they are best fetched then; asked for all at once
    it would have to wait for the asking.
    """
    function, builder = shared_function(module, "lstune_ask_soon", [_SOON.as_pointer()])
    if builder is None:
        return function
    soon, ask = function.args[0], _emit_ask(module)
    panel, row, rows, step, left, times = (_field(builder, soon, index) for index in range(6))
    with (
        cgutils.for_range(builder, builder.load(times), intp=_I64),
        builder.if_then(builder.icmp_signed(">", builder.load(left), _number(0))),
    ):
        at = builder.mul(builder.load(row), _number(PANEL))
        builder.call(ask, [builder.gep(builder.load(panel), [at]), _number(PANEL)])
        following = builder.add(builder.load(row), _number(AHEAD))
        builder.store(following, row)
        with builder.if_then(builder.icmp_signed(">=", following, builder.load(rows))):
            builder.store(_number(0), row)
            builder.store(builder.gep(builder.load(panel), [builder.load(step)]), panel)
            builder.store(builder.sub(builder.load(left), _number(1)), left)
    builder.ret_void()
    return function


def _emit_gemm(module: ir.Module) -> ir.Function:
    """The whole product as one LLVM function, which every caller shares.

    Left to numba it would be inlined into each of its callers, tiles and all, and compiling would take
    minutes.
    """
    float_pointer = _F32.as_pointer()
    kinds = [float_pointer if name in ("a", "b", "c") else _I64 for name in _PARAMETERS[:-1]]
    kinds.append(_SOON.as_pointer())
    function, builder = shared_function(module, "lstune_gemm", kinds)
    if builder is None:
        return function
    v = dict(zip(_PARAMETERS, function.args, strict=True))
    blocks = _parts(builder, v["m"], _number(TILE_ROWS))
    begin = cgutils.alloca_once_value(builder, _number(0))
    down = builder.zext(builder.icmp_signed("!=", v["a_col"], _number(1)), _I64)
    ask, ask_soon = _emit_ask(module), _emit_ask_soon(module)
    far = builder.icmp_signed("!=", v["b_panel"], builder.mul(v["k"], v["b_step"]))

    def smaller(left: ir.Value, right: ir.Value) -> ir.Value:
        return builder.select(builder.icmp_signed("<", left, right), left, right)

    with cgutils.for_range_slice(builder, _number(0), v["k"], v["depth"], _I64) as (p0, _):
        steps = smaller(v["depth"], builder.sub(v["k"], p0))
        add = builder.select(builder.icmp_signed(">", p0, _number(0)), _number(1), v["accumulate"])
        # Where panels do not follow each other in memory, the processor cannot know which one is next: it is
        # asked for, a part before each row block. This pays where the row blocks are many.
        pays = builder.icmp_signed(">=", builder.mul(blocks, _number(AHEAD)), steps)
        asked = builder.select(builder.and_(far, pays), steps, _number(0))
        with cgutils.for_range(builder, v["panels"], intp=_I64) as panel:
            j = panel.index
            b_at = builder.add(builder.mul(j, v["b_panel"]), builder.mul(p0, v["b_step"]))
            c_at = builder.mul(j, v["c_panel"])
            builder.store(_number(0), begin)
            b_next = builder.gep(v["b"], [builder.add(b_at, v["b_panel"])])
            with cgutils.for_range(builder, blocks, intp=_I64) as block:
                # Row blocks as even as can be: a lone leftover row costs nearly as much as a full tile.
                row = builder.load(begin)
                left = builder.sub(blocks, block.index)
                rows = _parts(builder, builder.sub(v["m"], row), left)
                builder.store(builder.add(row, rows), begin)
                a_at = builder.add(builder.mul(row, v["a_row"]), builder.mul(p0, v["a_col"]))
                place = {name: v[name] for name in ("a_row", "a_col", "b_step", "c_step")}
                place["a"] = builder.gep(v["a"], [a_at])
                place["b"] = builder.gep(v["b"], [b_at])
                place["c"] = builder.gep(v["c"], [builder.add(c_at, builder.mul(row, v["c_step"]))])
                place.update(steps=steps, add=add)

                ahead = builder.mul(block.index, _number(AHEAD))
                with builder.if_then(builder.icmp_signed("<", ahead, asked)):
                    builder.call(ask, [builder.gep(b_next, [builder.mul(ahead, v["b_step"])]), v["b_step"]])

                with builder.if_then(builder.icmp_unsigned("!=", v["soon"], ir.Constant(kinds[-1], None))):
                    builder.call(ask_soon, [v["soon"]])

                def emit(case: int, place: dict[str, ir.Value] = place) -> None:
                    _emit_tile(builder, case // 2 + 1, place, down=bool(case % 2))

                case = builder.mul(builder.sub(rows, _number(1)), _number(2))
                emit_cases(builder, builder.add(case, down), 2 * TILE_ROWS, emit)
    builder.ret_void()
    return function


def _emit_soon(
    builder: ir.IRBuilder, product: list[ir.Value], first: ir.Value, *counts: ir.Value
) -> ir.Value:
    """What `lstune_ask_soon` works off: rows from `first` on, spread evenly over the product's row blocks."""
    rows, step, panels = counts
    m, product_panels, k, depth = (product[_PARAMETERS.index(name)] for name in ("m", "panels", "k", "depth"))
    blocks = builder.mul(_parts(builder, k, depth), product_panels)
    turns = builder.mul(blocks, _parts(builder, m, _number(TILE_ROWS)))
    times = _parts(builder, builder.mul(panels, _parts(builder, rows, _number(AHEAD))), turns)
    soon = cgutils.alloca_once(builder, _SOON)
    for index, value in enumerate([first, _number(0), rows, step, panels, times]):
        builder.store(value, _field(builder, soon, index))
    return soon


@intrinsic
def _gemm_ir(typing_context, *arguments):
    if len(arguments) not in (17, 21):
        raise TypeError(f"gemm takes 17 arguments, or 21 with what is asked for; got {len(arguments)}")

    def generate(context, builder, sig, packed):
        given = [
            value if isinstance(kind, types.Array) else context.cast(builder, value, kind, types.int64)
            for kind, value in zip(arguments, cgutils.unpack_tuple(builder, packed[0]), strict=True)
        ]

        def place(buffer: int, offset: int) -> ir.Value:
            return pointer(context, builder, arguments[buffer], given[buffer], given[offset])

        product = given[:17]
        for at in (11, 7, 3):  # a buffer and an offset become an address
            product[at : at + 2] = [place(at, at + 1)]
        soon = ir.Constant(_SOON.as_pointer(), None)
        if len(given) > 17:
            soon = _emit_soon(builder, product, place(3, 17), *given[18:])
        builder.call(_emit_gemm(builder.module), [*product, soon])
        return context.get_dummy_value()

    return types.void(types.StarArgTuple(arguments)), generate


def _gemm_python(
    m, panels, k, c, c_at, c_step, c_panel, a, a_at, a_row, a_col, b, b_at, b_step, b_panel, depth,
    accumulate, *soon,
):  # fmt: skip
    def view(buffer: Any, at: int, shape: tuple[int, ...], *steps: int) -> Any:
        return np.lib.stride_tricks.as_strided(buffer[at:], shape, tuple(4 * step for step in steps))

    left = view(a, a_at, (m, k), a_row, a_col)
    right = view(b, b_at, (panels, k, PANEL), b_panel, b_step, 1)
    target = view(c, c_at, (panels, m, PANEL), c_panel, c_step, 1)
    product = left @ right
    target[...] = target + product if accumulate else product


# gemm(m, panels, k, c, c_at, c_step, c_panel, a, a_at, a_row, a_col, b, b_at, b_step, b_panel, depth,
#      accumulate[, soon_at, soon_rows, soon_panel, soon_panels])
#
# C (m, panels) = or += A (m, k) @ B (k, panels), B and C in panels of PANEL columns. A's element (i, p) lies
# at a_at + i*a_row + p*a_col, where one of the two strides is 1. Row p of B's panel j starts at
# b_at + j*b_panel + p*b_step, row i of C's at c_at + j*c_panel + i*c_step: a plain row-major matrix has a
# panel stride of PANEL and its row length as step; a packed one has step PANEL. `depth` is how many rows of a
# panel are worked off before the next row block comes. All counts must be 1 or more.
#
# With the last four, which go together, it meanwhile asks for what is needed after it: `soon_rows` rows of
# PANEL floats in each of `soon_panels` panels, `soon_panel` floats apart, from soon_at on in C's buffer.
gemm: Any = _gemm_python if JIT_DISABLED else _gemm_ir


@kernel
def pack(k, n, source, source_at, row_step, target, target_at):
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
def pack_transposed(k, n, source, source_at, row_step, target, target_at):
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
