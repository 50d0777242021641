"""TransformerConv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch
import torch_geometric.nn

from neighborgraph.errors import EdgeRowsError, IdError, InputError
from neighborgraph.nn import TransformerConv

OPTIONS = [
    {},
    {"heads": 3},
    {"heads": 2, "concat": False},
    {"heads": 2, "beta": True},
    {"concat": False, "beta": True, "heads": 2},
    {"bias": False, "root_weight": False},
    {"aggr": "sum"},
    {"edge_dim": 3, "heads": 2},
    {"edge_dim": 3, "concat": False, "heads": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_pyg(pair, assert_same, features, graph, options) -> None:
    nodes, edge_index = graph
    layers = pair("TransformerConv", 5, 4, **options)
    attr = features(edge_index.shape[1], 3) if "edge_dim" in options else None
    assert_same(layers, features(nodes, 5), edge_index, attr)


def test_bipartite(pair, assert_same, features, edge_index) -> None:
    edge_index = edge_index % torch.tensor([[9], [4]])
    layers = pair("TransformerConv", (5, 3), 4, heads=2)
    assert_same(layers, (features(9, 5), features(4, 3)), edge_index)


@pytest.mark.parametrize("edge_dim", [None, 3])
def test_formats(pair, assert_same, features, adjacency, plain, edge_dim) -> None:
    layers = pair("TransformerConv", 5, 4, heads=2, edge_dim=edge_dim)
    attr = None if edge_dim is None else features(7, 3)
    assert_same(layers, features(6, 5), adjacency, attr, plain=plain(adjacency))


@pytest.mark.parametrize("wanted", [True, False])
def test_weights(pair, features, adjacency, plain, wanted: bool) -> None:
    ours, pyg = pair("TransformerConv", 5, 4, heads=2)
    x = features(6, 5, grad=False)
    with torch.no_grad():
        assert ours.path(x, adjacency, None, wanted).fused
        out, (same, alpha) = ours(x, adjacency, return_attention_weights=wanted)
        expected, (_, weights) = pyg(x, plain(adjacency), return_attention_weights=wanted)
    assert same is adjacency
    torch.testing.assert_close((out, alpha), (expected, weights))


def test_weights_keep_their_gradient(pair, features, edge_index) -> None:
    grads = []
    for layer in pair("TransformerConv", 5, 4, heads=2):
        layer(features(14, 5), edge_index, return_attention_weights=True)
        x = torch.ones(14, 5).double().cumsum(0).requires_grad_()
        _, (_, alpha) = layer(x, edge_index, return_attention_weights=True)
        alpha.square().sum().backward()
        grads.append(x.grad)
    torch.testing.assert_close(*grads)


def test_weights_are_those_before_dropout(pair, features, edge_index) -> None:
    ours, pyg = pair("TransformerConv", 5, 4, dropout=0.5)
    x = features(14, 5, grad=False)
    with torch.no_grad():
        path = ours.path(x, edge_index, None, True)
        assert path == (False, "attention weights before dropout")
        _, (_, alpha) = ours(x, edge_index, return_attention_weights=True)
        _, (_, weights) = pyg.eval()(x, edge_index, return_attention_weights=True)
    torch.testing.assert_close(alpha, weights)


def test_dropout_keeps_the_mean(features, edge_index) -> None:
    layer = TransformerConv(5, 4, dropout=0.3, root_weight=False).double()
    x = features(14, 5, grad=False)
    with torch.no_grad():
        mean = torch.stack([layer(x, edge_index) for _ in range(3000)]).mean(0)
        torch.testing.assert_close(mean, layer.eval()(x, edge_index), atol=0.1, rtol=0)
        assert not torch.equal(layer.train()(x, edge_index), layer(x, edge_index))


REFUSED = [
    ({}, {"attr": 3}, "edge_attr without edge_dim"),
    ({"aggr": "mean"}, {}, "aggr='mean'"),
    ({"flow": "target_to_source"}, {}, "flow='target_to_source'"),
]


@pytest.mark.parametrize(("options", "extra", "reason"), REFUSED)
def test_falls_back(pair, assert_same, features, edge_index, options, extra, reason) -> None:
    layers = pair("TransformerConv", 5, 4, heads=2, **options)
    attr = features(50, 2, 4) if extra else None
    x = features(14, 5)
    assert layers[0].path(x, edge_index, attr).reason == reason
    assert_same(layers, x, edge_index, attr, fused=False)


def test_lazy_sizes(features, edge_index) -> None:
    torch.manual_seed(1)
    ours = TransformerConv(-1, 4, edge_dim=-1).double()
    x, attr = features(14, 5), features(50, 3)
    out = ours(x, edge_index, attr)
    pyg = torch_geometric.nn.TransformerConv(5, 4, edge_dim=3).double()
    pyg.load_state_dict(ours.state_dict())
    torch.testing.assert_close(out, pyg(x, edge_index, attr))


def test_wrong_inputs_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    ours, pyg = pair("TransformerConv", 5, 4, edge_dim=3)
    x, attr = features(14, 5), features(50, 3)
    for layer, error in ((ours, EdgeRowsError), (pyg, RuntimeError)):
        with pytest.raises(error):
            layer(x, edge_index, attr[:49])
        with pytest.raises(AssertionError):
            layer(x, edge_index)
        with pytest.raises(ValueError, match="integer"):
            layer(x, edge_index.double(), attr)
    for bad in (-1, 14):
        wrong = edge_index.clone()
        wrong[0, 7] = bad
        for layer, error in ((ours, IdError), (pyg, IndexError)):
            with pytest.raises(error):
                layer(x, wrong, attr)
    with pytest.raises(InputError, match="edge_index has 6 sources, but there are features of 14"):
        ours(x, torch.eye(6).to_sparse(), attr[:0])


@pytest.mark.parametrize("edge_dim", [None, 3])
def test_compiles_as_a_whole(compiled, features, edge_index, edge_dim) -> None:
    layer = TransformerConv(5, 4, heads=2, beta=True, edge_dim=edge_dim).double()
    compiled(layer, features(14, 5), edge_index, None if edge_dim is None else features(50, 3))


def test_autocast_gives_the_dtype_of_pyg(pair, edge_index) -> None:
    x = torch.randn(14, 5)
    ours, pyg = (layer.float() for layer in pair("TransformerConv", 5, 4, heads=2))
    with torch.autocast("cpu", torch.bfloat16):
        actual, wanted = ours(x, edge_index), pyg(x, edge_index)
    assert actual.dtype == wanted.dtype == torch.bfloat16
    torch.testing.assert_close(actual, wanted, atol=0.1, rtol=0.1)
