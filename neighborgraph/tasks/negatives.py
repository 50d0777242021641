"""Pairs of nodes that edges are told from in training, drawn on the device."""

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from neighborgraph.graph import Graph

TRIES = 8
"""Times that a pair is drawn anew where it has an edge, before it is left as it is."""


class NegativeSampler(ABC):
    """Draws one pair for each edge of a batch, without waiting for the device."""

    def __init__(self, graph: Graph) -> None:
        """Keep what is needed.

        Args:
            graph: The training edges, in both directions, on the device of the draws.
        """
        self.num_nodes = graph.num_rows

    @abstractmethod
    def draw(self, edges: Tensor, generator: torch.Generator) -> Tensor:
        """[2, B] int64 pairs for edges [2, B]."""

    def nodes(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Nodes, uniform and independent, in the shape of ``like``."""
        size = tuple(like.shape)
        return torch.randint(self.num_nodes, size, generator=generator, device=like.device)


@final
class AnyPairs(NegativeSampler):
    """Both ends uniform."""

    def draw(self, edges: Tensor, generator: torch.Generator) -> Tensor:
        """[2, B] pairs, of which some may have an edge."""
        return self.nodes(edges, generator)


@final
class Targets(NegativeSampler):
    """The edge's source, and a target that is uniform."""

    def draw(self, edges: Tensor, generator: torch.Generator) -> Tensor:
        """[2, B] pairs, of which some may have an edge."""
        return torch.stack([edges[0], self.nodes(edges[1], generator)])


@final
class UnlinkedPairs(NegativeSampler):
    """Uniform among the pairs of two nodes without a training edge."""

    def __init__(self, graph: Graph) -> None:
        """Sort the edges, so that one can be found.

        Args:
            graph: As for every sampler.
        """
        super().__init__(graph)
        source, receiver = graph.edge_index
        self.keys = (receiver * self.num_nodes + source).sort().values

    def draw(self, edges: Tensor, generator: torch.Generator) -> Tensor:
        """[2, B] pairs; one that was linked ``TRIES`` times over stays."""
        pairs = self.nodes(edges, generator)
        for _ in range(TRIES):
            again = self.nodes(edges, generator)
            pairs = torch.where(self.linked(pairs), again, pairs)
        return pairs

    def linked(self, pairs: Tensor) -> Tensor:
        """[B] whether the ends have an edge or are the same."""
        key = pairs[1] * self.num_nodes + pairs[0]
        place = torch.searchsorted(self.keys, key).clamp(max=self.keys.numel() - 1)
        return (self.keys[place] == key) | (pairs[0] == pairs[1])


NEGATIVES: dict[str, type[NegativeSampler]] = {
    "any": AnyPairs,
    "unlinked": UnlinkedPairs,
    "targets": Targets,
}
"""The word in a recipe to the class."""
