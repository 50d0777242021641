"""What the peers of all operators share: who they are, and when their answers count as ours.

A peer composes the same function as we fuse, as PyG's layers do: gather, softmax, scatter.
"""

import importlib.util
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neighborgraph.errors import BackendUnavailable
from neighborgraph.graph import Graph
from neighborgraph.jit import Instance
from neighborgraph.ops.items import launch
from neighborgraph.ops.lanes import aligned, lanes_for

MOST_EDGES_IN_16_BITS = 10_000_000
"""Up to which torch.compile's scatter is run: on 109 million edges and one head of 128 channels in
float16 it did not end within two minutes (Torch 2.11, H200), where float32 takes 25 ms."""

Function = Callable[..., Tensor]
Prepare = Callable[[Graph, torch.dtype], Function]
"""Makes, untimed, whatever a user would keep, and returns the function of the named inputs."""

TITLES = {
    "pyg": "PyG eager",
    "compiled": "PyG compiled",
    "scatter": "torch-scatter",
    "sparse": "torch.sparse",
    "sparse-kept": "torch.sparse + kept transpose",
    "floor": "floor",
}
"""Name to type, and name that is shown."""

PACKAGES = {
    "pyg": ("torch_geometric", "torch-geometric"),
    "compiled": ("torch_geometric", "torch-geometric"),
    "scatter": ("torch_scatter", "torch-scatter"),
}
"""What those that are not Torch's own need: the module, and the package that brings it."""

TOLERANCES = {
    torch.float64: 1e-10,
    torch.float32: 1e-4,
    torch.float16: 5e-2,
    torch.bfloat16: 3e-1,
}
"""Largest difference in norm, relative to ours; wide for peers that add up in 16 bits."""


@dataclass(frozen=True)
class Segments:
    """A library's reductions over the edges of each receiver.

    Attributes:
        softmax: Of (scores [e, ...], receiver [e], number of receivers).
        reduce: Of (messages [e, ...], receiver [e], number of receivers, "sum", "mean" or "max").
    """

    softmax: Callable[[Tensor, Tensor, int], Tensor]
    reduce: Callable[[Tensor, Tensor, int, str], Tensor]


Compose = Callable[[Graph, torch.dtype, Segments], Function]


def composed_peers(compose: Compose) -> dict[str, Prepare]:
    """The libraries that run the same composition, by name."""
    return {
        "pyg": lambda graph, dtype: compose(graph, dtype, pyg_segments()),
        "compiled": lambda graph, dtype: compiled_composition(compose, graph, dtype),
        "scatter": lambda graph, dtype: compose(graph, dtype, scatter_segments()),
    }


def compiled_composition(compose: Compose, graph: Graph, dtype: torch.dtype) -> Function:
    """PyG's composition under ``torch.compile``, where that ends."""
    if dtype.itemsize < 4 and graph.num_edges > MOST_EDGES_IN_16_BITS:
        raise BackendUnavailable(
            f"not run: in {dtype} its scatter takes minutes on {graph.num_edges:,} edges"
        )
    return compiled(compose(graph, dtype, pyg_segments()))


def pyg_segments() -> Segments:
    """``torch_geometric.utils``."""
    expect_installed("pyg")
    from torch_geometric.utils import scatter, softmax

    return Segments(
        lambda score, receiver, size: softmax(score, receiver, num_nodes=size),
        lambda message, receiver, size, reduce: scatter(message, receiver, 0, size, reduce),
    )


def scatter_segments() -> Segments:
    """``torch_scatter``."""
    expect_installed("scatter")
    from torch_scatter import scatter, scatter_softmax

    return Segments(
        lambda score, receiver, size: scatter_softmax(score, receiver, 0, dim_size=size),
        lambda message, receiver, size, reduce: scatter(message, receiver, 0, None, size, reduce),
    )


def compiled(function: Callable, dynamic: bool = False) -> Any:
    """``torch.compile``: for fixed shapes, as a training on one graph would use it, or for any."""
    # Each case compiles the same code object anew, of which Torch allows only a few.
    torch.compiler.reset()
    return torch.compile(function, dynamic=dynamic)


def gather_floor(graph: Graph, first: Tensor, second: Tensor) -> Tensor:
    """The least that any fused kernel must do: gather two rows an edge and multiply them.

    Args:
        graph: n receivers, m sources.
        first: [m, H, D].
        second: The same shape; the same tensor where only one is to be gathered, whose second load
            then comes from the nearest cache.

    Returns:
        [n, H, D], of use to nobody; a cut row holds only one of its pieces.
    """
    heads, width = first.shape[1:]
    lanes = lanes_for(first.dtype, width, heads)
    parts = -(-heads // lanes.heads)
    out = first.new_empty(graph.num_rows, heads, width)
    items = graph.rows.item_row.shape[0]
    instance = Instance("gather_floor.cu", f"gather_floor<{lanes.template(first.dtype)}>")
    sizes = items, parts, lanes.heads, heads, width
    launch(instance, graph.rows, parts, aligned(first), aligned(second), out, *sizes)
    return out


def installed(peers: Iterable[str]) -> list[str]:
    """The peers that can be run here."""
    return [
        peer
        for peer in peers
        if peer not in PACKAGES or importlib.util.find_spec(PACKAGES[peer][0]) is not None
    ]


def expect_installed(peer: str) -> None:
    """Refuse to go on without a peer's package."""
    if not installed([peer]):
        package = PACKAGES[peer][1]
        raise BackendUnavailable(f"{package} is not installed; pip install {package} to compare")


@torch.no_grad()
def largest_difference(actual: Sequence[Tensor], ours: Sequence[Tensor]) -> float:
    """The largest norm of a difference between paired tensors, relative to ours; NaN is NaN."""
    differences = [
        float((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-30))
        for a, b in zip(actual, ours, strict=True)
    ]
    return math.nan if any(map(math.isnan, differences)) else max(differences)
