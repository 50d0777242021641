"""From seeds to a subgraph, hop by hop, over one or many types of nodes and edges.

Node types and edge types are any keys; a homogeneous graph has the one edge type
``HOMOGENEOUS``. Everything stays on the device of the graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from neighborgraph.ops.sample import Draw, Population, Sample
from neighborgraph.ops.sample.op import draw_trusted, sample_relabel

EdgeType = tuple[Any, Any, Any]
"""Type of the sources, name of the relation, type of the receivers."""
NODE = "node"
HOMOGENEOUS: EdgeType = (NODE, "to", NODE)

PAIR_BITS = 31


@dataclass(frozen=True)
class Relation:
    """The edges of one type.

    Attributes:
        population: What receivers draw from.
        time: Optional [e] int64 from `ordered`, the edges' times in the caller's order.
    """

    population: Population
    time: Tensor | None = None


@dataclass(frozen=True)
class Rules:
    """How neighbours are drawn; of times, see `neighborgraph.loader.NeighborLoader`."""

    replace: bool = False
    disjoint: bool = False
    last: bool = False
    inclusive: bool = False
    induced: bool = False


@dataclass(frozen=True)
class Nodes:
    """Nodes of one type, numbered by their place.

    A node is there once; with ``tree``, once in the tree of each seed; with ``until``, once for
    each time at which its neighbours are looked at.
    """

    node: Tensor
    """[k] int64."""
    num_nodes: int
    """How many nodes of the type there are in the graph."""
    tree: Tensor | None = None
    """[k] int64, the seed's number."""
    until: Tensor | None = None
    """[k] int64, see `sample_neighbors`."""

    def merged(
        self, node: Tensor, tree: Tensor | None, until: Tensor | None
    ) -> tuple["Nodes", Tensor]:
        """These and the new ones among those given, and the numbers of those given."""
        if self.tree is None or tree is None:
            nodes, local = sample_relabel(self.node, node)
            return Nodes(nodes, self.num_nodes), local
        known = self.tree * self.num_nodes + self.node
        found = tree * self.num_nodes + node
        if until is not None:
            known, found = pairs((known, self.until), (found, until))
        size = known.shape[0]
        keys, local = sample_relabel(known, found)
        place = torch.arange(found.shape[0], device=found.device)
        first = place.new_empty(keys.shape[0]).fill_(found.shape[0])
        first = first.scatter_reduce(0, local, place, "amin")[size:]

        def joined(old: Tensor | None, new: Tensor | None) -> Tensor | None:
            return None if old is None or new is None else torch.cat([old, new[first]])

        merged = torch.cat([self.node, node[first]])
        return (
            Nodes(merged, self.num_nodes, joined(self.tree, tree), joined(self.until, until)),
            local,
        )


def pairs(*halves: tuple[Tensor, Tensor | None]) -> list[Tensor]:
    """One number for each pair of numbers, equal where both are."""
    numbered = []
    for half in zip(*halves, strict=True):
        values = torch.cat(half)
        numbered.append(sample_relabel(values[:0], values)[1])
    pair = (numbered[0] << PAIR_BITS) | numbered[1]
    return list(pair.split([half[0].shape[0] for half in halves]))


@dataclass
class Subgraph:
    """What was sampled, by type; filled hop by hop."""

    nodes: dict[Any, Nodes]
    row: dict[EdgeType, list[Tensor]] = field(default_factory=dict)
    """Numbers of sources."""
    col: dict[EdgeType, list[Tensor]] = field(default_factory=dict)
    """Numbers of receivers."""
    edge: dict[EdgeType, list[Tensor]] = field(default_factory=dict)
    """The caller's numbers of edges."""
    nodes_per_hop: dict[Any, list[int]] = field(default_factory=dict)
    edges_per_hop: dict[EdgeType, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, nodes in self.nodes.items():
            self.nodes_per_hop[kind] = [nodes.node.shape[0]]

    def add(self, kind: EdgeType, row: Tensor, col: Tensor, edge: Tensor) -> None:
        """Edges of one hop."""
        self.row.setdefault(kind, []).append(row)
        self.col.setdefault(kind, []).append(col)
        self.edge.setdefault(kind, []).append(edge)
        self.edges_per_hop.setdefault(kind, []).append(row.shape[0])


def walk(
    relations: Mapping[EdgeType, Relation],
    seeds: Mapping[Any, Nodes],
    counts: Mapping[EdgeType, Sequence[int]],
    rules: Rules,
    seed: int,
    epoch: int,
) -> Subgraph:
    """Sample the neighbourhood of seeds.

    Args:
        relations: Edges by type; their order decides that of new nodes.
        seeds: Nodes to begin with for every type of nodes, maybe none. Repeated seeds keep a place
            each; an edge leads to the first.
        counts: Neighbours per hop by edge type.
        rules: How they are drawn.
        seed: Seed of the random numbers.
        epoch: Which pass over the seeds this is.

    Returns:
        Nodes, seeds first, then hop by hop in order of appearance; and edges, hop by hop.
    """
    found = Subgraph(dict(seeds))
    begin = dict.fromkeys(seeds, 0)
    for hop in range(max(map(len, counts.values()), default=0)):
        end = {kind: nodes.node.shape[0] for kind, nodes in found.nodes.items()}
        for number, (kind, relation) in enumerate(relations.items()):
            span = slice(begin[kind[2]], end[kind[2]])
            draw = Draw(seed, epoch, hop, number)
            step(found, kind, relation, span, counts[kind][hop], rules, draw)
        for kind, nodes in found.nodes.items():
            found.nodes_per_hop[kind].append(nodes.node.shape[0] - end[kind])
        begin = end
    return induced(found, relations, rules) if rules.induced else found


def step(
    found: Subgraph,
    kind: EdgeType,
    relation: Relation,
    span: slice,
    count: int,
    rules: Rules,
    draw: Draw,
) -> None:
    """Let the receivers at ``span`` draw, and add what is new."""
    sources, receivers = found.nodes[kind[0]], found.nodes[kind[2]]
    if span.start == span.stop or count == 0:
        nothing = receivers.node[:0]
        found.add(kind, nothing, nothing, nothing)
        return
    sample = drawn_by(receivers, span, relation, count, rules, draw)
    found.nodes[kind[0]], row = sources.merged(
        sample.source, *carried(receivers, span, relation, rules, sample)
    )
    found.add(kind, row, sample.receiver + span.start, sample.edge)


def drawn_by(
    receivers: Nodes, span: slice, relation: Relation, count: int, rules: Rules, draw: Draw
) -> Sample:
    """What the receivers at ``span`` draw."""
    until = None if receivers.until is None else receivers.until[span]
    return draw_trusted(
        relation.population,
        receivers.node[span],
        count,
        draw,
        until=None if relation.time is None else until,
        replace=rules.replace,
        last=rules.last,
        inclusive=rules.inclusive,
    )


def carried(
    receivers: Nodes, span: slice, relation: Relation, rules: Rules, sample: Sample
) -> tuple[Tensor | None, Tensor | None]:
    """Tree and time that pass from receivers to the neighbours they drew.

    An edge looks back from its own time. It does not where times up to the seed's are allowed.
    """
    if receivers.tree is None:
        return None, None
    tree, until = receivers.tree[span][sample.receiver], None
    if receivers.until is not None:
        until = receivers.until[span][sample.receiver]
        if relation.time is not None and not rules.inclusive:
            until = relation.time[sample.edge]
    return tree, until


def induced(found: Subgraph, relations: Mapping[EdgeType, Relation], rules: Rules) -> Subgraph:
    """The same nodes with all edges between them that their times allow."""
    whole = Subgraph(found.nodes)
    all_of_them = Rules(inclusive=rules.inclusive)
    for kind, relation in relations.items():
        sources, receivers = found.nodes[kind[0]], found.nodes[kind[2]]
        span = slice(0, receivers.node.shape[0])
        sample = drawn_by(receivers, span, relation, -1, all_of_them, Draw(0))
        _, row = sources.merged(sample.source, *carried(receivers, span, relation, rules, sample))
        inside = row < sources.node.shape[0]
        whole.add(kind, row[inside], sample.receiver[inside], sample.edge[inside])
    return whole
