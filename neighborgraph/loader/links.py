"""Links as seeds: their two ends, the ends of negative links, and where they are found again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.loader.network import Network
from neighborgraph.loader.walk import HOMOGENEOUS, EdgeType, Rules
from neighborgraph.ops.sample import Draw, Population, sample_neighbors


@dataclass(frozen=True)
class Negatives:
    """What ends of negative links are drawn from: one row each with all nodes of the type.

    Attributes:
        is_triplet: Whether positive sources get negative destinations, and no labels.
        amount: Negative links for one positive.
        ends: Sources and destinations.
        relation: The number of their random numbers, beyond those of the graph's relations.
    """

    is_triplet: bool
    amount: float
    ends: tuple[Population, Population]
    relation: int

    @classmethod
    def of(cls, config: NegativeSampling, network: Network, kind: EdgeType) -> "Negatives":
        """Prepare PyG's configuration for links of one type.

        Raises:
            InputError: A weight is none, all are zero, or there are no nodes.
        """
        weights = config.src_weight, config.dst_weight
        ends = [
            everyone(network, node_type, weight)
            for node_type, weight in zip((kind[0], kind[2]), weights, strict=True)
        ]
        return cls(config.is_triplet(), config.amount, (ends[0], ends[1]), len(network.relations))

    def count(self, positives: int) -> int:
        """Number of negative links."""
        return math.ceil(positives * self.amount)

    def draw(
        self, end: int, link: Tensor, until: Tensor | None, rules: Rules, seed: int, epoch: int
    ) -> Tensor:
        """Negative sources (0) or destinations (1) for links; number i belongs to link i mod B.

        Of nodes with times only those are drawn that there are by then, or the first of all.
        """
        population, each = self.ends[end], math.ceil(self.amount)
        until = None if until is None or population.time is None else until
        sample = sample_neighbors(
            population,
            torch.zeros_like(link),
            each,
            Draw(seed, epoch, 0, self.relation + end),
            key=link % 2**32,
            until=until,
            replace=True,
            inclusive=rules.inclusive,
        )
        drawn = population.idx[0].long().expand(link.numel(), each).clone()
        served = torch.zeros_like(link, dtype=torch.bool)
        served[sample.receiver] = True
        drawn[served] = sample.source.view(-1, each)
        return drawn.t().reshape(-1)[: self.count(link.numel())]


def everyone(network: Network, kind: str, weight: Tensor | None) -> Population:
    """All nodes of a type in one row."""
    size = network.num_nodes[kind]
    if size == 0:
        raise InputError(
            f"no negative can be drawn from the nodes of type {kind!r}: there are none"
        )
    node = torch.arange(size, device=network.device)
    graph = Graph.from_trusted_edge_index(
        torch.stack([node, torch.zeros_like(node)]), (size, 1), transpose=False
    )
    if weight is not None:
        weight = weight.to(network.device)
    time = network.node_time.get(kind)
    population = Population.of(graph, weight=weight, time=time)
    if population.idx.numel() == 0:
        raise InputError(f"no negative can be drawn from nodes of type {kind!r}: all weights are 0")
    return population


@dataclass(frozen=True)
class Links:
    """Seeds of a batch of links, by type of nodes.

    Attributes:
        node: [k] int64 seeds.
        tree: [k] int64, which tree a seed begins, where trees are disjoint.
        until: [k] int64 times, where there are any.
        label_of: [trees] int64, the link that a tree belongs to.
        metadata: What PyG's loader hands on: numbers of the links, where their ends are among the
            seeds, labels, times.
    """

    node: Mapping[str, Tensor]
    tree: Mapping[str, Tensor]
    until: Mapping[str, Tensor]
    label_of: Tensor
    metadata: tuple[Any, ...]


def link_seeds(
    links: EdgeSamplerInput,
    until: Tensor | None,
    negatives: Negatives | None,
    rules: Rules,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Links:
    """The seeds of a batch of B links, as PyG lays them out.

    Sources come first, positives before negatives, then destinations; a negative number i belongs
    to link i mod B. Where trees are not disjoint, each seed is there once, in ascending order.
    """
    kind = HOMOGENEOUS if links.input_type is None else links.input_type
    ends = [links.row.to(device, torch.int64), links.col.to(device, torch.int64)]
    size = ends[0].numel()
    number = torch.arange(size) if links.input_id is None else links.input_id
    if negatives is not None and size:
        for end in (1,) if negatives.is_triplet else (0, 1):
            drawn = negatives.draw(end, number.to(device), until, rules, seed, epoch)
            ends[end] = torch.cat([ends[end], drawn])
    link = [torch.arange(end.numel(), device=device) % max(size, 1) for end in ends]

    if kind[0] == kind[2]:
        node, owner = {kind[0]: torch.cat(ends)}, {kind[0]: torch.cat(link)}
    else:
        node = dict(zip((kind[0], kind[2]), ends, strict=True))
        owner = dict(zip((kind[0], kind[2]), link, strict=True))
    place = {key: torch.arange(seeds.numel(), device=device) for key, seeds in node.items()}
    tree = {}
    if rules.disjoint:
        offset = 0
        for key, seeds in node.items():
            tree[key], offset = place[key] + offset, offset + seeds.numel()
    else:
        for key, seeds in node.items():
            node[key], place[key] = seeds.unique(return_inverse=True)

    source, destination = place[kind[0]][: ends[0].numel()], place[kind[2]][-ends[1].numel() :]
    times = links.time
    if negatives is not None and negatives.is_triplet:
        negative = destination[size:].view(-1, size).t().squeeze(-1)
        metadata = (links.input_id, source, destination[:size], negative, times)
    else:
        label = links.label
        if negatives is not None:
            label = torch.ones(size) if label is None else label
            label = torch.cat([label, label.new_zeros(ends[0].numel() - size, *label.shape[1:])])
            times = None if times is None else times[link[0].to(times.device)]
        label = None if label is None else label.to(device)
        metadata = (links.input_id, torch.stack([source, destination]), label, times)
    return Links(
        node,
        tree,
        {} if until is None else {key: until[owner[key]] for key in node},
        torch.cat(list(owner.values())),
        metadata,
    )
