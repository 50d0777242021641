"""Linear maps of a layer's nodes: several of one input, inner products by head, and a bias."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.nn import Linear

from neighborgraph.ops.registration import differentiable_once

MANY_ROWS = 2**16
"""About from here on passes over rows cost a GPU more than Python's backward pass costs a host."""


def has_many_rows(x: Tensor) -> bool:
    """Whether what is below pays; Torch's compiler finds as good ways by itself."""
    return not torch.compiler.is_compiling() and x.shape[0] >= MANY_ROWS


def is_plain(module: Any) -> bool:
    """Whether a layer is no more than PyG's `Linear` with the parameters that it has by now."""
    return (
        type(module) is Linear
        and not module._forward_hooks
        and not module._forward_pre_hooks
        and not module._backward_hooks
        and not module._backward_pre_hooks
    )


def is_autocast(x: Tensor) -> bool:
    """Whether Torch chooses the dtypes of products."""
    return torch.is_autocast_enabled(x.device.type)


def project(x: Tensor, *modules: Any) -> tuple[Tensor, ...]:
    """What several linear layers make of one input [n, in_channels].

    Of many rows, their gradients of ``x`` are added up by the products themselves instead of in
    passes over memory of their own. Layers with hooks or of another class are called, and all under
    autocast.
    """
    if not has_many_rows(x) or is_autocast(x) or not all(map(is_plain, modules)):
        return tuple(module(x) for module in modules)
    parameters = [p for module in modules for p in (module.weight, module.bias)]
    return Projections.apply(x, *parameters)


class Projections(torch.autograd.Function):
    r"""Linear maps of one input.

    With :math:`y_k = x W_k^\top + b_k` and gradients :math:`g_k` of the outputs,

    .. math::

        \frac{\partial}{\partial x} = \sum_k g_k W_k, \qquad
        \frac{\partial}{\partial W_k} = g_k^\top x, \qquad
        \frac{\partial}{\partial b_k} = g_k^\top 1
    """

    @staticmethod
    def forward(ctx, x, *parameters):
        """``parameters`` are weights [c_k, in_channels], each with its bias [c_k] or None."""
        weights, biases = parameters[::2], parameters[1::2]
        ctx.save_for_backward(x, *weights)
        return tuple(F.linear(x, w, b) for w, b in zip(weights, biases, strict=True))

    @staticmethod
    @differentiable_once("a layer's projections")
    def backward(ctx, *grads):
        """Of x, and of each weight and bias in turn."""
        x, *weights = ctx.saved_tensors
        wants_x, *wants = ctx.needs_input_grad
        grad_x = None
        found = []
        for number, (grad, weight) in enumerate(zip(grads, weights, strict=True)):
            if wants_x:
                grad_x = grad @ weight if grad_x is None else grad_x.addmm_(grad, weight)
            wants_weight, wants_bias = wants[2 * number : 2 * number + 2]
            found.append(grad.t() @ x if wants_weight else None)
            found.append(column_sums(grad) if wants_bias else None)
        return grad_x, *found


def add_bias(x: Tensor, bias: Tensor | None) -> Tensor:
    """``x + bias``, of [n, c] and [c]; as it is where there is no bias."""
    if bias is None:
        return x
    return Bias.apply(x, bias) if has_many_rows(x) else x + bias


class Bias(torch.autograd.Function):
    """Adds a vector to rows; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, x, bias):
        """Of [n, c] and [c]."""
        ctx.dtypes = x.dtype, bias.dtype
        return x + bias

    @staticmethod
    @differentiable_once("a layer's bias")
    def backward(ctx, grad):
        """Of x and of the bias."""
        wants_x, wants_bias = ctx.needs_input_grad
        x_dtype, bias_dtype = ctx.dtypes
        grad_bias = column_sums(grad).to(bias_dtype) if wants_bias else None
        return grad.to(x_dtype) if wants_x else None, grad_bias


def column_sums(x: Tensor) -> Tensor:
    """The sum [c] of rows [n, c].

    On a GPU a product with ones moves the rows at the memory's speed, of which Torch's sum over the
    first dimension reaches a sixth at 128 columns. Of narrow types a product may add up in them.
    """
    if x.device.type == "cuda" and x.dtype in (torch.float32, torch.float64):
        return torch.mv(x.t(), x.new_ones(x.shape[0]))
    return x.sum(0)


def inner_by_head(value: Tensor, *vectors: Tensor) -> tuple[Tensor, ...]:
    """Inner products of nodes [n, H, C] with vectors [1, H, C], by head: [n, H, 1] for each vector.

    Of many rows, one product with a matrix that has a block for each head, in which what is not
    finite reaches all heads of its node; multiplying and adding up would read and write all of the
    nodes several times. Under autocast sums are in float32, as PyG's are then.
    """
    heads, channels = value.shape[1:]
    plain = not has_many_rows(value) or is_autocast(value)
    if plain or any(v.dtype != value.dtype for v in vectors):
        return tuple((value * vector).sum(-1, keepdim=True) for vector in vectors)
    eye = torch.eye(heads, dtype=value.dtype, device=value.device)
    blocks = [(v.view(heads, 1, channels) * eye[..., None]).view(heads, -1) for v in vectors]
    products = F.linear(value.flatten(1), torch.cat(blocks))
    return products.view(-1, len(vectors), heads, 1).unbind(1)
