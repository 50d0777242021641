"""GINConv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch
from torch import nn

from neighborgraph.errors import IdError
from neighborgraph.nn import GINConv


@pytest.mark.parametrize(
    "options",
    [{}, {"eps": 0.5}, {"eps": 0.5, "train_eps": True}, {"aggr": "max"}, {"aggr": "mean"}],
    ids=str,
)
def test_equals_pyg(pair, assert_same, features, graph, options) -> None:
    nodes, edge_index = graph
    assert_same(pair("GINConv", nn.Linear(5, 4), **options), features(nodes, 5), edge_index)


def test_bipartite(pair, assert_same, features, edge_index) -> None:
    edge_index = edge_index % torch.tensor([[9], [4]])
    layers = pair("GINConv", nn.Linear(5, 4), eps=0.3)
    assert_same(layers, (features(9, 5), features(4, 5)), edge_index)
    assert_same(layers, (features(9, 5), None), edge_index, (9, 4))


def test_formats(pair, assert_same, features, adjacency, plain) -> None:
    layers = pair("GINConv", nn.Linear(5, 4), train_eps=True)
    assert_same(layers, features(6, 5), adjacency, plain=plain(adjacency))


def test_wrong_ids_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    layers = pair("GINConv", nn.Linear(5, 4))
    for layer, error in zip(layers, (IdError, IndexError), strict=True):
        with pytest.raises(error):
            layer(features(14, 5), edge_index + 3)


def test_compiles_as_a_whole(compiled, features, edge_index) -> None:
    layer = GINConv(nn.Linear(5, 4), train_eps=True).double()
    compiled(layer, features(14, 5), edge_index)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_gives_the_dtype_of_pyg(pair, edge_index, dtype) -> None:
    ours, pyg = (layer.float() for layer in pair("GINConv", nn.Identity(), eps=0.5))
    x = torch.randn(14, 5, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        actual, wanted = ours(x, edge_index), pyg(x, edge_index)
    assert actual.dtype == wanted.dtype
    torch.testing.assert_close(actual, wanted, atol=0.2, rtol=0.1)
