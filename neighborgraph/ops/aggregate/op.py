"""aggregate: every row reduces its neighbours' features."""

import math

import torch
from torch import Tensor

from neighborgraph.checks import (
    expect_dtype,
    expect_same_device,
    expect_shape,
    expect_tensor,
    nearest,
)
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops.aggregate.function import Max, Sum
from neighborgraph.ops.aggregate.softmax import softmax_of_channels
from neighborgraph.ops.registration import (
    accumulation_dtype,
    as_factor,
    distinct,
    expect_differentiable,
    expect_features,
    expect_graph,
)

REDUCTIONS = ("sum", "mean", "max", "min", "softmax")


def aggregate(
    graph: Graph,
    x: Tensor,
    reduce: str = "sum",
    *,
    weight: Tensor | None = None,
    row_scale: Tensor | None = None,
    col_scale: Tensor | None = None,
    add: Tensor | None = None,
    add_scale: float = 1.0,
    temperature: float | Tensor = 1.0,
) -> Tensor:
    r"""Reduce the features of every row's neighbours.

    .. math::

        o_i = r_i \, \mathrm{reduce}_{e=(j \to i)} \; w_e \, c_j \, x_j + s \, a_i

    Sums are kept in float32 (float64 for float64 input) and rounded once, after a was added; the
    result is the same bit for bit on every call. Without neighbours the reduction is zero. mean
    divides by the number of edges. In max and min NaN wins and a tie goes to the lowest edge id,
    which alone gets the gradient. softmax is a mean with weights of its own for every channel:

    .. math::

        o_i = \sum_{e=(j \to i)} \operatorname{softmax}_{e=(j \to i)} (t \, x_j) \, x_j

    It is `attend` with a head for each channel, keeps what attend promises and takes no w, r, c
    or a.

    Args:
        graph: n receivers, m sources, e edges.
        x: [m, ...] source features in float64, float32, float16 or bfloat16.
        reduce: "sum", "mean", "max", "min" or "softmax".
        weight: Optional edge weights w in the caller's edge order: [e], or [e, H] for one an edge
            and head of features [m, H, ...].
        row_scale: Optional [n] factors r, such as degree^-1/2; constants, no gradient.
        col_scale: Optional [m] factors c; constants, no gradient.
        add: Optional [n, ...] rows a in the dtype of ``x``, read once, as the result is written.
        add_scale: Factor s of ``add``.
        temperature: t of softmax: a float, or a tensor that broadcasts to ``x.shape[1:]`` and may
            require grad. 0 gives the mean, large values approach the maximum.

    Factors have the dtype of ``x``, or float32 beside 16-bit features.

    Returns:
        [n, ...] in the dtype of ``x``; differentiable in ``x``, ``weight``, ``add`` and
        ``temperature``.

    Raises:
        InputError: A shape is wrong, ``reduce`` is unknown, a scale requires grad, a number is not
            finite, softmax is given what it does not take or another reduction a temperature, or a
            gradient is needed but the graph has no transpose.
        DtypeError: A dtype is not supported.
        DeviceError: Graph and tensors are on different devices.

    softmax: "DeeperGCN: All You Need to Train Deeper GCNs", https://arxiv.org/abs/2006.07739.
    """
    expect_graph(graph)
    expect_features("x", x)
    if reduce not in REDUCTIONS:
        raise InputError(
            f"reduce={reduce!r} must be one of {', '.join(REDUCTIONS)}{nearest(reduce, REDUCTIONS)}"
        )
    expect_shape("x", x, (graph.num_cols, *x.shape[1:]), "one row per source")
    expect_differentiable(graph, x)
    features = x.reshape(graph.num_cols, x.shape[1:].numel())
    if reduce == "softmax":
        expect_same_device(graph=graph.rows.ptr, x=x)
        expect_absent(reduce, weight=weight, row_scale=row_scale, col_scale=col_scale, add=add)
        out = softmax_of_channels(graph, features, as_temperature(temperature, x))
        return out.view(graph.num_rows, *x.shape[1:])

    if isinstance(temperature, Tensor) or temperature != 1:
        raise InputError(f"temperature is for reduce='softmax', got it with reduce={reduce!r}")
    weight = as_weight(weight, graph, x)
    row_scale = as_scale("row_scale", row_scale, graph.num_rows, x.dtype)
    col_scale = as_scale("col_scale", col_scale, graph.num_cols, x.dtype)
    add, add_scale = as_addend(add, graph, x), as_number("add_scale", add_scale)
    expect_same_device(
        graph=graph.rows.ptr, x=x, weight=weight, row_scale=row_scale, col_scale=col_scale, add=add
    )
    if reduce == "mean":
        scale = mean_scale(graph, x.dtype)
        row_scale = scale if row_scale is None else scale * row_scale
    elif reduce == "min":
        row_scale = negative(row_scale, graph.num_rows, features)
        col_scale = negative(col_scale, graph.num_cols, features)
    function = Sum if reduce in ("sum", "mean") else Max
    tensors = distinct(features, weight, add, row_scale, col_scale)
    out = function.apply(*tensors, add_scale, graph.rows, graph.cols)
    return out.view(graph.num_rows, *x.shape[1:])


def expect_absent(reduce: str, **tensors: Tensor | None) -> None:
    """Refuse what a reduction does not take."""
    for name, tensor in tensors.items():
        if tensor is not None:
            raise InputError(
                f"reduce={reduce!r} takes no {name}; apply it to x or to the result instead"
            )


def as_weight(weight: Tensor | None, graph: Graph, x: Tensor) -> Tensor | None:
    """Edge weights [e, H] in the accumulation dtype; H is 1 where an edge has one weight."""
    if weight is None:
        return None
    expect_tensor("weight", weight)
    if weight.dim() == 2 and x.dim() > 1:
        return as_factor("weight", weight, (graph.num_edges, x.shape[1]), x.dtype)
    # One weight an edge is that of the only head; it is checked first, so that errors name [e].
    expect_shape("weight", weight, (graph.num_edges,))
    return as_factor("weight", weight[:, None], (graph.num_edges, 1), x.dtype)


def as_scale(name: str, scale: Tensor | None, size: int, dtype: torch.dtype) -> Tensor | None:
    """A scaling [size] in the accumulation dtype; refuses one that wants a gradient."""
    scale = as_factor(name, scale, (size,), dtype)
    if scale is not None and scale.requires_grad:
        raise InputError(
            f"{name} requires grad, but scalings are constants; multiply x or the result with it "
            "instead, or pass it detached"
        )
    return scale


def as_addend(add: Tensor | None, graph: Graph, x: Tensor) -> Tensor | None:
    """Rows to add, [n, F]."""
    if add is None:
        return None
    expect_tensor("add", add)
    expect_dtype("add", add, (x.dtype,))
    expect_shape("add", add, (graph.num_rows, *x.shape[1:]), "one row per receiver, like x")
    return add.reshape(graph.num_rows, x.shape[1:].numel())


def as_number(name: str, number: float) -> float:
    """A finite float; a tensor, whose gradient would be lost, is refused."""
    if isinstance(number, Tensor):
        raise DtypeError(f"{name} must be a float, got a tensor; multiply with it beforehand")
    # Not math.isfinite, which torch.compile cannot trace for a symbolic number.
    if not abs(number) < math.inf:
        raise InputError(f"{name}={number} must be finite")
    return float(number)


def as_temperature(temperature: float | Tensor, x: Tensor) -> float | Tensor:
    """A finite float, or one tensor element for each channel, [F] in the dtype of ``x``."""
    if isinstance(temperature, int | float):
        return as_number("temperature", temperature)
    expect_tensor("temperature", temperature)
    channels = x.shape[1:]
    expect_dtype("temperature", temperature, {x.dtype, accumulation_dtype(x.dtype)})
    expect_same_device(x=x, temperature=temperature)
    sizes = zip(reversed(temperature.shape), reversed(channels), strict=False)
    if temperature.dim() > len(channels) or any(t not in (1, c) for t, c in sizes):
        raise InputError(
            f"temperature must broadcast to {list(channels)}, the channels of x, "
            f"got {list(temperature.shape)}"
        )
    return temperature.to(x.dtype).expand(channels).reshape(channels.numel())


def mean_scale(graph: Graph, dtype: torch.dtype) -> Tensor:
    """1 / degree_i [n], which turns a sum of features in ``dtype`` into a mean; 1 in empty rows."""
    return graph.degree_as(accumulation_dtype(dtype)).clamp_(min=1).reciprocal_()


def negative(scale: Tensor | None, size: int, features: Tensor) -> Tensor:
    """-scale, where an absent scale is one."""
    if scale is None:
        return features.new_full((size,), -1.0, dtype=accumulation_dtype(features.dtype))
    return -scale
