"""LinkDataset: one graph, edges to learn from, and edges held out among pairs without one."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from neighborgraph.checks import expect_dtype, expect_shape
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, to_undirected
from neighborgraph.graph.structure import expect_ids


@dataclass(frozen=True, eq=False)
class HeldOut(ABC):
    """Edges that a model has not seen, and pairs without an edge that it should score lower.

    Attributes:
        edges: [2, P] int64.
        negatives: int64; of the shape that the kind has.
    """

    edges: Tensor
    negatives: Tensor

    @property
    @abstractmethod
    def metric(self) -> str:
        """The metric's name, as OGB spells it."""

    @property
    @abstractmethod
    def shape_of_scores(self) -> tuple[int, ...]:
        """The shape of the negatives' scores: [Q] or [P, R]."""

    @property
    def num_negatives(self) -> int:
        """Pairs in all."""
        return math.prod(self.shape_of_scores)

    @abstractmethod
    def pairs(self, first: int, end: int) -> Tensor:
        """[2, end - first] the negative pairs at these places, counted row by row."""

    @abstractmethod
    def check(self, part: str, num_nodes: int) -> None:
        """Refuse what does not fit together."""


@dataclass(frozen=True, eq=False)
class SharedNegatives(HeldOut):
    """Every edge is ranked among the same negatives, which are pairs [2, Q].

    Attributes:
        k: Of Hits@K: an edge counts if fewer than K negatives score as high as it.
    """

    k: int

    @property
    def metric(self) -> str:
        """Hits@K."""
        return f"hits@{self.k}"

    @property
    def shape_of_scores(self) -> tuple[int, ...]:
        """[Q]."""
        return (self.negatives.shape[1],)

    def pairs(self, first: int, end: int) -> Tensor:
        """Columns of the negatives."""
        return self.negatives[:, first:end]

    def check(self, part: str, num_nodes: int) -> None:
        """Refuse pairs of another shape or range, and fewer than K."""
        expect_shape(f"{part} negatives", self.negatives, (2, "Q"))
        expect_ids(f"{part} negatives", self.negatives.flatten(), num_nodes, "num_nodes")
        if self.negatives.shape[1] < self.k:
            raise InputError(
                f"the {part} split has {self.negatives.shape[1]} negatives, but Hits@{self.k} "
                f"needs at least {self.k}"
            )


@dataclass(frozen=True, eq=False)
class OwnNegatives(HeldOut):
    """An edge is ranked among R targets of its own for the same source, [P, R]."""

    @property
    def metric(self) -> str:
        """Mean reciprocal rank."""
        return "mrr"

    @property
    def shape_of_scores(self) -> tuple[int, ...]:
        """[P, R]."""
        return tuple(self.negatives.shape)

    def pairs(self, first: int, end: int) -> Tensor:
        """Each source beside each of its targets."""
        width = self.negatives.shape[1]
        place = torch.arange(first, end, device=self.edges.device)
        source = self.edges[0, place.div(width, rounding_mode="floor")]
        return torch.stack([source, self.negatives.flatten()[first:end]])

    def check(self, part: str, num_nodes: int) -> None:
        """Refuse targets of another shape or range."""
        expect_shape(f"{part} negatives", self.negatives, (self.edges.shape[1], "R"))
        if self.negatives.numel() == 0:
            raise InputError(f"the {part} split has no negatives")
        expect_ids(f"{part} negatives", self.negatives.flatten(), num_nodes, "num_nodes")


@dataclass(frozen=True, eq=False)
class LinkDataset:
    """A data set of link prediction, checked at birth.

    Attributes:
        name: The name on the command line.
        graph: The training edges, undirected, every pair once in each direction, without
            self-loops; a pair that has several edges has the sum of their weights.
        x: [n, F] float32 features as published; None where the nodes have none.
        train: [2, T] int64 edges to learn from, as published; pairs may repeat.
        val: Edges that select.
        test: Edges that judge.
        source: Where the data came from, for the reader of a record.
        official: The publisher's own evaluator of the scores of edges [P] and of negatives, [Q] or
            [P, R], which has the last word on a finished training; None where there is none.
        validation_input: Whether the publisher allows validation edges as input when the test is
            judged.
    """

    name: str
    graph: Graph
    x: Tensor | None
    train: Tensor
    val: HeldOut
    test: HeldOut
    source: str
    official: Callable[[Tensor, Tensor], float] | None = None
    validation_input: bool = False

    def __post_init__(self) -> None:
        try:
            self.check()
        except (InputError, ValueError, TypeError) as error:
            raise InputError(f"data set {self.name}: {error}") from error

    def check(self) -> None:
        """Refuse what does not fit together."""
        nodes = self.graph.num_rows
        if self.x is not None:
            expect_shape("x", self.x, (nodes, "F"))
            bad = (~self.x.isfinite()).nonzero()
            if bad.numel():
                raise InputError(
                    f"{len(bad)} features are NaN or infinite, the first at node "
                    f"{int(bad[0, 0])}, column {int(bad[0, 1])}"
                )
        parts = {"train": self.train, "val": self.val.edges, "test": self.test.edges}
        for part, edges in parts.items():
            expect_dtype(f"{part} edges", edges, (torch.int64,))
            expect_shape(f"{part} edges", edges, (2, "P"))
            if edges.shape[1] == 0:
                raise InputError(f"the {part} split is empty")
            expect_ids(f"{part} edges", edges.flatten(), nodes, "num_nodes")
        for part, held in (("val", self.val), ("test", self.test)):
            expect_dtype(f"{part} negatives", held.negatives, (torch.int64,))
            held.check(part, nodes)
        if self.val.metric != self.test.metric:
            raise InputError(
                f"the val split is judged by {self.val.metric}, the test split by "
                f"{self.test.metric}"
            )

    @property
    def graph_with_validation(self) -> Graph:
        """The graph with the validation edges added, each of weight 1."""
        edges = torch.cat([self.graph.edge_index, without_loops(self.val.edges)], dim=1)
        # A pair that is in both directions already must not be counted twice.
        weight = None
        if self.graph.weight is not None:
            known = self.graph.weight / 2
            weight = torch.cat([known, known.new_ones(edges.shape[1] - known.numel())])
        return to_undirected(Graph.from_edge_index(edges, self.graph.num_rows, weight=weight))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over edges, features and splits: tells two versions of a data set apart."""
        tensors = [self.graph.edge_index, self.train, self.val.edges, self.val.negatives]
        tensors += [self.test.edges, self.test.negatives]
        tensors += [each for each in (self.graph.weight, self.x) if each is not None]
        digest = hashlib.sha256()
        for tensor in tensors:
            digest.update(str(list(tensor.shape)).encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def without_loops(edges: Tensor) -> Tensor:
    """The edges [2, m] that join two nodes."""
    return edges[:, edges[0] != edges[1]]
