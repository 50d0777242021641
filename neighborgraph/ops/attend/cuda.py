"""attend on the GPU: which kernel instance runs, its workspace and its launches."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from neighborgraph.graph import Csr
from neighborgraph.jit import Instance
from neighborgraph.ops.attend.function import edge_count, wanted_ones
from neighborgraph.ops.items import combine, combine_instance, launch, workspace
from neighborgraph.ops.lanes import (
    CUDA_NAMES,
    Lanes,
    aligned,
    head_lanes_for,
    head_plans,
    lanes_for,
)
from neighborgraph.ops.philox import kept_factor, threshold
from neighborgraph.ops.registration import accumulation_dtype, as_rows

GROUPS, LEAST_GROUP = 1024, 16
"""Into how many groups `total` puts rows, and how many a group has at least."""


class Settings(NamedTuple):
    """What all four kernels take beside their tensors: see ``function.py``."""

    weight: Tensor | None
    bias: Tensor | None
    edge: Tensor | None
    seed: Tensor | None
    factor: float
    dropout: float
    self_loops: bool

    @staticmethod
    def of(weight, bias, edge, seed, factor, dropout, self_loops) -> "Settings":
        """The same with tensors as kernels can read them."""
        weight = None if weight is None else weight.contiguous()
        bias = None if bias is None else bias.contiguous()
        edge = None if edge is None else aligned(edge)
        return Settings(weight, bias, edge, seed, factor, dropout, self_loops)

    @property
    def present(self) -> tuple[bool, ...]:
        """Whether the score is additive; whether there are self-loops, bias, vectors, dropout."""
        tensors = self.bias, self.edge, self.seed
        return self.weight is not None, self.self_loops, *[t is not None for t in tensors]

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """In the order of the kernels' parameters."""
        return self[:4]

    @property
    def numbers(self) -> tuple[float, int, float]:
        """In the order of the kernels' parameters: factor, threshold, kept."""
        return self.factor, threshold(self.dropout), kept_factor(self.dropout)


def attend(csr, q, k, v, *settings) -> tuple[Tensor, Tensor, Tensor]:
    """Output [n, H, V], natural log-sum-exp [n, H] and state [n, H, 2], in base 2."""
    rows, settings = as_rows(csr), Settings.of(*settings)
    q, k, v = aligned(q), aligned(k), aligned(v)
    nodes, heads, _ = q.shape
    # Sizes one by one, not as a tuple: half the host time.
    out = v.new_empty(nodes, heads, v.shape[2])
    lse = q.new_empty(nodes, heads, dtype=accumulation_dtype(q.dtype))
    state = lse.new_empty(nodes, heads, 2)
    partial, partial_state = workspace(rows, out), workspace(rows, lse, 2)
    results = out, lse, state
    outputs = *results, partial, partial_state
    launch_heads("attend_forward", rows, (q, k, v), settings, outputs, k, v)
    combine("combine_softmax", rows, out, (partial, partial_state, *results), out.shape[1:])
    return results


def attend_weights(csr, q, k, state, *settings) -> Tensor:
    """The weight m p of every edge [e', H]."""
    rows, settings = as_rows(csr), Settings.of(*settings)
    q, k = aligned(q), aligned(k)
    weights = state.new_empty(edge_count(csr, settings.self_loops), q.shape[1])
    inputs = q, k, state.contiguous()
    launch_heads("attend_weights", rows, inputs, settings, (weights,), k)
    return weights


def attend_backward(
    rows, cols, q, k, v, out, state, grad, grad_lse, wanted, *settings
) -> list[Tensor]:
    """The wanted gradients of q, k, v, weight, bias and edge."""
    settings = Settings.of(*settings)
    q, k, v, out, grad = aligned(q), aligned(k), aligned(v), aligned(out), aligned(grad)
    _, wants_k, wants_v, *of_edges = wanted
    row_grads, stats = grad_q(rows, q, k, v, out, state, grad, grad_lse, of_edges, settings)
    column_grads = None, None
    if wants_k or wants_v:
        column_grads = grad_kv(cols, q, k, v, stats, grad, settings)
    return wanted_ones(row_grads, column_grads, wanted)


def grad_q(
    csr, q, k, v, out, state, grad, grad_lse, wanted, settings
) -> tuple[tuple[Tensor | None, ...], Tensor]:
    """Gradients of q, weight, bias and edge, None unless ``wanted``; and stats [n, H, 4]."""
    rows, (wants_weight, wants_bias, wants_edge) = as_rows(csr), wanted
    of_q = torch.empty_like(q)
    nodes, heads, width = q.shape
    # (state, delta, 0) side by side, because the pass over the transpose reads them at random.
    stats = state.new_empty(nodes, heads, 4)
    # Each row's share, [n, H, D].
    of_weight = state.new_empty(nodes, heads, width) if wants_weight else None
    of_bias = torch.empty_like(settings.bias) if wants_bias else None
    of_edge = torch.empty_like(settings.edge) if wants_edge else None
    partial = workspace(rows, of_q)
    partial_weight = None if of_weight is None else workspace(rows, of_weight)
    grad_lse = None if grad_lse is None else grad_lse.contiguous()
    inputs = q, k, v, out, state.contiguous(), grad, grad_lse
    outputs = of_q, stats, of_weight, of_bias, of_edge, partial, partial_weight
    launch_heads("attend_grad_q", rows, inputs, settings, outputs, k, v)
    add_up(rows, partial, of_q)
    add_up(rows, partial_weight, of_weight)
    return (of_q, None if of_weight is None else total(of_weight), of_bias, of_edge), stats


def total(shares: Tensor) -> Tensor:
    """The sum of shares [n, ...] over n, in two steps where n is large; the same at each call.

    ``GROUPS`` sums of their own keep a GPU busy, and few are left for the second step. A product
    with a row of ones would be as quick, but TF32 would round its factors.
    """
    each = shares.shape[0] // GROUPS
    if each < LEAST_GROUP:
        return shares.sum(0)
    grouped = each * GROUPS
    sums = shares[:grouped].view(GROUPS, each, *shares.shape[1:]).sum(1)
    return torch.cat([sums, shares[grouped:]]).sum(0)


def grad_kv(csr, q, k, v, stats, grad, settings) -> tuple[Tensor, Tensor]:
    """Gradients of k [m, H, D] and v [m, H, V]; csr is the transpose."""
    cols = as_rows(csr)
    of_k, of_v = torch.empty_like(k), torch.empty_like(v)
    partial_k, partial_v = workspace(cols, k), workspace(cols, v)
    inputs, outputs = (q, k, v, stats, grad), (of_k, of_v, partial_k, partial_v)
    launch_heads("attend_grad_kv", cols, inputs, settings, outputs, k, v)
    add_up(cols, partial_k, of_k)
    add_up(cols, partial_v, of_v)
    return of_k, of_v


def launch_heads(
    kernel: str,
    rows: Csr,
    inputs: tuple[Tensor | None, ...],
    settings: Settings,
    outputs: tuple[Tensor | None, ...],
    *features: Tensor,
) -> None:
    """One warp for each group of heads of each work item; ``features`` [., H, .] set the widths."""
    heads, widths = features[0].shape[1], tuple([f.shape[2] for f in features])
    made, heads_per_warp = instance_for(kernel, features[0].dtype, settings.present, heads, widths)
    parts = -(-heads // heads_per_warp)
    tensors = rows.edge_id, rows.ptr, *inputs, *settings.tensors, *outputs
    sizes = rows.item_row.shape[0], parts, heads_per_warp, heads, *widths, rows.idx.shape[0]
    launch(made, rows, parts, *tensors, *sizes, *settings.numbers)


@cache
def instance_for(
    kernel: str, dtype: torch.dtype, present: tuple[bool, ...], heads: int, widths: tuple[int, ...]
) -> tuple[Instance, int]:
    """The template instance for a shape, and how many heads a warp of it serves."""
    plans = head_lanes_for(dtype, heads, *widths)
    return instance(kernel, dtype, present, *plans), plans[0].heads


def add_up(rows: Csr, partial: Tensor | None, whole: Tensor | None) -> None:
    """Sum the partial results of cut rows, where there are any."""
    if partial is None or whole is None:
        return
    sizes = whole.shape[1:].numel(), 0.0
    combine("combine_sum", rows, whole, (partial, None, None, whole), sizes)


def instance(kernel: str, dtype: torch.dtype, present: tuple[bool, ...], *plans: Lanes) -> Instance:
    """The template instance of a kernel for the plans of keys and, but for weights, of values."""
    source = "attend_backward.cu" if "grad" in kernel else "attend_forward.cu"
    lanes = ", ".join(f"Lanes<{plan.template(dtype)}>" for plan in plans)
    additive, *inputs = present
    score, flags = "Additive" if additive else "Dot", ", ".join(str(p).lower() for p in inputs)
    return Instance(source, f"{kernel}<{lanes}, {score}, EdgeInputs<{flags}>>")


def instances() -> Iterator[Instance]:
    """A cover of the instances that shapes can ask for.

    Each plan of equal key and value widths with nothing else, for each data type; keys of one
    channel beside wider values; and each score with each set of edge inputs, in data types that
    take turns.
    """
    plain, gat = (False,) * 5, (True, *(False,) * 4)
    for dtype in CUDA_NAMES:
        for plan in head_plans(dtype):
            for kernel in ("attend_forward", "attend_grad_q", "attend_grad_kv"):
                yield instance(kernel, dtype, plain, plan, plan)
        yield from all_kernels(dtype, gat, *head_lanes_for(dtype, 4, 1, 128 // dtype.itemsize))
        yield combine_instance("combine_softmax", dtype)
        yield combine_instance("combine_sum", dtype)
    for turn, present in enumerate(product((False, True), repeat=5)):
        dtype = list(CUDA_NAMES)[turn % len(CUDA_NAMES)]
        plan = lanes_for(dtype, 128 // dtype.itemsize, heads=4)
        yield from all_kernels(dtype, present, plan, plan)


def all_kernels(
    dtype: torch.dtype, present: tuple[bool, ...], keys: Lanes, values: Lanes
) -> Iterator[Instance]:
    """The four kernels of one choice."""
    for kernel in ("attend_forward", "attend_grad_q", "attend_grad_kv"):
        yield instance(kernel, dtype, present, keys, values)
    yield instance("attend_weights", dtype, present, keys)
