"""How the engine's functions are compiled, and how they reach the arrays and the kernels of a run.

A run has some thirty arrays. Handing them to every compiled function as arguments costs more than the work itself, so
they are reached through one record, `Root`, that holds their addresses; the record is passed by reference. The parts
that differ between runs (a placement's score, an order's key, the scheduling pass) are called through their addresses
as well: each is compiled once, by itself, and only when it is used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


def _cache_folder() -> str:
    """Return a folder for compiled code that belongs to just these sources, or "" where none can be made.

    Numba notices a change in the file of a function it keeps, but not in what that function calls or in the layout of a
    record it reads; the digest of the whole room does.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("APPORTION_CACHE") or os.environ.get("XDG_CACHE_HOME")
    try:
        home = Path(base) if base else Path.home() / ".cache"
        folder = home / "apportion" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return ""
    return str(folder)


CACHE_FOLDER = _cache_folder()


@contextmanager
def _own_cache() -> Iterator[None]:
    # where a function's compiled form is kept is decided when it is decorated
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = before or CACHE_FOLDER
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls."""
    with _own_cache():
        return njit(cache=True, nogil=True)(function)


inner: Any = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For functions that only compiled code calls."""


class Kernel:
    """A function of a fixed signature that compiled code calls by its address; it is compiled when first needed."""

    def __init__(self, signature: Any, function: Callable[..., Any]) -> None:
        self.signature, self.function = signature, function
        self.__doc__ = function.__doc__

    @cached_property
    def _compiled(self) -> Any:
        try:
            with _own_cache():
                return cfunc(self.signature, cache=True)(self.function)
        except RuntimeError:  # typed at a prompt: there is no file to keep the compiled form beside
            return cfunc(self.signature)(self.function)

    @property
    def arguments(self) -> int:
        """How many arguments it takes."""
        return len(self.signature.args)

    @property
    def address(self) -> int:
        """Where the compiled function is; valid as long as this object lives."""
        return int(self._compiled.address)

    def __call__(self, *arguments: Any) -> Any:
        """Run the Python function itself, uncompiled."""
        return self.function(*arguments)


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Return a decorator that makes a `Kernel` of a function."""

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(signature, function)

    return decorate


def caller(signature: Any) -> Any:
    """Return a compiled `call(address, ...)` for functions of one to three arguments of that signature."""

    def codegen(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        arguments = [context.get_value_type(t) for t in signature.args]
        result = context.get_value_type(signature.return_type)
        function = builder.inttoptr(values[0], ir.FunctionType(result, arguments).as_pointer())
        given = [
            context.cast(builder, value, have, want)
            for value, have, want in zip(values[1:], sig.args[1:], signature.args, strict=True)
        ]
        return builder.call(function, given)

    whole = signature.return_type(types.int64, *signature.args)

    def call(typingctx: Any, address: Any, a: Any) -> Any:
        return whole, codegen

    def call_two(typingctx: Any, address: Any, a: Any, b: Any) -> Any:
        return whole, codegen

    def call_three(typingctx: Any, address: Any, a: Any, b: Any, c: Any) -> Any:
        return whole, codegen

    return intrinsic((call, call_two, call_three)[len(signature.args) - 1])


def array_of(root: Any, name: str, dtype: Any) -> Any:
    """Return a compiled `view(w)` of the array whose address is the field `name` of record `w` and its length `name_n`.

    It is emitted as a few instructions where it is used: thirty functions to compile would cost seconds.
    """
    array_type = types.Array(numba.from_dtype(dtype), 1, "C")
    at, length_at = root.fields[name][1], root.fields[f"{name}_n"][1]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)

        def field(offset: int) -> Any:
            start = builder.bitcast(args[0], ir.IntType(8).as_pointer())
            place = builder.gep(start, [ir.Constant(ir.IntType(32), offset)])
            return builder.load(builder.bitcast(place, word.as_pointer()))

        array = context.make_array(array_type)(context, builder)
        itemsize = ir.Constant(word, dtype.itemsize)
        populate_array(
            array,
            data=builder.inttoptr(field(at), context.get_data_type(array_type.dtype).as_pointer()),
            shape=[field(length_at)],
            strides=[itemsize],
            itemsize=itemsize,
            meminfo=None,
        )
        return array._getvalue()

    @intrinsic
    def view(typingctx: Any, w: Any) -> Any:
        return array_type(w), codegen

    return view


@intrinsic
def _trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the index of the lowest set bit of a non-zero u64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


trailing_zeros: Any = _trailing_zeros
