"""Self-loops and the symmetric closure, against hand-worked cases and torch_geometric."""

import pytest
import torch
import torch_geometric.utils as pyg

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, add_self_loops, to_undirected
from neighborgraph.testing import AWKWARD, awkward_graphs, random_graph

SQUARE = [name for name, graph in awkward_graphs().items() if graph.num_rows == graph.num_cols]
BIPARTITE = [name for name in AWKWARD if name not in SQUARE]


def weights_of(graph: Graph) -> list[float]:
    assert graph.weight is not None
    return graph.weight.tolist()


def graph_of(sources: list[int], receivers: list[int], size: int, *weight: float) -> Graph:
    return Graph.from_edge_index(
        torch.tensor([sources, receivers]), size, weight=torch.tensor(weight) if weight else None
    )


def test_self_loops_come_last_in_node_order() -> None:
    graph = add_self_loops(graph_of([0, 1, 2], [1, 1, 0], 4))
    assert graph.edge_index.tolist() == [[0, 1, 2, 0, 2, 3], [1, 1, 0, 0, 2, 3]]
    assert graph.weight is None


def test_self_loops_of_a_weighted_graph() -> None:
    graph = graph_of([0, 1, 2], [1, 1, 0], 3, 5.0, 6.0, 7.0)
    assert weights_of(add_self_loops(graph)) == [5.0, 6.0, 7.0, 1.0, 1.0]
    assert weights_of(add_self_loops(graph, 0.5)) == [5.0, 6.0, 7.0, 0.5, 0.5]


def test_self_loops_of_learned_weights_keep_their_gradient() -> None:
    weight = torch.ones(3, requires_grad=True)
    edge_index = torch.tensor([[0, 1, 2], [1, 1, 0]])
    looped = add_self_loops(Graph.from_edge_index(edge_index, 3, weight=weight))
    assert looped.weight is not None
    looped.weight.sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", SQUARE)
def test_every_node_has_a_self_loop_and_a_second_call_adds_none(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    once = add_self_loops(graph)
    source, receiver = once.edge_index
    assert source[source == receiver].unique().numel() == graph.num_rows
    assert torch.equal(once.edge_index[:, : graph.num_edges], graph.edge_index)
    assert torch.equal(add_self_loops(once).edge_index, once.edge_index)
    expected, _ = pyg.add_remaining_self_loops(graph.edge_index, num_nodes=graph.num_rows)
    # torch_geometric merges a node's several self-loops; the neighbours are the same.
    assert torch.equal(once.edge_index.unique(dim=1), expected.unique(dim=1))


def test_undirected_by_hand() -> None:
    # 0 → 1 twice and back once, 2 → 0 once, a self-loop at 2.
    graph = graph_of([0, 0, 1, 2, 2], [1, 1, 0, 0, 2], 3, 1.0, 2.0, 4.0, 8.0, 16.0)
    closure = to_undirected(graph)
    assert closure.edge_index.tolist() == [[1, 2, 0, 0, 2], [0, 0, 1, 2, 2]]
    # A self-loop stands for both of its directions, as in torch_geometric.
    assert weights_of(closure) == [7.0, 8.0, 7.0, 8.0, 32.0]


@pytest.mark.parametrize("name", SQUARE)
def test_undirected_against_torch_geometric(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    closure = to_undirected(graph)
    expected = pyg.to_undirected(graph.edge_index, num_nodes=graph.num_rows)
    assert isinstance(expected, torch.Tensor)
    # Ours is numbered by receiver, theirs by source.
    assert torch.equal(closure.edge_index.flip(0), expected)
    assert closure.weight is None
    assert torch.equal(to_undirected(closure).edge_index, closure.edge_index)


@pytest.mark.parametrize("seed", range(20))
def test_undirected_weights_against_torch_geometric(seed: int) -> None:
    graph = random_graph(seed, dtype=torch.float64)
    closure = to_undirected(graph)
    _, expected = pyg.to_undirected(
        graph.edge_index, graph.weight, num_nodes=graph.num_rows, reduce="add"
    )
    torch.testing.assert_close(closure.weight, expected)


def test_undirected_when_nodes_and_edges_are_equal_in_number() -> None:
    weight = (10.0, 20.0)
    closure = to_undirected(graph_of([0, 1], [1, 1], 2, *weight))
    assert closure.edge_index.tolist() == [[1, 0, 1], [0, 1, 1]]
    assert weights_of(closure) == [10.0, 10.0, 40.0]


def test_ids_near_the_limit_do_not_overflow_in_a_pair() -> None:
    # Two ids of a graph this large multiply to more than 2^31 but stay exact in 64 bits.
    size = 70_000
    graph = graph_of([size - 1, 0], [size - 2, size - 1], size)
    expected = [[size - 1, size - 1, 0, size - 2], [0, size - 2, size - 1, size - 1]]
    assert to_undirected(graph).edge_index.tolist() == expected


@pytest.mark.parametrize("make", [add_self_loops, to_undirected])
@pytest.mark.parametrize("transpose", [True, False])
def test_the_transpose_is_left_out_as_before(make, transpose: bool) -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 3, transpose=transpose)
    assert (make(graph).cols is not None) is transpose


@pytest.mark.parametrize("make", [add_self_loops, to_undirected])
@pytest.mark.parametrize("name", BIPARTITE)
def test_bipartite_graphs_are_refused(make, name: str) -> None:
    graph = awkward_graphs()[name]
    message = (
        f"^{make.__name__} needs a square graph, but graph has {graph.num_cols} sources and "
        f"{graph.num_rows} receivers$"
    )
    with pytest.raises(InputError, match=message):
        make(graph)
