"""How every operator is registered with Torch, and what all contracts have in common.

An operator is defined once under ``torch.ops.neighborgraph``, with one implementation per device
and a fake one that only knows shapes. It is therefore opaque to ``torch.compile``, and to
profilers, fake tensors and function transforms it is an operator like any other. Where none of them
looks on, the implementation is called by itself: Torch's dispatcher would carry twenty arguments to
C++ and back. Gradients are an ``autograd.Function`` around it: 5.4 µs of host time a
call, against 11.5 µs for the decorator form of ``torch.library``.
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

from neighborgraph.checks import FLOAT_DTYPES, expect_dtype, expect_shape, expect_tensor
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Csr, Graph

LIBRARY = torch.library.Library("neighborgraph", "DEF")
OPERATORS: list[str] = []
"""Names of all operators, so that a test can prove that none is forgotten."""
PLAIN = (Tensor, torch.nn.Parameter)
DEVICES = ("cpu", "cuda")


def register(schema: str, *, module: str, fake: Callable[..., Any]) -> Callable[..., Any]:
    """Define ``neighborgraph::<schema>`` and return a function that calls it.

    Args:
        schema: Torch operator schema; its name is also the name of the functions below. The device
            of its first argument of type Tensor decides.
        module: Name of the calling module. Its siblings ``cpu`` and ``cuda`` implement the
            operator; they need numba or a CUDA compiler and are imported at the first call on
            their device.
        fake: Shapes and dtypes only, for ``torch.compile`` and meta tensors.
    """
    package = module.rpartition(".")[0]
    name = LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))

    @functools.cache
    def implementation(device: str) -> Callable[..., Any]:
        return getattr(importlib.import_module(f"{package}.{device}"), name)

    def on_cpu(*args: Any) -> Any:
        return implementation("cpu")(*args)

    def on_cuda(*args: Any) -> Any:
        return implementation("cuda")(*args)

    LIBRARY.impl(name, on_cpu, "CPU")
    LIBRARY.impl(name, on_cuda, "CUDA")
    torch.library.register_fake(f"neighborgraph::{name}", fake, lib=LIBRARY)
    OPERATORS.append(name)
    overload = getattr(torch.ops.neighborgraph, name).default
    types = [str(argument.type) for argument in overload._schema.arguments]
    first = types.index("Tensor")

    def operator(*args: Any) -> Any:
        if torch.compiler.is_compiling() or is_watched(args[first]):
            return overload(*args)
        return implementation(args[first].device.type)(*args)

    return operator


def is_watched(tensor: Tensor) -> bool:
    """Whether something other than the implementation for ``tensor`` may have to see the call.

    A tensor subclass, a device without an implementation, a dispatch mode (fake tensors, tracing,
    ``opcheck``), a function transform (``vmap``) or a profiler.
    """
    return (
        type(tensor) not in PLAIN
        or tensor.device.type not in DEVICES
        or torch._C._len_torch_dispatch_stack() > 0
        or peek_interpreter_stack() is not None
        or torch.autograd._profiler_enabled()
    )


def differentiable_once(op: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the backward pass of ``op`` return gradients that refuse to be differentiated again.

    Torch's ``once_differentiable`` refuses only where an incoming gradient requires grad. Of a
    penalty on gradients, such as ``autograd.grad(out.sum(), x, create_graph=True)``, the second
    derivatives would be missing without a word.
    """

    def decorate(backward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(backward)
        def wrapper(ctx: Any, *grads: Tensor) -> Any:
            if not torch.is_grad_enabled():
                return backward(ctx, *grads)
            with torch.no_grad():
                outputs = backward(ctx, *grads)
            if torch.compiler.is_compiling():  # which refuses second derivatives by itself
                return outputs
            return tuple(None if o is None else Once.apply(o.requires_grad_(), op) for o in outputs)

        return wrapper

    return decorate


class Once(torch.autograd.Function):
    """The identity, without a derivative."""

    @staticmethod
    def forward(ctx, gradient, op):
        """The gradient itself."""
        ctx.op = op
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx, *_):
        """Refuse, naming the operator."""
        raise RuntimeError(f"{ctx.op} can be differentiated once, not twice")


def distinct(*inputs: Any) -> tuple[Any, ...]:
    """The arguments of an ``autograd.Function``, of which torch.compile accepts no tensor twice."""
    if not torch.compiler.is_compiling():
        return inputs
    different: list[Any] = []
    for value in inputs:
        repeats = isinstance(value, Tensor) and any(value is other for other in different)
        different.append(value.view_as(value) if repeats else value)
    return tuple(different)


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64 input; float32 for everything narrower, on every device."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def expect_graph(graph: object) -> None:
    """Refuse anything but a Graph, and say how to make one."""
    if not isinstance(graph, Graph):
        raise DtypeError(
            f"graph must be a neighborgraph.Graph, got {type(graph).__name__}; "
            "make one with neighborgraph.as_graph(...)"
        )


def expect_features(name: str, features: Tensor) -> None:
    """Refuse anything but a floating point tensor of a supported dtype with at least one axis."""
    expect_tensor(name, features)
    expect_dtype(name, features, FLOAT_DTYPES)
    if features.dim() == 0:
        raise InputError(f"{name} must have shape [nodes, ...], got a scalar")


def wants_gradient(inputs: Sequence[Tensor | None]) -> bool:
    """Whether a result of these inputs has to be differentiable."""
    if not torch.is_grad_enabled():
        return False
    # Not any(): a generator costs a microsecond.
    for x in inputs:
        if x is not None and x.requires_grad:
            return True
    return False


def expect_differentiable(graph: Graph, *inputs: Tensor | None) -> None:
    """Refuse a gradient over a graph that was built without its transpose."""
    if graph.cols is None and wants_gradient(inputs):
        graph.expect_cols("a gradient")


def as_factor(
    name: str, factor: Tensor | None, shape: Sequence[int], dtype: torch.dtype
) -> Tensor | None:
    """Factors per edge or node in the accumulation dtype of ``dtype`` features."""
    if factor is None:
        return None
    expect_tensor(name, factor)
    wide = accumulation_dtype(dtype)
    expect_dtype(name, factor, {dtype, wide})
    expect_shape(name, factor, shape)
    return factor.to(wide)


def autocast(x: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """Features in the dtype of autocast where it is on; float64 stays what it is."""
    features = (x, *others)
    if not is_autocast(x):
        return features
    dtype = torch.get_autocast_dtype(x.device.type)
    return tuple(x if x is None or x.dtype == torch.float64 else x.to(dtype) for x in features)


def is_autocast(x: Tensor) -> bool:
    """Whether autocast is on for the device of ``x``."""
    device = x.device.type
    return device in DEVICES and torch.is_autocast_enabled(device)


def as_rows(csr: Sequence[Tensor]) -> Csr:
    """The Csr behind the tensors an operator receives, which Torch's dispatcher made a list."""
    return csr if type(csr) is Csr else Csr(*csr)
