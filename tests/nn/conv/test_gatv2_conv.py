"""GATv2Conv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch
import torch_geometric.nn
from torch import Tensor

from neighborgraph.errors import EdgeRowsError, IdError
from neighborgraph.nn import GATv2Conv

OPTIONS = [
    {},
    {"heads": 3, "negative_slope": 0.5},
    {"heads": 2, "concat": False, "residual": True},
    {"bias": False, "residual": True},
    {"share_weights": True, "heads": 2},
    {"add_self_loops": False},
    {"edge_dim": 3, "heads": 2},
    {"edge_dim": 3, "add_self_loops": False},
    {"edge_dim": 3, "fill_value": "max"},
    {"edge_dim": 3, "fill_value": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_pyg(pair, assert_same, features, graph, options) -> None:
    nodes, edge_index = graph
    layers = pair("GATv2Conv", 5, 4, **options)
    attr = features(edge_index.shape[1], 3) if "edge_dim" in options else None
    assert_same(layers, features(nodes, 5), edge_index, attr)


@pytest.mark.parametrize("share", [False, True])
def test_bipartite(pair, assert_same, features, edge_index, share: bool) -> None:
    edge_index = edge_index % torch.tensor([[9], [4]])
    layers = pair("GATv2Conv", (5, 5), 4, heads=2, add_self_loops=False, share_weights=share)
    x = features(9, 5), features(4, 5)
    assert_same(layers, x, edge_index)
    layers[0].add_self_loops = layers[1].add_self_loops = True
    assert_same(layers, x, edge_index, fused=False)
    with pytest.raises(AssertionError):
        layers[0]((x[0], None), edge_index)


@pytest.mark.parametrize("loops", [False, True])
def test_formats(pair, assert_same, features, adjacency, plain, loops) -> None:
    layers = pair("GATv2Conv", 5, 4, heads=2, add_self_loops=loops)
    is_csc = isinstance(adjacency, Tensor) and adjacency.layout == torch.sparse_csc
    if loops and is_csc:
        assert not layers[0].path(features(6, 5), adjacency).fused
        return
    assert_same(layers, features(6, 5), adjacency, plain=plain(adjacency))


@pytest.mark.parametrize("loops", [False, True])
def test_weights(pair, features, edge_index, loops: bool) -> None:
    ours, pyg = pair("GATv2Conv", 5, 4, heads=2, add_self_loops=loops)
    x = features(14, 5, grad=False)
    with torch.no_grad():
        assert ours.path(x, edge_index, None, True).fused
        out, (edges, alpha) = ours(x, edge_index, return_attention_weights=True)
        expected, (wanted, weights) = pyg(x, edge_index, return_attention_weights=True)
    assert torch.equal(edges, wanted)
    torch.testing.assert_close((out, alpha), (expected, weights))
    assert ours.path(x, edge_index, None, True).reason == "attention weights with a gradient"


def test_edge_attr_of_one_number(pair, assert_same, features, edge_index) -> None:
    layers = pair("GATv2Conv", 5, 4, heads=2, edge_dim=1)
    assert_same(layers, features(14, 5), edge_index, features(50))


def test_wrong_inputs_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    ours, pyg = pair("GATv2Conv", 5, 4, edge_dim=3)
    x, attr = features(14, 5), features(50, 3)
    for layer, error in ((ours, EdgeRowsError), (pyg, IndexError)):
        with pytest.raises(error):
            layer(x, edge_index, attr[:49])
    with pytest.raises(IdError):
        ours(x, edge_index + 5, attr)
    for layer in pair("GATv2Conv", 5, 4):
        with pytest.raises(AssertionError):
            layer(x, edge_index, attr)


def test_lazy_sizes(features, edge_index) -> None:
    ours = GATv2Conv(-1, 4, edge_dim=-1, residual=True).double()
    x, attr = features(14, 5), features(50, 3)
    out = ours(x, edge_index, attr)
    pyg = torch_geometric.nn.GATv2Conv(5, 4, edge_dim=3, residual=True).double()
    pyg.load_state_dict(ours.state_dict())
    torch.testing.assert_close(out, pyg(x, edge_index, attr))


@pytest.mark.parametrize("options", [{}, {"share_weights": True}, {"edge_dim": 3}], ids=str)
def test_compiles_as_a_whole(compiled, features, edge_index, options) -> None:
    layer = GATv2Conv(5, 4, heads=2, residual=True, **options).double()
    attr = features(50, 3) if "edge_dim" in options else None
    compiled(layer, features(14, 5), edge_index, attr)


def test_autocast_gives_the_dtype_of_pyg(pair, edge_index) -> None:
    x = torch.randn(14, 5)
    ours, pyg = (layer.float() for layer in pair("GATv2Conv", 5, 4, heads=2))
    with torch.autocast("cpu", torch.bfloat16):
        actual, wanted = ours(x, edge_index), pyg(x, edge_index)
    assert actual.dtype == wanted.dtype == torch.float32
    torch.testing.assert_close(actual, wanted, atol=0.2, rtol=0.1)
