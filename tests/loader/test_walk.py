"""Walks by hand, and over time against a search that looks at every path."""

from typing import Any

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.loader.walk import (
    HOMOGENEOUS,
    NODE,
    Nodes,
    Relation,
    Rules,
    Subgraph,
    pairs,
    walk,
)
from neighborgraph.ops.sample import Population

PATH = [(1, 0), (2, 1), (3, 2), (2, 0), (0, 0)]


def relation(
    edges: list[tuple[int, int]], num_nodes: int, time: list[int] | None = None
) -> Relation:
    edge_index = torch.tensor(edges).view(-1, 2).t()
    graph = Graph.from_edge_index(edge_index, num_nodes, transpose=False)
    times = None if time is None else torch.tensor(time, dtype=torch.int64)
    return Relation(Population.of(graph, time=times), times)


def walked(
    relation: Relation, nodes: Nodes, counts: list[int], rules: Rules, seed: int = 0
) -> Subgraph:
    return walk({HOMOGENEOUS: relation}, {NODE: nodes}, {HOMOGENEOUS: counts}, rules, seed, 0)


def edges_of(found: Subgraph) -> list[tuple[int, int, int]]:
    columns = (torch.cat(part[HOMOGENEOUS]).tolist() for part in (found.row, found.col, found.edge))
    return list(zip(*columns, strict=True))


def test_by_hand() -> None:
    found = walked(relation(PATH, 5), Nodes(torch.tensor([0, 4]), 5), [-1, -1], Rules())
    assert found.nodes[NODE].node.tolist() == [0, 4, 1, 2, 3]
    assert edges_of(found) == [(2, 0, 0), (3, 0, 3), (0, 0, 4), (3, 2, 1), (4, 3, 2)]
    assert found.nodes_per_hop[NODE] == [2, 2, 1]
    assert found.edges_per_hop[HOMOGENEOUS] == [3, 2]


def test_repeated_seeds_keep_their_places() -> None:
    found = walked(relation(PATH, 5), Nodes(torch.tensor([1, 1, 2]), 5), [-1], Rules())
    assert found.nodes[NODE].node.tolist() == [1, 1, 2, 3]
    assert edges_of(found) == [(2, 0, 1), (2, 1, 1), (3, 2, 2)]


def test_disjoint_trees() -> None:
    seeds = Nodes(torch.tensor([1, 0]), 5, tree=torch.arange(2))
    found = walked(relation(PATH, 5), seeds, [-1, -1], Rules(disjoint=True))
    nodes: Any = found.nodes[NODE]
    assert nodes.node.tolist() == [1, 0, 2, 1, 2, 3, 3]
    assert nodes.tree.tolist() == [0, 1, 0, 1, 1, 0, 1]
    assert found.edges_per_hop[HOMOGENEOUS] == [4, 3]
    row, col, _ = torch.tensor(edges_of(found)).unbind(1)
    assert torch.equal(nodes.tree[row], nodes.tree[col])


def test_induced_by_hand() -> None:
    found = walked(relation(PATH, 5), Nodes(torch.tensor([2, 0]), 5), [1], Rules(induced=True))
    nodes = found.nodes[NODE].node
    inside = {i for i, (j, k) in enumerate(PATH) if {j, k} <= set(nodes.tolist())}
    assert {edge for *_, edge in edges_of(found)} == inside
    for row, col, edge in edges_of(found):
        assert (int(nodes[row]), int(nodes[col])) == PATH[edge]


def test_no_seeds_and_no_neighbours() -> None:
    nothing = walked(
        relation(PATH, 5), Nodes(torch.empty(0, dtype=torch.int64), 5), [2, 2], Rules()
    )
    assert nothing.nodes_per_hop[NODE] == [0, 0, 0]
    isolated = walked(relation(PATH, 5), Nodes(torch.tensor([4, 3]), 5), [2, 2], Rules())
    assert isolated.nodes[NODE].node.tolist() == [4, 3]
    assert isolated.edges_per_hop[HOMOGENEOUS] == [0, 0]


def test_pairs_are_equal_where_both_are() -> None:
    a, b = torch.tensor([5, 5, -(2**62)]), torch.tensor([1, 2**62, 1])
    known, found = pairs((a, b), (b, a))
    assert known.unique().numel() == 3
    assert not torch.isin(found, known).any()
    assert torch.equal(*pairs((a, b), (a, b)))


def every_path(
    edges: list[tuple[int, int]], time: list[int], seed: tuple[int, int], hops: int, inherit: bool
) -> tuple[set, set]:
    """Nodes (node, time it is looked at from) and edges (edge, receiver's time) around a seed."""
    nodes, found, frontier = {seed}, set(), [seed]
    for _ in range(hops):
        reached = []
        for node, until in frontier:
            for edge, (source, receiver) in enumerate(edges):
                allowed = time[edge] < until if inherit else time[edge] <= until
                if receiver == node and allowed:
                    found.add((edge, node, until))
                    reached.append((source, time[edge] if inherit else until))
        frontier = [n for n in dict.fromkeys(reached) if n not in nodes]
        nodes.update(frontier)
    return nodes, found


@pytest.mark.parametrize("stream", range(200))
def test_three_hops_through_time(stream: int) -> None:
    generator = torch.Generator().manual_seed(stream)
    edges = torch.randint(6, (14, 2), generator=generator).tolist()
    time = torch.randint(-4, 5, (14,), generator=generator).tolist()  # with ties
    seeds = torch.randint(6, (3,), generator=generator)
    until = torch.randint(-4, 7, (3,), generator=generator)
    for inclusive in (False, True):
        rules = Rules(disjoint=True, inclusive=inclusive)
        begin = Nodes(seeds, 6, torch.arange(3), until)
        found = walked(relation(edges, 6, time), begin, [-1, -1, -1], rules)
        nodes = found.nodes[NODE]
        assert nodes.tree is not None
        assert nodes.until is not None
        for tree, seed in enumerate(zip(seeds.tolist(), until.tolist(), strict=True)):
            mine = nodes.tree == tree
            wanted_nodes, wanted_edges = every_path(edges, time, seed, 3, not inclusive)
            reached = list(zip(nodes.node[mine].tolist(), nodes.until[mine].tolist(), strict=True))
            assert len(reached) == len(wanted_nodes)
            assert set(reached) == wanted_nodes
            drawn = {
                (edge, int(nodes.node[col]), int(nodes.until[col]))
                for _, col, edge in edges_of(found)
                if mine[col]
            }
            assert drawn == wanted_edges


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("replace", [False, True])
def test_the_future_changes_nothing(last: bool, replace: bool) -> None:
    for stream in range(20):
        generator = torch.Generator().manual_seed(stream)
        edges = torch.randint(8, (60, 2), generator=generator)
        time = torch.randint(20, (60,), generator=generator)
        seeds, now = torch.arange(8), 5 + stream % 10
        other, later = edges.clone(), time.clone()
        future = time >= now
        other[future] = torch.randint(8, (int(future.sum()), 2), generator=generator)
        later[future] = torch.randint(now, 40, (int(future.sum()),), generator=generator)
        begin = Nodes(seeds, 8, torch.arange(8), torch.full((8,), now))
        rules = Rules(disjoint=True, last=last, replace=replace)
        found, same = (
            walked(relation(e.tolist(), 8, t.tolist()), begin, [3, 2, 2], rules, seed=stream)
            for e, t in ((edges, time), (other, later))
        )
        assert torch.equal(found.nodes[NODE].node, same.nodes[NODE].node)
        assert edges_of(found) == edges_of(same)


def test_a_canary_in_the_future_is_never_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    size, count = 200, 8000
    edges = torch.randint(size, (2, count), generator=generator)
    time = torch.randint(1000, (count,), generator=generator)
    seeds = torch.randint(size, (20_000,), generator=generator)
    until = torch.randint(1, 1001, (20_000,), generator=generator)
    canary = torch.stack([torch.arange(size), torch.arange(size)])
    edges, time = torch.cat([edges, canary], 1), torch.cat([time, torch.full((size,), 1000)])
    graph = Graph.from_edge_index(edges, size, transpose=False)
    timed = Relation(Population.of(graph, time=time), time)
    begin = Nodes(seeds, size, torch.arange(20_000), until)
    found = walked(timed, begin, [6, 4, 2], Rules(disjoint=True))
    drawn = torch.cat(found.edge[HOMOGENEOUS])
    assert drawn.numel() > 300_000
    assert (drawn < count).all()
    nodes: Any = found.nodes[NODE]
    owner = nodes.tree[torch.cat(found.col[HOMOGENEOUS])]
    assert (time[drawn] < until[owner]).all()
