"""GATConv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch
import torch_geometric.nn
from torch import Tensor

from neighborgraph.errors import EdgeRowsError, IdError, InputError
from neighborgraph.graph import Graph
from neighborgraph.nn import GATConv

OPTIONS = [
    {},
    {"heads": 3, "negative_slope": 0.5},
    {"heads": 2, "concat": False, "residual": True},
    {"bias": False, "residual": True},
    {"add_self_loops": False},
    {"edge_dim": 3, "heads": 2},
    {"edge_dim": 3, "add_self_loops": False},
    *({"edge_dim": 3, "fill_value": fill} for fill in ("add", "max", "min", "mul", 0.5)),
    {"edge_dim": 3, "fill_value": torch.tensor([0.5, 1.0, -2.0])},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_pyg(pair, assert_same, features, graph, options) -> None:
    nodes, edge_index = graph
    layers = pair("GATConv", 5, 4, **options)
    attr = features(edge_index.shape[1], 3) if "edge_dim" in options else None
    assert_same(layers, features(nodes, 5), edge_index, attr)


@pytest.mark.parametrize("residual", [False, True])
def test_bipartite(pair, assert_same, features, edge_index, residual: bool) -> None:
    edge_index = edge_index % torch.tensor([[9], [4]])
    layers = pair("GATConv", (5, 3), 4, heads=2, add_self_loops=False, residual=residual)
    assert_same(layers, (features(9, 5), features(4, 3)), edge_index)
    assert_same(layers, (features(9, 5), features(4, 3)), edge_index, None, (9, 4))
    layers[0].add_self_loops = layers[1].add_self_loops = True
    assert_same(layers, (features(9, 5), features(4, 3)), edge_index, fused=False)


@pytest.mark.parametrize("loops", [False, True])
def test_without_receivers(pair, assert_same, features, edge_index, loops: bool) -> None:
    layers = pair("GATConv", (5, 3), 4, heads=2, add_self_loops=loops, residual=True)
    assert_same(layers, (features(14, 5), None), edge_index)
    assert_same(layers, (features(14, 5), None), edge_index, None, (14, 14))
    if not loops:
        layers[0].zero_grad()
        out = layers[0]((features(14, 5), None), edge_index[:, :0], None, (14, 20))
        assert out.shape == (20, 8)


def test_a_square_layer_on_a_pair(pair, assert_same, features, edge_index) -> None:
    layers = pair("GATConv", 5, 4, heads=2)
    assert_same(layers, (features(14, 5), features(14, 5)), edge_index)


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("edge_dim", [None, 3])
def test_formats(pair, assert_same, features, adjacency, plain, edge_dim, loops) -> None:
    layers = pair("GATConv", 5, 4, heads=2, edge_dim=edge_dim, add_self_loops=loops)
    attr = None if edge_dim is None else features(7, 3)
    is_sparse = isinstance(adjacency, Tensor) and adjacency.layout != torch.strided
    if loops and is_sparse and (edge_dim or adjacency.layout == torch.sparse_csc):
        path = layers[0].path(features(6, 5), adjacency, attr)
        assert not path.fused
        assert "self-loops" in path.reason
        return
    assert_same(layers, features(6, 5), adjacency, attr, plain=plain(adjacency))


def test_edge_attr_of_one_number(pair, assert_same, features, edge_index) -> None:
    layers = pair("GATConv", 5, 4, heads=2, edge_dim=1)
    assert_same(layers, features(14, 5), edge_index, features(50))


def test_edge_attr_without_edge_dim_is_ignored(pair, assert_same, features, edge_index) -> None:
    layers = pair("GATConv", 5, 4, heads=2)
    assert_same(layers, features(14, 5), edge_index, features(50, 3, grad=False))


def test_a_hook_of_the_edge_transformation_runs(pair, assert_same, features, edge_index) -> None:
    layers = pair("GATConv", 5, 4, heads=2, edge_dim=3)
    for layer in layers:
        layer.lin_edge.register_forward_hook(lambda module, args, out: out * 2)
    assert_same(layers, features(14, 5), edge_index, features(50, 3))


@pytest.mark.parametrize("loops", [False, True])
def test_weights(pair, features, edge_index, loops: bool) -> None:
    ours, pyg = pair("GATConv", 5, 4, heads=2, add_self_loops=loops)
    x = features(14, 5, grad=False)
    with torch.no_grad():
        assert ours.path(x, edge_index, return_attention_weights=True).fused
        out, (edges, alpha) = ours(x, edge_index, return_attention_weights=True)
        expected, (wanted, weights) = pyg(x, edge_index, return_attention_weights=True)
        assert isinstance(ours(x, edge_index, return_attention_weights=False), Tensor)
    assert torch.equal(edges, wanted)
    torch.testing.assert_close((out, alpha), (expected, weights))


def test_weights_of_other_formats_are_those_of_pyg(pair, features, adjacency, plain) -> None:
    ours, pyg = pair("GATConv", 5, 4, heads=2, add_self_loops=False)
    x = features(6, 5, grad=False)
    if isinstance(adjacency, Tensor) and adjacency.layout == torch.sparse_csc:
        return  # neither takes it
    with torch.no_grad():
        _, (same, alpha) = ours(x, adjacency, return_attention_weights=True)
        assert type(same) is type(adjacency)
        _, (_, weights) = pyg(x, plain(adjacency), return_attention_weights=True)
    torch.testing.assert_close(alpha, weights)


def test_weights_keep_their_gradient(pair, edge_index) -> None:
    grads = []
    for layer in pair("GATConv", 5, 4, heads=2):
        x = torch.ones(14, 5).double().cumsum(0).sin().requires_grad_()
        _, (_, alpha) = layer(x, edge_index, return_attention_weights=True)
        alpha.square().sum().backward()
        grads.append(x.grad)
    torch.testing.assert_close(*grads)


def test_dropout_keeps_the_mean_and_its_weights_are_returned(features, edge_index) -> None:
    layer = GATConv(5, 4, dropout=0.3).double()
    x = features(14, 5, grad=False)
    with torch.no_grad():
        mean = torch.stack([layer(x, edge_index) for _ in range(2000)]).mean(0)
        _, (_, alpha) = layer(x, edge_index, return_attention_weights=True)
        assert 0.1 < float((alpha == 0).double().mean()) < 0.5
        torch.testing.assert_close(mean, layer.eval()(x, edge_index), atol=0.1, rtol=0)


def test_lazy_sizes(features, edge_index) -> None:
    ours = GATConv(-1, 4, edge_dim=-1, residual=True).double()
    x, attr = features(14, 5), features(50, 3)
    out = ours(x, edge_index, attr)
    pyg = torch_geometric.nn.GATConv(5, 4, edge_dim=3, residual=True).double()
    pyg.load_state_dict(ours.state_dict())
    torch.testing.assert_close(out, pyg(x, edge_index, attr))


def test_wrong_inputs_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    ours, pyg = pair("GATConv", 5, 4, edge_dim=3)
    x, attr = features(14, 5), features(50, 3)
    for layer, error in ((ours, EdgeRowsError), (pyg, IndexError)):
        with pytest.raises(error):
            layer(x, edge_index, attr[:49])
    for bad in (-1, 14):
        wrong = edge_index.clone()
        wrong[1, 7] = bad
        for layer, error in ((ours, IdError), (pyg, (IndexError, RuntimeError))):
            with pytest.raises(error):
                layer(x, wrong)
    layers = pair("GATConv", (5, 3), 4, add_self_loops=False)
    for layer, error in zip(layers, (InputError, ValueError), strict=True):
        with pytest.raises(error):
            layer((features(14, 5), features(14, 3)), edge_index, None, (14, 13))
    with pytest.raises(AssertionError, match="Static graphs"):
        ours(features(2, 14, 5), edge_index)


@pytest.mark.parametrize("edge_dim", [None, 3])
def test_compiles_as_a_whole(compiled, features, edge_index, edge_dim) -> None:
    layer = GATConv(5, 4, heads=2, residual=True, edge_dim=edge_dim).double()
    attr = None if edge_dim is None else features(50, 3)
    compiled(layer, features(14, 5), edge_index, attr)
    compiled(layer, features(14, 5), Graph.from_edge_index(edge_index, 14), attr)


def test_autocast_gives_the_dtype_of_pyg(pair, edge_index) -> None:
    x, attr = torch.randn(14, 5), torch.randn(50, 3)
    ours, pyg = (layer.float() for layer in pair("GATConv", 5, 4, heads=2, edge_dim=3))
    with torch.autocast("cpu", torch.bfloat16):
        actual, wanted = ours(x, edge_index, attr), pyg(x, edge_index, attr)
    assert actual.dtype == wanted.dtype == torch.float32
    torch.testing.assert_close(actual, wanted, atol=0.2, rtol=0.1)
