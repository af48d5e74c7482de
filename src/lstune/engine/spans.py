"""Stretches of the workspace: copy one, add one to another, multiply one by another."""

from __future__ import annotations

from lstune.engine._jit import kernel

__all__ = ["add", "copy", "multiply"]


@kernel
def multiply(ws, at, factors_at, count):
    """ws[at : at + count] *= ws[factors_at : ...]."""
    values, factors = ws[at : at + count], ws[factors_at : factors_at + count]
    for i in range(count):
        values[i] *= factors[i]


@kernel
def copy(ws, to, source, count):
    """ws[to : to + count] = ws[source : ...]."""
    target, given = ws[to : to + count], ws[source : source + count]
    for i in range(count):
        target[i] = given[i]


@kernel
def add(ws, to, source, count):
    """ws[to : to + count] += ws[source : ...]."""
    target, given = ws[to : to + count], ws[source : source + count]
    for i in range(count):
        target[i] += given[i]
