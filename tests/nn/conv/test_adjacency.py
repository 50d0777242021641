"""Every format becomes the graph that PyG sees, with its edges in the order of their values."""

import pytest
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.utils import to_edge_index

from neighborgraph.errors import EdgeRowsError, IdError, InputError
from neighborgraph.graph import Graph
from neighborgraph.nn.conv.adjacency import (
    edge_index_of,
    expect_edge_rows,
    graph_of,
    num_nodes_of,
    number_of_edges,
    refusal,
    size_of,
    values_of,
)

CPU = torch.device("cpu")


def test_edges_in_the_order_of_pyg(adjacency) -> None:
    edge_index = edge_index_of(adjacency)
    if isinstance(adjacency, Tensor) and adjacency.layout != torch.strided:
        wanted, values = to_edge_index(adjacency)
        assert torch.equal(edge_index.long(), wanted.flip(0))
        torch.testing.assert_close(values_of(adjacency), values)
    else:
        expected = torch.tensor([[3, 1, 2, 0, 3, 1, 4], [0, 1, 1, 2, 2, 3, 4]])
        assert torch.equal(edge_index.long(), expected)
        assert values_of(adjacency) is None
    assert type(edge_index) is Tensor
    assert number_of_edges(adjacency) == 7
    assert refusal(adjacency, CPU) == ""
    graph = graph_of(adjacency, (6, 6))
    assert torch.equal(graph.edge_index, edge_index.long())


def test_a_graph_is_used_as_it_is() -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), (2, 3), weight=torch.ones(1))
    assert graph_of(graph, (2, 3)) is graph
    assert values_of(graph) is graph.weight
    with pytest.raises(InputError, match="edge_index has 3 receivers, but there are features of 2"):
        graph_of(graph, (2, 2))


def test_sizes() -> None:
    edges, x = torch.tensor([[0], [1]]), torch.zeros(4, 2)
    rectangle = torch.zeros(3, 4).to_sparse()
    assert size_of(edges) == (None, None)
    assert size_of(rectangle) == (4, 3)
    assert num_nodes_of(edges, x, None) == (4, 4)
    assert num_nodes_of(edges, x, None, (4, 7)) == (4, 7)
    assert num_nodes_of(edges, x, torch.zeros(7, 2), (4, 7)) == (4, 7)
    # A matrix knows better than ``size``, as in PyG.
    assert num_nodes_of(rectangle, x, None, (4, 7)) == (4, 3)
    with pytest.raises(InputError, match="size has 5 sources, but there are features of 4"):
        num_nodes_of(edges, x, None, (5, 7))
    with pytest.raises(InputError, match="size has 8 receivers, but there are features of 7"):
        num_nodes_of(edges, x, torch.zeros(7, 2), (4, 8))
    half: EdgeIndex = EdgeIndex(edges, sparse_size=(4, None))  # pyright: ignore[reportCallIssue]
    assert num_nodes_of(half, x, None) == (4, 4)


def test_refusals() -> None:
    edges = torch.zeros(2, 3, dtype=torch.int64)
    dense = torch.eye(3)
    assert refusal([[0], [1]], CPU) == "edge_index is a list"
    assert refusal(edges, torch.device("meta")) == "edge_index is on cpu, the features on meta"
    assert refusal(edges.byte(), CPU) == "edge_index is torch.uint8"
    assert refusal(edges.double(), CPU) == "edge_index is torch.float64"
    assert refusal(edges.t(), CPU) == "edge_index has shape [3, 2]"
    learned = dense.to_sparse().requires_grad_()
    assert refusal(learned, CPU) == "a sparse adjacency that requires grad"
    double = torch.sparse_coo_tensor(edges, torch.ones(3), (3, 3))
    assert refusal(double, CPU) == "a sparse adjacency that is not coalesced"
    rows = torch.sparse_coo_tensor(edges[:, :1], torch.ones(1, 2), (3, 3, 2)).coalesce()
    assert refusal(rows, CPU) == "a sparse adjacency with more than one value an edge"


def test_ids_are_checked() -> None:
    with pytest.raises(IdError, match=r"edge_index\[0, 1\] = 3 is outside \[0, 3\)"):
        graph_of(torch.tensor([[0, 3], [1, 1]]), (3, 3))
    with pytest.raises(IndexError):
        graph_of(torch.tensor([[0, 0], [1, -1]]), (3, 3), loops="replace")


def test_rows_of_edges_are_counted() -> None:
    edges = torch.zeros(2, 3, dtype=torch.int64)
    expect_edge_rows("edge_attr", torch.zeros(3, 2), edges)
    for kind in (EdgeRowsError, ValueError, RuntimeError, IndexError):
        with pytest.raises(kind, match="edge_attr has 4 rows, but edge_index has 3 edges"):
            expect_edge_rows("edge_attr", torch.zeros(4, 2), edges)


def test_replaced_loops_and_added_ones() -> None:
    edges = torch.tensor([[0, 1, 0], [0, 0, 1]])
    replaced = graph_of(edges, (2, 2), loops="replace")
    assert replaced.degree.tolist() == [2, 2]
    assert replaced.rows.edge_id[:4].tolist() == [1, 3, 2, 4]
    added = graph_of(edges, (2, 2), loops="add")
    assert added.degree.tolist() == [3, 2]
    assert added.rows.edge_id.tolist() == [0, 1, 3, 2, 4]
