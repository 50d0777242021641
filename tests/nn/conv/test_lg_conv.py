"""LGConv equals PyG's on every input it fuses, and falls back on the others."""

import pytest
import torch

from neighborgraph.errors import EdgeRowsError
from neighborgraph.nn import LGConv


@pytest.mark.parametrize("weighted", ["no weights", "constant", "learned"])
@pytest.mark.parametrize("normalize", [False, True])
def test_equals_pyg(pair, assert_same, features, graph, normalize: bool, weighted: str) -> None:
    nodes, edge_index = graph
    weight = None
    if weighted != "no weights":
        weight = torch.rand(edge_index.shape[1]).double().requires_grad_(weighted == "learned")
    assert_same(pair("LGConv", normalize=normalize), features(nodes, 5), edge_index, weight)


@pytest.mark.parametrize("normalize", [False, True])
def test_formats(pair, assert_same, features, adjacency, plain, normalize: bool) -> None:
    layers = pair("LGConv", normalize=normalize)
    if normalize and not layers[0].path(features(6, 5), adjacency).fused:
        assert adjacency.layout == torch.sparse_csc
        return
    assert_same(layers, features(6, 5), adjacency, plain=plain(adjacency))


def test_static_graphs_go_to_pyg(pair, assert_same, features, edge_index) -> None:
    assert_same(pair("LGConv"), features(2, 14, 5), edge_index, fused=False)


def test_wrong_weights_are_refused_as_in_pyg(pair, features, edge_index) -> None:
    for layer, error in zip(pair("LGConv"), (EdgeRowsError, RuntimeError), strict=True):
        with pytest.raises(error):
            layer(features(14, 5), edge_index, torch.ones(49).double())


@pytest.mark.parametrize("weighted", [False, True])
def test_compiles_as_a_whole(compiled, features, edge_index, weighted: bool) -> None:
    weight = torch.rand(50).double().requires_grad_() if weighted else None
    compiled(LGConv().double(), features(14, 5), edge_index, weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_gives_the_dtype_of_pyg(pair, edge_index, dtype) -> None:
    x = torch.randn(14, 5, dtype=dtype)
    for weight in (None, torch.rand(50), torch.rand(50).bfloat16()):
        with torch.autocast("cpu", torch.bfloat16):
            actual, wanted = (layer(x, edge_index, weight) for layer in pair("LGConv"))
        assert actual.dtype == wanted.dtype
        torch.testing.assert_close(actual, wanted, atol=0.1, rtol=0.1)
