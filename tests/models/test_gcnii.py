"""GCNII against its equation in fp64, against PyG's layer, and on a batch."""

import math
from typing import Any

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models import GCNII


def build(layers: int = 3, **options: Any) -> GCNII:
    sizes: dict[str, Any] = {"in_channels": 6, "hidden_channels": 5, "out_channels": 3}
    return GCNII(**sizes, layers=layers, dropout=0.5, **options).eval()


def test_equation(graph: Graph, normalised: torch.Tensor) -> None:
    model, x = build(alpha=0.2, decay=0.7).double(), torch.randn(40, 6, dtype=torch.float64)
    first = h = model.hidden(x).relu()
    for layer, weight in enumerate(model.weights, start=1):
        beta = math.log(0.7 / layer + 1)
        mixed = 0.8 * normalised @ h + 0.2 * first
        h = ((1 - beta) * mixed + beta * mixed @ weight).relu()
    torch.testing.assert_close(model(x, graph), model.out(h))


def test_equals_pyg(graph: Graph) -> None:
    from torch_geometric.nn import GCN2Conv

    model, x = build(layers=2), torch.randn(40, 6)
    first = h = model.hidden(x).relu()
    for layer, weight in enumerate(model.weights, start=1):
        conv = GCN2Conv(5, alpha=0.1, theta=0.5, layer=layer, add_self_loops=False)
        conv.weight1.data.copy_(weight)
        h = conv(h, first, graph.edge_index).relu()
    torch.testing.assert_close(model(x, graph), model.out(h))


def test_a_batch_is_one_model_after_another(graph: Graph) -> None:
    model, z = build(), torch.randn(40, 4, 5)
    expected = torch.stack([model.convolve(each, graph) for each in z.unbind(1)], dim=1)
    torch.testing.assert_close(model.convolve(z, graph), expected)


def test_dropout_is_for_training(graph: Graph) -> None:
    model, x = build(), torch.randn(40, 6)
    assert torch.equal(model(x, graph), model(x, graph))
    model.train()
    assert not torch.equal(model(x, graph), model(x, graph))


def test_wrong_options() -> None:
    with pytest.raises(InputError, match="layers=0 must be at least 1"):
        build(layers=0)
    with pytest.raises(InputError, match=r"alpha=1.5 is outside \[0, 1\]"):
        build(alpha=1.5)
    with pytest.raises(InputError, match="decay=-1 must be finite"):
        build(decay=-1)
