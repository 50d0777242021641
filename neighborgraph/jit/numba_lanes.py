"""SIMD lanes for CPU kernels: sixteen numbers that are added, compared and loaded as one value.

The compiler decides by itself which loops to vectorise, and decides badly for loops of ten turns.
Lanes say it: they are a vector in LLVM, which the machine's registers hold in one part or several.
Arithmetic and comparisons take lanes and scalars; a comparison gives a mask for ``choose``.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import models, register_model

from neighborgraph.jit.numba_inline import inlined

# A type checker would take an intrinsic for the function that makes its code.
intrinsic: Any = extending.intrinsic

LANES = 16
INT32 = ir.IntType(32)

# Below the first, exp of float32 would be subnormal and is zero; above the second it is infinite.
LOWEST, HIGHEST = np.float32(-87.33), np.float32(88.37)
LOG2_E = np.float32(1 / np.log(2))
# log 2 in two parts, so that x - n log 2 keeps all its digits.
LOG_2 = np.float32(np.log(2))
LOG_2_REST = np.float32(np.log(2) - np.float64(LOG_2))
# exp(r) = 1 + r + r^2 (C2 + C3 r + ... + C6 r^4) to 3e-9 for |r| <= log(2) / 2, fitted by least
# squares whose weights grow where the error is largest.
C2, C3, C4, C5, C6 = (
    np.float32(c)
    for c in (0.49999993432, 0.16666520399, 0.04166839079, 0.00836874512, 0.00138145403)
)


class Lanes(types.Type):
    """The numba type of sixteen numbers of a type."""

    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """Lanes are an LLVM vector."""

    def __init__(self, manager: Any, lanes: Lanes) -> None:
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, LANES))


def filled(builder: Any, value: Any) -> Any:
    """A scalar in every lane; lanes stay as they are."""
    if isinstance(value.type, ir.VectorType):
        return value
    vector = ir.VectorType(value.type, LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, INT32(0))
    zeros = ir.Constant(ir.VectorType(INT32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def element_of(*args: types.Type) -> types.Type | None:
    """What the lanes among operands hold, None where there are no lanes."""
    return next((arg.dtype for arg in args if isinstance(arg, Lanes)), None)


def operation(symbol: Callable, on_floats: str, on_integers: str, *predicate: str) -> None:
    """Let a Python operator work on lanes, by the named methods of LLVM's builder."""

    @infer_global(symbol)  # pyright: ignore[reportOptionalCall]
    class Typing(AbstractTemplate):
        def generic(self, args, kws):
            element = element_of(*args)
            if element is None:
                return None
            result = types.boolean if predicate else element
            operands = (arg if isinstance(arg, Lanes) else element for arg in args)
            return Lanes(result)(*operands)

    def generate(context, builder, signature, args):
        method = on_floats if isinstance(element_of(*signature.args), types.Float) else on_integers
        operands = (filled(builder, arg) for arg in args)
        return getattr(builder, method)(*predicate, *operands)

    for pair in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
        lower_builtin(symbol, *pair)(generate)


operation(operator.add, "fadd", "add")
operation(operator.sub, "fsub", "sub")
operation(operator.mul, "fmul", "mul")
operation(operator.and_, "", "and_")
operation(operator.or_, "", "or_")
operation(operator.xor, "", "xor")
operation(operator.rshift, "", "lshr")
operation(operator.eq, "fcmp_ordered", "icmp_unsigned", "==")
operation(operator.ne, "fcmp_unordered", "icmp_unsigned", "!=")
operation(operator.gt, "fcmp_ordered", "icmp_unsigned", ">")
operation(operator.ge, "fcmp_ordered", "icmp_unsigned", ">=")
operation(operator.lt, "fcmp_ordered", "icmp_unsigned", "<")


def call(builder: Any, name: str, result: Any, *args: Any, fastmath: tuple[str, ...] = ()) -> Any:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, args, fastmath=fastmath)


def suffix(vector: Any) -> str:
    """How LLVM names a vector type."""
    element = {"float": "f32", "double": "f64"}.get(str(vector.element), str(vector.element))
    return f"v{LANES}{element}"


@intrinsic
def spread(_, x):
    """A number in every lane."""
    return Lanes(x)(x), lambda context, builder, signature, args: filled(builder, args[0])


@intrinsic
def choose(_, mask, yes, no):
    """Lanes of ``yes`` where the mask holds, else of ``no``; one of the two may be a number."""
    lanes = yes if isinstance(yes, Lanes) else no
    operands = (arg if isinstance(arg, Lanes) else lanes.dtype for arg in (yes, no))

    def generate(context, builder, signature, args):
        mask, *operands = args
        return builder.select(mask, *(filled(builder, arg) for arg in operands))

    return lanes(mask, *operands), generate


@intrinsic
def fma(_, a, b, c):
    """The sum a b + c, rounded once; numbers are spread."""
    element = element_of(a, b, c)
    operands = (arg if isinstance(arg, Lanes) else element for arg in (a, b, c))

    def generate(context, builder, signature, args):
        operands = [filled(builder, arg) for arg in args]
        vector = operands[0].type
        return call(builder, f"llvm.fma.{suffix(vector)}", vector, *operands)

    return Lanes(element)(*operands), generate


@intrinsic
def total_of(_, lanes):
    """The sum of all lanes."""

    def generate(context, builder, signature, args):
        vector = args[0].type
        name = f"llvm.vector.reduce.fadd.{suffix(vector)}"
        zero = ir.Constant(vector.element, 0.0)
        return call(builder, name, vector.element, zero, args[0], fastmath=("reassoc", "nsz"))

    return lanes.dtype(lanes), generate


@intrinsic
def largest_number(_, lanes):
    """The largest of lanes none of which is NaN."""

    def generate(context, builder, signature, args):
        vector = args[0].type
        name = f"llvm.vector.reduce.fmax.{suffix(vector)}"
        return call(builder, name, vector.element, args[0], fastmath=("nnan", "nsz"))

    return lanes.dtype(lanes), generate


def address(context: Any, builder: Any, kind: types.Array, value: Any, index: Any) -> tuple:
    """Where an element of an array is, as a pointer to lanes, and how many follow in its row."""
    array = context.make_array(kind)(context, builder, value)
    strides = cgutils.unpack_tuple(builder, array.strides, kind.ndim)
    places = cgutils.unpack_tuple(builder, index, kind.ndim)
    sizes = cgutils.unpack_tuple(builder, array.shape, kind.ndim)
    byte = builder.bitcast(array.data, ir.IntType(8).as_pointer())
    for place, stride in zip(places, strides, strict=True):
        byte = builder.gep(byte, [builder.mul(place, stride)])
    vector = ir.VectorType(context.get_data_type(kind.dtype), LANES)
    return builder.bitcast(byte, vector.as_pointer()), builder.sub(sizes[-1], places[-1])


def first_lanes(builder: Any, count: Any, relation: str = "<") -> Any:
    """A mask of the lanes whose numbers are below ``count``, or in another relation to it."""
    number = ir.Constant(ir.VectorType(count.type, LANES), list(range(LANES)))
    return builder.icmp_signed(relation, number, filled(builder, count))


@intrinsic
def first(_, count):
    """A mask of that many lanes."""
    return Lanes(types.boolean)(types.int64), lambda context, builder, signature, args: first_lanes(
        builder, *args
    )


@intrinsic
def put(_, lanes, place, number):
    """Lanes with one of them replaced."""

    def generate(context, builder, signature, args):
        lanes, place, number = args
        here = first_lanes(builder, place, "==")
        return builder.select(here, filled(builder, number), lanes)

    return lanes(lanes, types.int64, lanes.dtype), generate


@intrinsic
def as_int64(_, lanes):
    """Signed whole numbers, widened."""

    def generate(context, builder, signature, args):
        return builder.sext(args[0], ir.VectorType(ir.IntType(64), LANES))

    return Lanes(types.int64)(lanes), generate


@intrinsic
def gather(_, array, rows, rest, mask):
    """From each row an element, ``array[row, *rest]``; zero where the mask does not hold.

    ``rows`` may also be one row for all lanes, whatever the mask.
    """
    size = np.dtype(str(array.dtype)).itemsize
    if not isinstance(rows, Lanes):
        rows = types.int64

    def generate(context, builder, signature, args):
        value, rows, rest, mask = args
        view = context.make_array(array)(context, builder, value)
        row_stride, *strides = cgutils.unpack_tuple(builder, view.strides, array.ndim)
        offset = builder.ptrtoint(view.data, ir.IntType(64))
        for place, stride in zip(cgutils.unpack_tuple(builder, rest), strides, strict=True):
            offset = builder.add(offset, builder.mul(place, stride))
        element = context.get_data_type(array.dtype)
        if not isinstance(rows.type, ir.VectorType):
            one = builder.add(offset, builder.mul(rows, row_stride))
            pointer = builder.inttoptr(one, element.as_pointer())
            return filled(builder, builder.load(pointer, align=size))
        places = builder.mul(rows, filled(builder, row_stride))
        pointers = ir.VectorType(element.as_pointer(), LANES)
        places = builder.inttoptr(builder.add(filled(builder, offset), places), pointers)
        vector = ir.VectorType(element, LANES)
        name = f"llvm.masked.gather.{suffix(vector)}.v{LANES}p0"
        return call(builder, name, vector, places, INT32(size), mask, ir.Constant(vector, None))

    return Lanes(array.dtype)(array, rows, widened(rest), mask), generate


@intrinsic
def load(_, array, index):
    """The elements of a row from ``index`` on, ``load(array, (i, h, d))``; zero behind its end."""
    size = np.dtype(str(array.dtype)).itemsize

    def generate(context, builder, signature, args):
        pointer, count = address(context, builder, array, *args)
        vector = pointer.type.pointee
        result = cgutils.alloca_once(builder, vector)
        whole = builder.icmp_signed(">=", count, ir.Constant(count.type, LANES))
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                builder.store(builder.load(pointer, align=size), result)
            with otherwise:
                mask, zero = first_lanes(builder, count), ir.Constant(vector, None)
                name = f"llvm.masked.load.{suffix(vector)}.p0"
                builder.store(call(builder, name, vector, pointer, INT32(size), mask, zero), result)
        return builder.load(result)

    return Lanes(array.dtype)(array, widened(index)), generate


@intrinsic
def store(_, array, index, lanes):
    """Write the lanes that `load` would read there."""
    size = np.dtype(str(array.dtype)).itemsize

    def generate(context, builder, signature, args):
        pointer, count = address(context, builder, array, *args[:2])
        whole = builder.icmp_signed(">=", count, ir.Constant(count.type, LANES))
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                builder.store(args[2], pointer, align=size)
            with otherwise:
                name = f"llvm.masked.store.{suffix(args[2].type)}.p0"
                mask = first_lanes(builder, count)
                call(builder, name, ir.VoidType(), args[2], pointer, INT32(size), mask)
        return context.get_dummy_value()

    return types.void(array, widened(index), lanes), generate


def widened(index: Any) -> types.Type:
    """An index whose parts are all int64."""
    return types.UniTuple(types.int64, len(index))


@intrinsic
def nearest(_, lanes):
    """The nearest whole numbers."""

    def generate(context, builder, signature, args):
        vector = args[0].type
        return call(builder, f"llvm.rint.{suffix(vector)}", vector, *args)

    return lanes(lanes), generate


@intrinsic
def power_of_two(_, lanes):
    """2^n of float32 whole numbers n from -126 to 127: n is put where float32 has its exponent."""

    def generate(context, builder, signature, args):
        whole = builder.fptosi(args[0], ir.VectorType(INT32, LANES))
        exponent = builder.add(whole, filled(builder, INT32(127)))
        return builder.bitcast(builder.shl(exponent, filled(builder, INT32(23))), args[0].type)

    return lanes(lanes), generate


@inlined
def exp_float32(x):
    """2^n exp(r) with x = n log 2 + r, to 2 units in the last place; NaN of NaN."""
    inside = choose(x > LOWEST, x, LOWEST)
    inside = choose(inside < HIGHEST, inside, HIGHEST)
    n = nearest(inside * LOG2_E)
    r = fma(n, -LOG_2_REST, fma(n, -LOG_2, inside))
    p = fma(fma(fma(fma(r, C6, C5), r, C4), r, C3), r, C2)
    result = (fma(r * r, p, r) + np.float32(1)) * power_of_two(n)
    result = choose(x < LOWEST, np.float32(0), result)
    result = choose(x > HIGHEST, np.float32(np.inf), result)
    return choose(x == x, result, x)


@intrinsic
def exp(typing, lanes):
    """e^x: of float32 in lanes, of float64 by the C library."""
    function = typing.resolve_value_type(exp_float32)
    signature = lanes(lanes)
    if lanes.dtype == types.float32:
        signature = function.get_call_type(typing, (lanes,), {})

    def generate(context, builder, _, args):
        vector = args[0].type
        if lanes.dtype == types.float32:
            return context.get_function(function, signature)(builder, args)
        return call(builder, f"llvm.exp.{suffix(vector)}", vector, *args)

    return lanes(lanes), generate
