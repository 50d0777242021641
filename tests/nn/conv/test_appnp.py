"""APPNP equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch

from neighborgraph.errors import EdgeRowsError
from neighborgraph.nn import APPNP


@pytest.mark.parametrize("weighted", ["no weights", "constant", "learned"])
@pytest.mark.parametrize(
    "options", [{}, {"add_self_loops": False}, {"normalize": False}, {"cached": True}], ids=str
)
def test_equals_pyg(pair, assert_same, features, graph, options, weighted: str) -> None:
    nodes, edge_index = graph
    weight = None
    if weighted != "no weights":
        edge_index = edge_index[:, edge_index[0] != edge_index[1]]
        weight = torch.rand(edge_index.shape[1]).double()
        weight.requires_grad_(weighted == "learned" and not options.get("cached", False))
    layers = pair("APPNP", 3, 0.2, **options)
    assert_same(layers, features(nodes, 5), edge_index, weight)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_extremes_of_alpha(pair, assert_same, features, edge_index, alpha: float) -> None:
    assert_same(pair("APPNP", 2, alpha), features(14, 5), edge_index)
    assert_same(pair("APPNP", 0, alpha), features(14, 5), edge_index)


def test_formats(pair, assert_same, features, adjacency, plain) -> None:
    layers = pair("APPNP", 3, 0.2)
    if not layers[0].path(features(6, 5), adjacency).fused:
        assert adjacency.layout == torch.sparse_csc
        return
    assert_same(layers, features(6, 5), adjacency, plain=plain(adjacency))


def test_dropout_of_edges_goes_to_pyg(features, edge_index) -> None:
    layer = APPNP(3, 0.2, dropout=0.5)
    x = features(14, 5)
    assert layer.path(x, edge_index) == (False, "dropout of edges")
    torch.manual_seed(3)
    first = layer(x, edge_index)
    assert not torch.equal(first, layer(x, edge_index))
    assert layer.eval().path(x, edge_index).fused


def test_wrong_weights_are_refused(features, edge_index) -> None:
    with pytest.raises(EdgeRowsError):
        APPNP(3, 0.2)(features(14, 5), edge_index, torch.ones(49).double())


@pytest.mark.parametrize("weighted", [False, True])
def test_compiles_as_a_whole(compiled, features, edge_index, weighted: bool) -> None:
    weight = torch.rand(50).double().requires_grad_() if weighted else None
    edge_index[1] = (edge_index[0] + 1) % 14
    compiled(APPNP(3, 0.2).double(), features(14, 5), edge_index, weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_gives_the_dtype_of_pyg(pair, edge_index, dtype) -> None:
    x = torch.randn(14, 5, dtype=dtype)
    for weight in (None, torch.rand(50)):
        with torch.autocast("cpu", torch.bfloat16):
            actual, wanted = (layer(x, edge_index, weight) for layer in pair("APPNP", 3, 0.2))
        assert actual.dtype == wanted.dtype
        if weight is None:
            torch.testing.assert_close(actual, wanted, atol=0.1, rtol=0.1)
