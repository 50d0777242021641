"""PyG's sampler interface over our operators."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)
from torch_geometric.sampler.base import NumNeighbors, SubgraphType
from torch_geometric.utils import coalesce

from neighborgraph.checks import expect_dtype, nearest
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph.structure import expect_ids
from neighborgraph.loader.links import Links, Negatives, link_seeds
from neighborgraph.loader.network import Network
from neighborgraph.loader.walk import HOMOGENEOUS, NODE, EdgeType, Nodes, Rules, Subgraph, walk
from neighborgraph.ops.sample.op import MAX_HOP, expect_count, signed

STRATEGIES = ("uniform", "last")
TEMPORAL_RULES = ("before", "until")
MAX_EDGES = 10**9
"""More edges in one batch are taken for a mistake."""


class NeighborSampler(BaseSampler):
    """Samples the neighbourhoods of nodes and links; `NeighborLoader` explains the arguments.

    The random numbers of a batch follow from ``seed``, the epoch and the nodes alone.
    """

    def __init__(
        self,
        data: Any,
        num_neighbors: NumNeighbors | list[int] | dict[EdgeType, list[int]],
        subgraph_type: SubgraphType | str = "directional",
        replace: bool = False,
        disjoint: bool = False,
        temporal_strategy: str = "uniform",
        time_attr: str | None = None,
        weight_attr: str | None = None,
        is_sorted: bool = False,
        share_memory: bool = False,
        directed: bool = True,
        *,
        seed: int | None = None,
        temporal_rule: str = "before",
    ) -> None:
        if not directed:
            warnings.warn(
                "directed=False is deprecated; use subgraph_type='induced' instead", stacklevel=2
            )
            subgraph_type = SubgraphType.induced
        expect_one_of("temporal_strategy", temporal_strategy, STRATEGIES)
        expect_one_of("temporal_rule", temporal_rule, TEMPORAL_RULES)
        self.subgraph_type = SubgraphType(subgraph_type)
        self.seed = int(torch.randint(2**63 - 1, ())) if seed is None else signed(seed)
        self.network = Network.of(data, time_attr, weight_attr, replace=replace)
        self.is_temporal = self.network.time_dtype is not None
        self.rules = Rules(
            replace=replace,
            disjoint=disjoint or self.is_temporal,
            last=self.is_temporal and temporal_strategy == "last",
            inclusive=temporal_rule == "until",
            induced=self.subgraph_type == SubgraphType.induced,
        )
        self.num_neighbors = as_num_neighbors(num_neighbors)
        self.counts = counts_of(self.num_neighbors, self.network)

    def sample_from_nodes(
        self, index: NodeSamplerInput, epoch: int = 0
    ) -> SamplerOutput | HeteroSamplerOutput:
        """The neighbourhood of nodes in one pass over them."""
        kind = NODE if index.input_type is None else index.input_type
        until = index.time
        if until is not None:
            until = self.network.expect_time("input_time", until)
        found = self.walk_from({kind: self.seeds(kind, index.node, until)}, epoch)
        return self.output(found, None, (index.input_id, index.time))

    def sample_from_edges(
        self,
        index: EdgeSamplerInput,
        neg_sampling: NegativeSampling | Negatives | None = None,
        epoch: int = 0,
    ) -> SamplerOutput | HeteroSamplerOutput:
        """The neighbourhood of links, and of links that are none, in one pass over them."""
        if isinstance(neg_sampling, NegativeSampling):
            neg_sampling = self.negatives(neg_sampling, index.input_type)
        until = index.time
        if until is not None:
            until = self.network.expect_time("edge_label_time", until)
        links = link_seeds(
            index, until, neg_sampling, self.rules, self.seed, epoch, self.network.device
        )
        seeds = {
            kind: self.seeds(kind, node, links.until.get(kind), links.tree.get(kind))
            for kind, node in links.node.items()
        }
        found = self.walk_from(seeds, epoch)
        return self.output(found, links, links.metadata)

    def negatives(self, neg_sampling: NegativeSampling, input_type: EdgeType | None) -> Negatives:
        """What to draw ends of negative links from."""
        kind = HOMOGENEOUS if input_type is None else input_type
        return Negatives.of(neg_sampling, self.network, kind)

    @property
    def edge_permutation(self) -> None:
        """None: edges have the caller's numbers."""
        return None

    def seeds(
        self, kind: str, node: Tensor, until: Tensor | None, tree: Tensor | None = None
    ) -> Nodes:
        """Seeds of one type; refuses one that the graph does not have."""
        expect_dtype("seeds", node, (torch.int64, torch.int32))
        expect_ids("seeds", node, self.network.num_nodes[kind], "number of nodes")
        node = node.to(self.network.device, torch.int64)
        if self.is_temporal and until is None:
            if kind not in self.network.node_time:
                raise InputError(
                    f"seeds of type {kind!r} have no times of their own; give them input_time"
                )
            until = self.network.node_time[kind][node]
        if tree is None and self.rules.disjoint:
            tree = torch.arange(node.numel(), device=node.device)
        return Nodes(node, self.network.num_nodes[kind], tree, until)

    def walk_from(self, seeds: Mapping[str, Nodes], epoch: int) -> Subgraph:
        """The subgraph around seeds; types without seeds begin empty."""
        nothing = next(iter(seeds.values()))
        everything = {
            kind: seeds.get(kind) or emptied(nothing, size)
            for kind, size in self.network.num_nodes.items()
        }
        return walk(self.network.relations, everything, self.counts, self.rules, self.seed, epoch)

    def output(
        self, found: Subgraph, links: Links | None, metadata: Any
    ) -> SamplerOutput | HeteroSamplerOutput:
        """What PyG's loaders read."""
        fields: dict[str, Any] = {"node": {k: nodes.node for k, nodes in found.nodes.items()}}
        for name in ("row", "col", "edge"):
            parts = getattr(found, name)
            fields[name] = {
                kind: joined(parts.get(kind), self.network.device)
                for kind in self.network.relations
            }
        if self.rules.disjoint:
            fields["batch"] = {kind: nodes.tree for kind, nodes in found.nodes.items()}
            if links is not None:
                fields["batch"] = {k: links.label_of[t] for k, t in fields["batch"].items()}
        if not self.rules.induced:
            no_hops = {kind: [] for kind in self.network.relations}
            fields["num_sampled_nodes"] = found.nodes_per_hop
            fields["num_sampled_edges"] = {**no_hops, **found.edges_per_hop}
        if self.network.is_hetero:
            out = HeteroSamplerOutput(**fields, metadata=metadata)
        else:
            one = {name: next(iter(by_type.values())) for name, by_type in fields.items()}
            out = SamplerOutput(**one, metadata=metadata)
        return both_ways(out) if self.subgraph_type == SubgraphType.bidirectional else out

    def expect_bounded(self, batch_size: int) -> None:
        """Refuse numbers of neighbours that multiply to more edges than a batch can hold.

        Raises:
            InputError: Names the estimate.
        """
        edges = sum(len(r.population.idx) for r in self.network.relations.values())
        frontier, estimate = batch_size, 0
        for counts in zip(*self.counts.values(), strict=True):
            drawn = sum(
                edges if count == -1 else min(frontier, MAX_EDGES) * count for count in counts
            )
            # A node is expanded once, unless every seed has a tree of its own.
            if not self.rules.replace:
                drawn = min(drawn, edges * (batch_size if self.rules.disjoint else 1))
            frontier, estimate = drawn, estimate + drawn
        if estimate > MAX_EDGES and not (self.rules.disjoint and self.has_all()):
            raise InputError(
                f"num_neighbors and batch_size = {batch_size} ask for up to {estimate:.2g} edges "
                f"in a batch, more than {MAX_EDGES:.0e}; ask for fewer"
            )

    def has_all(self) -> bool:
        """Whether some hop takes all neighbours, so that degrees decide."""
        return any(-1 in counts for counts in self.counts.values())


def both_ways(out: SamplerOutput | HeteroSamplerOutput) -> SamplerOutput | HeteroSamplerOutput:
    """The sampled edges and their reverses, each once.

    Of several edges between two nodes, the one of the lowest number gives the number. PyG's own
    takes any of them, on a GPU not always the same.
    """
    made = out.to_bidirectional()
    if isinstance(out, SamplerOutput):
        assert out.edge is not None  # our sampler always gives numbers
        ends = torch.stack([torch.cat([out.row, out.col]), torch.cat([out.col, out.row])])
        edge = torch.cat([out.edge, out.edge])
        _, made.edge = coalesce(ends, edge, reduce="min", sort_by_row=False)
    return made


def as_num_neighbors(value: Any) -> NumNeighbors:
    """PyG's form of neighbours per hop, which its models read."""
    if isinstance(value, NumNeighbors):
        return value
    if isinstance(value, Tensor) or not isinstance(value, Iterable):
        raise DtypeError(f"num_neighbors must be a list of ints, got {value!r}")
    return NumNeighbors(value if isinstance(value, dict) else list(value))


def counts_of(num_neighbors: NumNeighbors, network: Network) -> dict[EdgeType, list[int]]:
    """Neighbours per hop, by edge type."""
    counts: Any = num_neighbors.get_values(list(network.relations) if network.is_hetero else None)
    if not network.is_hetero:
        counts = {HOMOGENEOUS: counts}
    for kind, hops in counts.items():
        for hop, count in enumerate(hops):
            expect_count(f"num_neighbors[{hop}]", count)
        if not 1 <= len(hops) <= MAX_HOP and len(network.relations[kind].population.idx):
            raise InputError(f"num_neighbors has {len(hops)} hops, it must have 1 to {MAX_HOP}")
    return counts


def emptied(nodes: Nodes, size: int) -> Nodes:
    """No nodes of another type, with the same fields."""
    tree, until = (None if t is None else t[:0] for t in (nodes.tree, nodes.until))
    return Nodes(nodes.node[:0], size, tree, until)


def joined(parts: list[Tensor] | None, device: torch.device) -> Tensor:
    """All hops in one tensor."""
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64, device=device)


def expect_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse an unknown choice."""
    if value not in known:
        raise InputError(
            f"{name} = {value!r} must be one of {', '.join(known)}{nearest(str(value), known)}"
        )
