"""What the bench knows of whole models: a full-batch step of ours, and of PyG's of the same sizes.

GCN, GraphSAGE and GAT are PyG's models, whose layers `accelerate` swaps. DAGNN is ours beside a
transcription of the released code, which keeps and stacks all hops.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neighborgraph.bench.layers import OnEdges
from neighborgraph.bench.peers import Function, Prepare, compiled, expect_installed, pyg_segments
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.models import DAGNN
from neighborgraph.nn import accelerate, symmetric_scale

FEATURES, CLASSES = 128, 40
"""Of ogbn-arxiv, on every graph."""
HOPS = 16
HIDDEN = 256
THREE_LAYERS = {"num_layers": 3, "out_channels": CLASSES}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "GCN": {"hidden_channels": HIDDEN, **THREE_LAYERS},
    "GraphSAGE": {"hidden_channels": HIDDEN, **THREE_LAYERS},
    # Self-loops as in layers.py: PyG's removal of them does not survive torch.compile.
    "GAT": {"hidden_channels": 128, "heads": 4, "add_self_loops": False, **THREE_LAYERS},
    "DAGNN": {"hidden_channels": HIDDEN, "out_channels": CLASSES, "hops": HOPS},
}
"""Of the constructors, by name; without dropout, so that answers can be compared."""


@dataclass(frozen=True)
class WholeModel:
    """A model of node classes on all nodes, with its parameters.

    Attributes:
        name: Of PyG's class, or DAGNN.
    """

    name: str

    @staticmethod
    def parse(text: str) -> "WholeModel":
        """``GCN``, ``DAGNN``."""
        if text not in ARGUMENTS:
            known = ", ".join(ARGUMENTS)
            raise ConfigError(
                f"unknown model {text!r}; known are {known}{nearest(text, ARGUMENTS)}"
            )
        return WholeModel(text)

    def __str__(self) -> str:
        return self.name

    is_random = False
    depth = 3
    """Layers, whose rounding adds up."""
    shape = 1, CLASSES
    """Heads, and channels of each, of the output."""

    def inputs(
        self,
        graph: Graph,
        dtype: torch.dtype,
        heads: int,
        width: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Standard normal features, which want no gradient."""
        shape = graph.num_cols, FEATURES
        return {"x": torch.randn(shape, generator=generator, device=graph.device).to(dtype)}

    def ours(self, graph: Graph, dtype: torch.dtype) -> Function:
        """DAGNN, or PyG's model after `accelerate`."""
        model = self.build(graph.device, dtype)
        if isinstance(model, DAGNN):
            return OnGraph(model, add_self_loops(graph))
        accelerate(model)
        return OnEdges(model, graph, self.shape)

    def peers(self) -> dict[str, Prepare]:
        """PyG's model as it is, and compiled as its users do."""

        def eager(graph: Graph, dtype: torch.dtype) -> Function:
            return self.theirs(graph, dtype)

        def fused(graph: Graph, dtype: torch.dtype) -> Function:
            return compiled(self.theirs(graph, dtype))

        return {"pyg": eager, "compiled": fused}

    def floor(self, graph: Graph, dtype: torch.dtype) -> None:
        """None: a model is more than its gathers."""

    def theirs(self, graph: Graph, dtype: torch.dtype) -> nn.Module:
        """PyG's model, or the released DAGNN, with the same parameters as ours."""
        model = self.build(graph.device, dtype)
        if isinstance(model, DAGNN):
            return StackedDAGNN(model, add_self_loops(graph))
        return OnEdges(model, graph, self.shape)

    def build(self, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """The model; the same parameters every time."""
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            kind = DAGNN if self.name == "DAGNN" else pyg_model(self.name)
            model = kind(in_channels=FEATURES, dropout=0.0, **ARGUMENTS[self.name])
        return model.to(device, dtype)


def pyg_model(name: str) -> Any:
    """A class of PyG's models."""
    expect_installed("pyg")
    # Imported here: PyG takes seconds, and only a benchmark needs it.
    return getattr(importlib.import_module("torch_geometric.nn"), name)


class OnGraph(nn.Module):
    """One of our models on one graph, as a function of the features."""

    def __init__(self, model: nn.Module, graph: Graph) -> None:
        """Take the graph, which has the self-loops that it should have."""
        super().__init__()
        self.model = model
        self.graph = graph

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, [n, 1, classes]."""
        return self.model(x, self.graph).unsqueeze(1)


class StackedDAGNN(nn.Module):
    """DAGNN as it was released: PyG's message passing, and all hops in one stack.

    https://github.com/divelab/DeeperGNN
    """

    def __init__(self, ours: DAGNN, graph: Graph) -> None:
        """Take the parameters of our model, and keep the normalised edges."""
        super().__init__()
        self.ours = ours
        self.source, self.receiver = graph.edge_index
        scale = symmetric_scale(graph, next(ours.parameters()).dtype)
        self.norm = (scale[self.source] * scale[self.receiver])[:, None]
        self.reduce = pyg_segments().reduce

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, [n, 1, classes]."""
        hops = [self.ours.transform(x)]
        for _ in range(self.ours.gate.hops):
            message = self.norm * hops[-1].index_select(0, self.source)
            hops.append(self.reduce(message, self.receiver, len(x), "sum"))
        stack = torch.stack(hops, dim=1)
        score = self.ours.gate.score(stack).sigmoid()
        return score.transpose(1, 2) @ stack
