"""SAGEConv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import IdError, InputError
from neighborgraph.graph import Graph
from neighborgraph.nn import SAGEConv

OPTIONS = [
    {},
    *({"aggr": aggr} for aggr in ("sum", "add", "max", "min")),
    {"normalize": True},
    {"root_weight": False, "bias": False},
    {"project": True},
]


@pytest.mark.parametrize("width", [4, 7])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_pyg(pair, assert_same, features, graph, options, width: int) -> None:
    nodes, edge_index = graph
    assert_same(pair("SAGEConv", 5, width, **options), features(nodes, 5), edge_index)


@pytest.mark.parametrize("aggr", ["mean", "max"])
def test_weights_come_first_where_they_narrow_and_may(features, edge_index, aggr: str) -> None:
    wide, layer = [], SAGEConv(5, 4, aggr=aggr).double()
    layer.lin_l.register_forward_hook(lambda *_: wide.append(1))  # hooks see what they would in PyG
    layer(features(14, 5), edge_index)
    layer.lin_l._forward_hooks.clear()
    hidden = features(14, 5)
    assert layer.narrows(hidden, hidden) == (aggr == "mean")
    assert not layer.narrows(hidden, hidden.clone())
    assert wide == [1]


@pytest.mark.parametrize("aggr", ["median", ["mean", "max"], "softmax"], ids=str)
def test_other_aggregations_go_to_pyg(pair, assert_same, features, edge_index, aggr) -> None:
    layers = pair("SAGEConv", 5, 4, aggr=aggr)
    assert_same(layers, features(14, 5), edge_index, fused=False)
    assert layers[0].path(features(14, 5), edge_index).reason.startswith("aggr=")


def test_bipartite(pair, assert_same, features, edge_index) -> None:
    edge_index = edge_index % torch.tensor([[9], [4]])
    layers = pair("SAGEConv", (5, 3), 4)
    assert_same(layers, (features(9, 5), features(4, 3)), edge_index)
    assert_same(layers, (features(9, 5), features(4, 3)), edge_index, (9, 4))
    assert_same(layers, (features(9, 5), None), edge_index, (9, 4))
    for layer, error in zip(layers, (InputError, ValueError), strict=True):
        with pytest.raises(error):
            layer((features(9, 5), features(4, 3)), edge_index, (9, 5))


@pytest.mark.parametrize("aggr", ["mean", "sum", "max"])
def test_formats(pair, assert_same, features, adjacency, plain, aggr: str) -> None:
    assert_same(
        pair("SAGEConv", 5, 4, aggr=aggr), features(6, 5), adjacency, plain=plain(adjacency)
    )


@pytest.mark.parametrize("aggr", ["mean", "sum"])
def test_values_of_a_matrix_are_weights(pair, assert_same, features, aggr: str) -> None:
    edge_index = torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]])
    matrix = torch.sparse_coo_tensor(edge_index, torch.randn(4).double(), (3, 3)).coalesce()
    assert_same(pair("SAGEConv", 5, 4, aggr=aggr), features(3, 5), matrix)


def test_weights_of_a_graph_do_not_count(pair, features, edge_index) -> None:
    ours, pyg = pair("SAGEConv", 5, 4)
    graph = Graph.from_edge_index(edge_index, 14, weight=torch.rand(50).double())
    x = features(14, 5)
    torch.testing.assert_close(ours(x, graph), pyg(x, edge_index))


def test_the_gradient_of_a_tie_goes_to_one_of_the_equals() -> None:
    layer = SAGEConv(1, 1, aggr="max", root_weight=False, bias=False)
    x: Tensor = torch.ones(3, 1, requires_grad=True)
    layer(x, torch.tensor([[0, 1], [2, 2]])).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad.sum(), layer.lin_l.weight.detach().sum())


def test_wrong_inputs_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    for layer, error in zip(pair("SAGEConv", 5, 4), (IdError, IndexError), strict=True):
        with pytest.raises(error):
            layer(features(14, 5), edge_index + 3)
        with pytest.raises(error):
            layer(features(14, 5), edge_index - 1)


@pytest.mark.parametrize("options", [{}, {"aggr": "max", "project": True}], ids=str)
def test_compiles_as_a_whole(compiled, features, edge_index, options) -> None:
    compiled(SAGEConv(5, 4, **options).double(), features(14, 5), edge_index)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_autocast_gives_the_dtype_of_pyg(pair, edge_index, options) -> None:
    ours, pyg = (layer.float() for layer in pair("SAGEConv", 5, 4, **options))
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(14, 5, dtype=dtype)
        with torch.autocast("cpu", torch.bfloat16):
            actual, wanted = ours(x, edge_index), pyg(x, edge_index)
        assert actual.dtype == wanted.dtype == torch.bfloat16
        torch.testing.assert_close(actual, wanted, atol=0.2, rtol=0.1)
