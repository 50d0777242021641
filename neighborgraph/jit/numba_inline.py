"""Pieces of CPU kernels: functions that are always inlined, and a request to load ahead."""

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from neighborgraph.jit.numba_kernel import OPTIONS

INTO_EVERY_CACHE, AS_DATA = 3, 1
"""Arguments of LLVM's prefetch."""


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a part of a kernel into its caller.

    Inlined by force: a call that hands over a dozen arrays costs as much as an edge.
    """
    return numba.njit(**OPTIONS, forceinline=True)(function)


def cache_line(_, nodes, node, byte):
    """Typing and code of a request for one cache line of a node's features."""

    def generate(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        start = builder.mul(args[1], builder.extract_value(array.strides, 0))
        start = builder.add(start, args[2])
        pointer = ir.IntType(8).as_pointer()
        address = builder.gep(builder.bitcast(array.data, pointer), [start])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        options = number(0), number(INTO_EVERY_CACHE), number(AS_DATA)
        builder.call(function, [address, *options])
        return context.get_dummy_value()

    return numba.types.void(nodes, node, numba.types.int64), generate


prefetch: Any = intrinsic(cache_line)
"""Ask for the cache line ``byte`` bytes into a node's features before its use."""
