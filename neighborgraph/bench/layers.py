"""What the bench knows of layers: PyG's own, ours in their place, and PyG's compiled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neighborgraph.bench.peers import Function, Prepare, compiled, expect_installed
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph
from neighborgraph.nn import accelerate

CHANNELS = 128
"""Of every layer's input and output."""
ONE_HEAD = {"in_channels": CHANNELS, "out_channels": CHANNELS}
FOUR_HEADS = {"in_channels": CHANNELS, "out_channels": CHANNELS // 4, "heads": 4}
# PyG's removal of self-loops does not survive torch.compile: on an H100 with Torch 2.11 the code it
# makes reads a misaligned address, after which the GPU is lost to the process.
WITHOUT_LOOPS = {**FOUR_HEADS, "add_self_loops": False}
ARGUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "TransformerConv": lambda: FOUR_HEADS,
    "GATConv": lambda: WITHOUT_LOOPS,
    "GATv2Conv": lambda: WITHOUT_LOOPS,
    "GCNConv": lambda: ONE_HEAD,
    "SAGEConv": lambda: ONE_HEAD,
    "GraphConv": lambda: ONE_HEAD,
    "GINConv": lambda: {"nn": nn.Linear(CHANNELS, CHANNELS)},
    "LGConv": dict,
    "APPNP": lambda: {"K": 10, "alpha": 0.1},
}
"""Of PyG's constructor, by name of the layer."""
FRESH = "fresh"


@dataclass(frozen=True)
class ConvLayer:
    """One of PyG's layers, with its parameters.

    Attributes:
        name: Of PyG's class.
        fresh: Whether each run gets its edges in a new tensor, as mini-batches do, so that what a
            layer prepares from them is measured, too. Else it may be kept from run to run.
    """

    name: str
    fresh: bool

    @staticmethod
    def parse(text: str) -> "ConvLayer":
        """``GATConv``, ``GATConv+fresh``."""
        name, plus, extra = text.partition("+")
        if name not in ARGUMENTS:
            known = ", ".join(ARGUMENTS)
            raise ConfigError(
                f"unknown layer {text!r}; known are {known}{nearest(name, ARGUMENTS)}"
            )
        if plus and extra != FRESH:
            raise ConfigError(f"unknown layer {text!r}: only +{FRESH} can follow {name}")
        return ConvLayer(name, extra == FRESH)

    def __str__(self) -> str:
        return f"{self.name}+{FRESH}" if self.fresh else self.name

    is_random = False
    depth = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Heads, and channels of each."""
        heads = ARGUMENTS[self.name]().get("heads", 1)
        return heads, CHANNELS // heads

    def inputs(
        self,
        graph: Graph,
        dtype: torch.dtype,
        heads: int,
        width: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Standard normal features [m, channels], which want a gradient."""
        shape = graph.num_cols, heads * width
        x = torch.randn(shape, generator=generator, device=graph.device)
        return {"x": x.to(dtype).requires_grad_()}

    def ours(self, graph: Graph, dtype: torch.dtype) -> Function:
        """PyG's layer after `accelerate`."""
        layer = self.build(graph.device, dtype)
        accelerate(layer)
        return OnEdges(layer, graph, self.shape, fresh=self.fresh)

    def peers(self) -> dict[str, Prepare]:
        """PyG's layer as it is, and compiled as its users do."""

        def eager(graph: Graph, dtype: torch.dtype) -> Function:
            return OnEdges(self.build(graph.device, dtype), graph, self.shape, fresh=self.fresh)

        def fused(graph: Graph, dtype: torch.dtype) -> Function:
            layer = self.build(graph.device, dtype)
            # The sizes of mini-batches differ, and Torch soon compiles for any size.
            return OnEdges(compiled(layer, dynamic=self.fresh), graph, self.shape, fresh=self.fresh)

        return {"pyg": eager, "compiled": fused}

    def floor(self, graph: Graph, dtype: torch.dtype) -> None:
        """None: a layer is more than its gathers."""

    def build(self, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """PyG's layer; the same parameters every time."""
        expect_installed("pyg")
        import torch_geometric.nn as pyg

        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            layer = getattr(pyg, self.name)(**ARGUMENTS[self.name]())
        return layer.to(device, dtype)


class OnEdges(nn.Module):
    """A layer on the edges of one graph, as a function of the features."""

    def __init__(
        self, layer: nn.Module, graph: Graph, shape: tuple[int, int], *, fresh: bool = False
    ) -> None:
        """Take the edges.

        Args:
            layer: One of PyG's, ours in its place, or a model of them; it may be compiled.
            graph: Its edges are kept as users hold them, [2, e] int64.
            shape: Heads of the output, and channels of each.
            fresh: Whether each run gets its edges in a new tensor.
        """
        super().__init__()
        self.layer = layer
        self.edge_index = graph.edge_index
        self.shape = shape
        self.fresh = fresh

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output, [n, heads, channels]."""
        edge_index = self.edge_index.clone() if self.fresh else self.edge_index
        return self.layer(x, edge_index).unflatten(1, self.shape)
