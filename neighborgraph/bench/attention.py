"""What the bench knows of attend: its forms, their inputs, and who else computes them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import dropout, leaky_relu

from neighborgraph.bench.peers import (
    Function,
    Prepare,
    Segments,
    composed_peers,
    gather_floor,
)
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph
from neighborgraph.ops import Additive, Dot, attend
from neighborgraph.ops.attend.function import attend_backward, attend_forward
from neighborgraph.ops.attend.op import prepared

BASES = ("dot", "gat", "gatv2")
EXTRAS = ("edge", "bias", "dropout")
DROPPED = 0.1
SLOPE = 0.2
"""PyG's default below zero."""


@dataclass(frozen=True)
class Attention:
    """One form of attention.

    Attributes:
        base: ``dot`` as in TransformerConv; ``gat``, whose queries and keys are one number a head,
            as in GATConv; ``gatv2``, whose values are the keys, as in GATv2Conv.
        extras: Any of edge vectors, a bias an edge and head, and dropout.
    """

    base: str
    extras: tuple[str, ...]

    @staticmethod
    def parse(text: str) -> "Attention":
        """``dot``, ``dot+edge``, ``gatv2+edge+dropout``."""
        base, *extras = text.split("+")
        for word, known in ((base, BASES), *((extra, EXTRAS) for extra in extras)):
            if word not in known:
                raise ConfigError(
                    f"unknown score {text!r}: {word!r} is none of {', '.join(known)}"
                    f"{nearest(word, known)} (such as dot, gat, gatv2+edge+dropout)"
                )
        return Attention(base, tuple(extra for extra in EXTRAS if extra in extras))

    def __str__(self) -> str:
        return "+".join((self.base, *self.extras))

    depth = 1

    @property
    def is_random(self) -> bool:
        """Whether two libraries may give different answers."""
        return "dropout" in self.extras

    def inputs(
        self,
        graph: Graph,
        dtype: torch.dtype,
        heads: int,
        width: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Standard normal inputs by name, all of which want gradients."""
        rows, cols, edges = graph.num_rows, graph.num_cols, graph.num_edges
        key_width = 1 if self.base == "gat" else width
        shapes: dict[str, tuple[int, ...]]
        shapes = {"q": (rows, heads, key_width), "k": (cols, heads, key_width)}
        if self.base != "gatv2":
            shapes["v"] = cols, heads, width
        if "edge" in self.extras:
            shapes["edge"] = edges, heads, key_width
        if "bias" in self.extras:
            shapes["bias"] = edges, heads
        if self.base == "gatv2":
            shapes["weight"] = heads, width
        made = {
            name: torch.randn(shape, generator=generator, device=graph.device)
            for name, shape in shapes.items()
        }
        if self.base == "gatv2":
            made["weight"] /= math.sqrt(width)  # scores of about unit variance, as those of dot
        return {name: tensor.to(dtype).requires_grad_() for name, tensor in made.items()}

    def ours(self, graph: Graph, dtype: torch.dtype) -> Function:
        """`attend`."""
        p = DROPPED if self.is_random else 0.0

        def run(q, k, v=None, edge=None, bias=None, weight=None):
            score = Dot() if self.base == "dot" else Additive(weight, SLOPE)
            values = k if v is None else v
            return attend(graph, q, k, values, score=score, bias=bias, edge=edge, dropout=p)

        return run

    def peers(self) -> dict[str, Prepare]:
        """By name."""
        return composed_peers(self.compose)

    def compose(self, graph: Graph, dtype: torch.dtype, segments: Segments) -> Function:
        """Gather, softmax and scatter, as PyG's own layer of this form does.

        The gathers are ``index_select`` as in PyG's message passing: its backward is one
        ``index_add``, much faster than that of indexing with a tensor.
        """
        source, receiver = graph.edge_index
        size = graph.num_rows
        p = DROPPED if self.is_random else 0.0
        score_of = {"dot": dot_score, "gat": gat_score, "gatv2": gatv2_score}[self.base]
        edge_joins_value = self.base == "dot"

        def run(q, k, v=None, edge=None, bias=None, weight=None):
            query, key = q.index_select(0, receiver), k.index_select(0, source)
            value = (k if v is None else v).index_select(0, source)
            if edge is not None:
                key = key + edge
                value = value + edge if edge_joins_value else value
            score = score_of(query, key, weight)
            score = score if bias is None else score + bias
            share = segments.softmax(score, receiver, size)
            if p:
                share = dropout(share, p)
            return segments.reduce(value * share[..., None], receiver, size, "sum")

        return run

    def floor(self, graph: Graph, dtype: torch.dtype) -> Function:
        """Gathers the rows as wide as a head that this form must read, and nothing else."""
        names = {"dot": ("k", "v"), "gat": ("v", "v"), "gatv2": ("k", "k")}[self.base]
        return lambda **inputs: gather_floor(graph, *(inputs[name] for name in names))

    def passes(
        self, graph: Graph, inputs: Mapping[str, Tensor], grad: Tensor
    ) -> dict[str, Callable[[], Sequence[Tensor]]]:
        """The backward pass, and what it does over rows alone."""
        tensors = {name: tensor.detach() for name, tensor in inputs.items()}
        score = Dot() if self.base == "dot" else Additive(tensors.get("weight"), SLOPE)
        q, k, v, *settings = prepared(
            graph,
            tensors["q"],
            tensors["k"],
            tensors.get("v", tensors["k"]),
            score=score,
            bias=tensors.get("bias"),
            edge=tensors.get("edge"),
            dropout=DROPPED if self.is_random else 0.0,
            seed=0,
            self_loops=False,
        )
        rows, cols = graph.rows, graph.expect_cols("a backward pass")
        out, _, state = attend_forward(rows, q, k, v, *settings)
        saved = out, state, grad, None
        edge_grads = "weight" in tensors, "bias" in tensors, "edge" in tensors

        def backward(columns: bool) -> Sequence[Tensor]:
            wanted = True, columns, columns, *edge_grads
            return attend_backward(rows, cols, q, k, v, *saved, wanted, *settings)

        return {"grad q": lambda: backward(False), "backward": lambda: backward(True)}


def dot_score(query: Tensor, key: Tensor, weight: None) -> Tensor:
    """Scaled dot products [e, H]."""
    return (query * key).sum(-1) / math.sqrt(query.shape[-1])


def gat_score(query: Tensor, key: Tensor, weight: None) -> Tensor:
    """Leaky ReLU of one number a node and head, [e, H]."""
    return leaky_relu((query + key).squeeze(-1), SLOPE)


def gatv2_score(query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
    """A vector's product with the leaky ReLU of the sum, [e, H]."""
    return (leaky_relu(query + key, SLOPE) * weight).sum(-1)
