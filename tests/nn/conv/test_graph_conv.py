"""GraphConv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch
from torch_geometric import EdgeIndex

from neighborgraph.errors import EdgeRowsError, IdError
from neighborgraph.nn import GraphConv


@pytest.mark.parametrize("weighted", ["no weights", "constant", "learned"])
@pytest.mark.parametrize("aggr", ["add", "mean", "max", "min"])
def test_equals_pyg(pair, assert_same, features, graph, aggr: str, weighted: str) -> None:
    nodes, edge_index = graph
    weight = None
    if weighted != "no weights":
        weight = torch.randn(edge_index.shape[1]).double().requires_grad_(weighted == "learned")
    layers = pair("GraphConv", 5, 4, aggr=aggr)
    assert_same(layers, features(nodes, 5), edge_index, weight)


def test_bipartite(pair, assert_same, features, edge_index) -> None:
    edge_index = edge_index % torch.tensor([[9], [4]])
    layers = pair("GraphConv", (5, 3), 4, bias=False)
    weight = features(50)
    assert_same(layers, (features(9, 5), features(4, 3)), edge_index, weight)
    assert_same(layers, (features(9, 5), None), edge_index, weight, (9, 4))


@pytest.mark.parametrize("aggr", ["add", "mean"])
def test_formats(pair, assert_same, features, adjacency, plain, aggr: str) -> None:
    layers = pair("GraphConv", 5, 4, aggr=aggr)
    other = plain(adjacency)
    if isinstance(other, EdgeIndex):
        other = other.as_tensor()  # PyG multiplies by an EdgeIndex in float32 only
    assert_same(layers, features(6, 5), adjacency, plain=other)


def test_values_of_a_matrix_are_weights(pair, assert_same, features) -> None:
    edge_index = torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]])
    matrix = torch.sparse_coo_tensor(edge_index, torch.randn(4).double(), (3, 3)).coalesce()
    assert_same(pair("GraphConv", 5, 4), features(3, 5), matrix)


def test_weights_of_another_kind_go_to_pyg(pair, assert_same, features, edge_index) -> None:
    layers = pair("GraphConv", 5, 4)
    for weight in (torch.ones(50), torch.arange(50), torch.ones(50, 1).double(), torch.ones(1)):
        assert_same(layers, features(14, 5), edge_index, weight, fused=False)


def test_wrong_inputs_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    x = features(14, 5)
    layers = pair("GraphConv", 5, 4)
    for layer, error in zip(layers, (EdgeRowsError, RuntimeError), strict=True):
        with pytest.raises(error):
            layer(x, edge_index, torch.ones(49).double())
    for layer, error in zip(layers, (IdError, IndexError), strict=True):
        with pytest.raises(error):
            layer(x, edge_index + 3)


@pytest.mark.parametrize("weighted", [False, True])
def test_compiles_as_a_whole(compiled, features, edge_index, weighted: bool) -> None:
    weight = features(50) if weighted else None
    compiled(GraphConv(5, 4).double(), features(14, 5), edge_index, weight)


def test_autocast_gives_the_dtype_of_pyg(pair, edge_index) -> None:
    ours, pyg = (layer.float() for layer in pair("GraphConv", 5, 4))
    x = torch.randn(14, 5)
    for weight in (None, torch.rand(50)):
        with torch.autocast("cpu", torch.bfloat16):
            actual, wanted = ours(x, edge_index, weight), pyg(x, edge_index, weight)
        assert actual.dtype == wanted.dtype == torch.bfloat16
        torch.testing.assert_close(actual, wanted, atol=0.2, rtol=0.1)
