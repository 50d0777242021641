"""Which edge weights count, and which go to PyG."""

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.nn import SAGEConv
from neighborgraph.nn.conv.reduction import (
    edge_weight_of,
    message_dtype,
    reduce_neighbors,
    stored_weight,
    weight_refusal,
    weighted_for_pyg,
)
from neighborgraph.ops import aggregate

EDGES = torch.tensor([[0, 1], [1, 0]])


def test_which_weights_count() -> None:
    given, own = torch.rand(2), torch.rand(2)
    graph = Graph.from_edge_index(EDGES, 2, weight=own)
    matrix = torch.sparse_coo_tensor(EDGES, own, (2, 2)).coalesce()
    assert edge_weight_of(EDGES, None) is None
    assert edge_weight_of(EDGES, given) is given
    assert edge_weight_of(graph, None) is graph.weight
    assert edge_weight_of(graph, given) is given
    torch.testing.assert_close(edge_weight_of(matrix, given), own)
    assert stored_weight(graph) is None
    torch.testing.assert_close(stored_weight(matrix), own)


def test_what_pyg_is_given() -> None:
    own = torch.rand(2)
    edges, weight = weighted_for_pyg(Graph.from_edge_index(EDGES, 2, weight=own), None)
    assert torch.equal(edges, EDGES)
    torch.testing.assert_close(weight, own)
    matrix = torch.sparse_coo_tensor(EDGES, own, (2, 2)).coalesce()
    assert weighted_for_pyg(matrix, None) == (matrix, None)
    assert weighted_for_pyg(EDGES.int(), None)[0].dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mean_is_that_of_the_operator(weighted: bool, dtype: torch.dtype) -> None:
    edges, layer = torch.randint(8, (2, 40)), SAGEConv(3, 3)
    graph, x = Graph.from_edge_index(edges, 9), torch.randn(9, 3, dtype=dtype)
    weight = torch.rand(40, dtype=dtype) if weighted else None
    expected = aggregate(graph, x, "mean", weight=weight)
    for _ in range(2):
        assert torch.equal(reduce_neighbors(layer, edges, x, x, weight, None), expected)
    added = reduce_neighbors(layer, edges, x, x, weight, None, add=x)
    assert torch.equal(added, aggregate(graph, x, "mean", weight=weight, add=x))


def test_refusals() -> None:
    x = torch.zeros(2, 1)
    assert weight_refusal(EDGES, None, x) == ""
    assert weight_refusal(EDGES, torch.ones(2), x) == ""
    assert weight_refusal(EDGES, torch.ones(3), x) == ""  # refused with an error
    assert weight_refusal(EDGES, torch.ones(2, 1), x) == "edge_weight has 2 dimensions"
    assert weight_refusal(EDGES, torch.ones(1), x) == "one edge_weight for all edges"
    assert "torch.float64" in weight_refusal(EDGES, torch.ones(2).double(), x)


def test_messages_have_the_wider_dtype() -> None:
    narrow = torch.zeros(1, dtype=torch.bfloat16)
    assert message_dtype(narrow, None) == torch.bfloat16
    assert message_dtype(narrow, torch.ones(1)) == torch.float32
