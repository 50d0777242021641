"""GCNConv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import EdgeRowsError, IdError
from neighborgraph.graph import Graph
from neighborgraph.nn import GCNConv

OPTIONS = [
    {},
    {"improved": True},
    {"add_self_loops": False},
    {"normalize": False},
    {"bias": False},
]


@pytest.mark.parametrize("weighted", ["no weights", "constant", "learned"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_pyg(pair, assert_same, features, graph, options, weighted: str) -> None:
    nodes, edge_index = graph
    weight = None
    if weighted != "no weights":
        weight = torch.rand(edge_index.shape[1]).double()
        weight = weight.requires_grad_(weighted == "learned")
        if options.get("normalize", True):
            # Which weight a node with several loops keeps is not defined.
            edge_index = without_repeated_loops(edge_index)
            weight = weight[: edge_index.shape[1]].detach().requires_grad_(weight.requires_grad)
    layers = pair("GCNConv", 5, 4, **options)
    assert_same(layers, features(nodes, 5), edge_index, weight)


def without_repeated_loops(edge_index: Tensor) -> Tensor:
    seen: set[int] = set()
    kept = []
    for position, (source, receiver) in enumerate(edge_index.t().tolist()):
        if source != receiver or source not in seen:
            kept.append(position)
        if source == receiver:
            seen.add(source)
    return edge_index[:, kept]


@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"improved": True}], ids=str)
def test_formats(pair, assert_same, features, adjacency, plain, options) -> None:
    layers = pair("GCNConv", 5, 4, **options)
    is_csc = isinstance(adjacency, Tensor) and adjacency.layout == torch.sparse_csc
    if is_csc and options.get("normalize", True):
        path = layers[0].path(features(6, 5), adjacency)
        assert path == (False, "normalisation of a sparse CSC adjacency")
        return
    assert_same(layers, features(6, 5), adjacency, plain=plain(adjacency))


@pytest.mark.parametrize("normalize", [False, True])
def test_values_of_a_matrix_are_weights(pair, assert_same, features, normalize: bool) -> None:
    edge_index = torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]])
    matrix = torch.sparse_coo_tensor(edge_index, torch.rand(4).double(), (3, 3)).coalesce()
    layers = pair("GCNConv", 5, 4, normalize=normalize)
    assert_same(layers, features(3, 5), matrix)


def test_weights_of_a_graph_count(pair, assert_same, features, edge_index) -> None:
    edge_index = without_repeated_loops(edge_index)
    weight = torch.rand(edge_index.shape[1]).double()
    graph = Graph.from_edge_index(edge_index, 14, weight=weight)
    x = features(14, 5)
    ours, pyg = pair("GCNConv", 5, 4)
    torch.testing.assert_close(ours(x, graph), pyg(x, edge_index, weight))
    ours.register_message_forward_hook(lambda *_: None)
    assert not ours.path(x, graph).fused
    torch.testing.assert_close(ours(x, graph), pyg(x, edge_index, weight))


@pytest.mark.parametrize("weighted", [False, True])
def test_cached_keeps_what_pyg_keeps(pair, assert_same, features, edge_index, weighted) -> None:
    weight = torch.rand(50).double() if weighted else None
    layers = ours, pyg = pair("GCNConv", 5, 4, cached=True)
    x = features(14, 5)
    assert_same(layers, x, edge_index, weight)
    for mine, theirs in zip(ours._cached_edge_index, pyg._cached_edge_index, strict=True):
        assert torch.equal(mine, theirs)
    assert_same(layers, x, torch.tensor([[0], [1]]))  # another graph does not matter any more
    ours.reset_parameters()
    assert ours._cached_edge_index is None


def test_static_graphs_and_pairs_go_to_pyg(pair, assert_same, features, edge_index) -> None:
    layers = pair("GCNConv", 5, 4)
    assert_same(layers, features(2, 14, 5), edge_index, fused=False)
    x = features(14, 5), features(14, 5)
    assert layers[0].path(x, edge_index).reason == "a pair of features"
    for layer in layers:
        with pytest.raises(ValueError, match="tuple"):
            layer(x, edge_index)


def test_weights_of_another_kind_go_to_pyg(pair, assert_same, features, edge_index) -> None:
    layers = pair("GCNConv", 5, 4, normalize=False)
    x = features(14, 5)
    for weight in (torch.ones(50), torch.arange(50), torch.ones(50, 1).double(), torch.ones(1)):
        assert_same(layers, x, edge_index, weight, fused=False)


def test_an_isolated_node_without_loops_gets_the_bias(edge_index) -> None:
    layer = GCNConv(5, 4, add_self_loops=False)
    assert torch.equal(layer(torch.randn(14, 5), edge_index)[13], layer.bias)


def test_wrong_inputs_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    ours, pyg = pair("GCNConv", 5, 4)
    x = features(14, 5)
    for layer, error in ((ours, EdgeRowsError), (pyg, (IndexError, RuntimeError))):
        with pytest.raises(error):
            layer(x, edge_index, torch.ones(49).double())
    for layer, error in ((ours, IdError), (pyg, (IndexError, RuntimeError))):
        with pytest.raises(error):
            layer(x, edge_index + 3)


@pytest.mark.parametrize("options", [{}, {"improved": True}, {"add_self_loops": False}], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_compiles_as_a_whole(compiled, features, edge_index, options, weighted: bool) -> None:
    weight = torch.rand(50).double().requires_grad_() if weighted else None
    edge_index = without_repeated_loops(edge_index)
    weight = weight if weight is None else weight[: edge_index.shape[1]].detach().requires_grad_()
    compiled(GCNConv(5, 4, **options).double(), features(14, 5), edge_index, weight)


def test_compiles_with_inductor(compiled, features, edge_index) -> None:
    compiled(GCNConv(5, 4).double(), features(14, 5), edge_index, backend="inductor")


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_autocast_gives_the_dtype_of_pyg(pair, edge_index, normalize: bool, bias: bool) -> None:
    x, weight = torch.randn(14, 5), torch.rand(50)
    layers = pair("GCNConv", 5, 4, normalize=normalize, bias=bias)
    ours, pyg = (layer.float() for layer in layers)
    for args in ((x, edge_index), (x, edge_index, weight), (x.bfloat16(), edge_index)):
        with torch.autocast("cpu", torch.bfloat16):
            actual, wanted = ours(*args), pyg(*args)
        assert actual.dtype == wanted.dtype
        if args[1:] == (edge_index,):
            torch.testing.assert_close(actual, wanted, atol=0.2, rtol=0.1)
