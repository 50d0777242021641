"""Edge features of self-loops, and weights, as PyG makes them."""

import pytest
import torch
from torch import nn
from torch_geometric.utils import add_self_loops, remove_self_loops

from neighborgraph.nn.conv.attention import (
    edge_attr_refusal,
    looped_weights_refusal,
    loops_refusal,
    merge_heads,
    score_dtype,
    weights_refusal,
    with_loops,
    without_replaced,
)

FILLS = ["mean", "add", "sum", "max", "min", "mul", 0.0, 2, torch.tensor([1.0, 2.0, 3.0])]


@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_features_of_loops(edge_index, fill) -> None:
    attr = torch.randn(50, 3, requires_grad=True)
    made = with_loops(attr, edge_index, 14, fill)
    kept, features = remove_self_loops(edge_index, attr)
    _, wanted = add_self_loops(kept, features, fill, 14)
    torch.testing.assert_close(made[50:], wanted[-14:])
    assert torch.equal(made[:50], attr)
    weight = torch.randn(14, 3)
    if made[50:].requires_grad:
        grads = [
            torch.autograd.grad((part[-14:] * weight).sum(), attr, allow_unused=True)[0]
            for part in (made, wanted)
        ]
        if grads[1] is not None:
            torch.testing.assert_close(*grads)


def test_features_of_loops_ignore_those_of_old_loops() -> None:
    edges = torch.tensor([[0, 1], [0, 0]])
    attr = torch.tensor([[torch.nan], [2.0]])
    assert with_loops(attr, edges, 2, "mean")[2:].tolist() == [[2.0], [0.0]]


def test_edges_without_replaced_loops() -> None:
    edges, alpha = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[0.0], [0.25], [0.75], [1.0]])
    kept, weights = without_replaced(edges, alpha, 2)
    assert kept.tolist() == [[1, 0, 1], [0, 0, 1]]
    assert weights.view(-1).tolist() == [0.25, 0.75, 1.0]


def test_refusals(edge_index) -> None:
    matrix = torch.eye(3).to_sparse()
    assert edge_attr_refusal(True, edge_index, torch.zeros(50, 2)) == ""
    assert edge_attr_refusal(True, edge_index, torch.zeros(1, 2)) != ""
    assert edge_attr_refusal(False, edge_index, torch.zeros(1, 2)) == ""
    assert edge_attr_refusal(True, edge_index[:, :1], torch.zeros(1, 2)) == ""
    assert loops_refusal(False, edge_index, None, (3, 4)) == ""
    assert loops_refusal(True, edge_index, None, (3, 3)) == ""
    assert loops_refusal(True, edge_index, None, (3, 4)).startswith("self-loops where sources")
    assert loops_refusal(True, matrix, None, (3, 3)) == ""
    assert loops_refusal(True, matrix, torch.zeros(3, 1), (3, 3)).startswith("edge_attr and")
    assert looped_weights_refusal(True, edge_index, True) == ""
    assert looped_weights_refusal(False, matrix, True) == ""
    assert looped_weights_refusal(True, matrix, False) == "attention weights as a sparse matrix"
    layer, x = nn.Linear(2, 2), torch.zeros(1)
    assert weights_refusal(True, layer, x) == "attention weights with a gradient"
    assert weights_refusal(False, layer, x) == ""
    with torch.no_grad():
        assert weights_refusal(True, layer, x) == ""
    assert weights_refusal(True, layer.requires_grad_(False), x) == ""


def test_heads_side_by_side_or_their_mean() -> None:
    class Layer:
        heads, out_channels, concat = 2, 3, True

    out = torch.arange(12.0).view(2, 2, 3)
    assert torch.equal(merge_heads(Layer, out), out.view(2, 6))
    Layer.concat = False
    assert torch.equal(merge_heads(Layer, out), out.mean(1))


def test_autocast_keeps_the_narrow_dtype_on_the_cpu_only() -> None:
    value = torch.zeros(1, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert score_dtype(value) == torch.bfloat16
    assert score_dtype(value.float()) == torch.float32
