"""Layers equal PyG's on a SparseTensor, where torch_sparse is installed."""

import importlib.util
from typing import Any

import pytest
import torch
from torch import nn
from torch_geometric.typing import SparseTensor  # pyright: ignore[reportAttributeAccessIssue]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch_sparse") is None, reason="torch_sparse is not installed"
)

EDGES = torch.tensor([[3, 1, 2, 0, 3, 1, 4], [0, 1, 1, 2, 2, 3, 4]])


def matrix(values: torch.Tensor | None = None) -> Any:
    return SparseTensor(row=EDGES[1], col=EDGES[0], value=values, sparse_sizes=(6, 6))


CASES = [
    ("TransformerConv", (5, 4, 2), {}),
    ("GATConv", (5, 4, 2), {}),
    ("GATConv", (5, 4, 2), {"add_self_loops": False}),
    ("GATv2Conv", (5, 4, 2), {}),
    ("GCNConv", (5, 4), {}),
    ("GCNConv", (5, 4), {"normalize": False}),
    ("SAGEConv", (5, 4), {}),
    ("SAGEConv", (5, 4), {"aggr": "max"}),
    ("LGConv", (), {}),
    ("GraphConv", (5, 4), {}),
    ("GINConv", (nn.Linear(5, 4),), {}),
    ("APPNP", (3, 0.2), {}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), CASES, ids=str)
def test_equals_pyg(pair, assert_same, features, name: str, arguments, options) -> None:
    assert_same(pair(name, *arguments, **options), features(6, 5), matrix())


@pytest.mark.parametrize(
    ("name", "arguments", "options", "fused"),
    [
        ("GraphConv", (5, 4), {}, True),
        ("SAGEConv", (5, 4), {}, True),
        ("GCNConv", (5, 4), {"normalize": False}, True),
        ("GCNConv", (5, 4), {"add_self_loops": False}, True),
        ("GCNConv", (5, 4), {}, False),
        ("LGConv", (), {}, True),
        ("APPNP", (3, 0.2), {}, False),
    ],
    ids=str,
)
def test_values(pair, assert_same, features, name: str, arguments, options, fused) -> None:
    values = torch.rand(7).double()
    assert_same(pair(name, *arguments, **options), features(6, 5), matrix(values), fused=fused)


def test_what_goes_to_pyg(pair, assert_same, features) -> None:
    x = features(6, 5)
    assert_same(pair("GCNConv", 5, 4, improved=True), x, matrix(), fused=False)
    assert_same(pair("GCNConv", 5, 4, cached=True), x, matrix(), fused=False)
    ours, pyg = pair("GATConv", 5, 4, edge_dim=3)
    for layer in (ours, pyg):
        with pytest.raises(NotImplementedError):
            layer(x, matrix(), features(7, 3))
    learned = matrix(torch.rand(7).double().requires_grad_())
    assert ours.path(x, learned).reason == "a sparse adjacency that requires grad"


@pytest.mark.parametrize("name", ["TransformerConv", "GATConv"])
def test_weights_come_as_pyg_gives_them(pair, features, name: str) -> None:
    ours, pyg = pair(name, 5, 4)
    x = features(6, 5, grad=False)
    with torch.no_grad():
        (_, alpha), (_, weights) = (
            layer(x, matrix(), return_attention_weights=True) for layer in (ours, pyg)
        )
    torch.testing.assert_close(alpha.storage.value(), weights.storage.value())


def test_edge_attr_beside_it(pair, assert_same, features) -> None:
    layers = pair("TransformerConv", 5, 4, edge_dim=3)
    assert_same(layers, features(6, 5), matrix(), features(7, 3))
    assert_same(layers, features(6, 5), matrix(torch.randn(7, 3).double()), fused=False)
