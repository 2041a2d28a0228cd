"""How the engine's functions are compiled, and how they reach the arrays of a run.

A run has some thirty arrays. Handing them to every compiled function as arguments costs more than the work itself, so
they are reached through one record, `Root`, that holds their addresses; the record is passed by reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

entry: Any = njit(cache=True, nogil=True)
"""For functions that Python calls."""

inner: Any = njit(cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For functions that only compiled code calls."""


@intrinsic
def pointer(typingctx: Any, address: Any) -> Any:
    """Turn an integer address into a pointer that `carray` takes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the index of the lowest set bit of a non-zero u64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


def reach(dtype: Any) -> Any:
    """Return a compiled `view(address, size)` of an array of `dtype`."""

    @njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
    def view(address, size):
        return carray(pointer(address), (size,), dtype)

    return view


__all__ = ["carray", "entry", "inner", "np", "pointer", "reach", "trailing_zeros"]
