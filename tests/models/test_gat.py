"""GAT against PyG with gradients, on a batch, with sparse features, and with dropout."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models import GAT
from neighborgraph.tasks.node_classification import sparse_when_small


def build(**options: int) -> GAT:
    sizes = {"in_channels": 6, "hidden_channels": 4, "out_channels": 3, "heads": 2, **options}
    return GAT(**sizes, dropout=0.5).eval()


def test_equals_pyg_with_gradients(graph: Graph) -> None:
    from torch_geometric.nn import GATConv

    model, x = build(out_heads=2), torch.randn(40, 6)
    first = GATConv(6, 4, heads=2, add_self_loops=False)
    second = GATConv(8, 3, heads=2, concat=False, add_self_loops=False)
    assert first.lin is not None
    assert second.lin is not None
    pairs = [
        (first.lin.weight, model.hidden.weight),
        (first.att_src, model.hidden_attention.source),
        (first.att_dst, model.hidden_attention.target),
        (first.bias, model.hidden_bias),
        (second.lin.weight, model.out.weight),
        (second.att_src, model.out_attention.source),
        (second.att_dst, model.out_attention.target),
        (second.bias, model.out_bias),
    ]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours.view_as(theirs))
    edges = graph.edge_index
    expected = second(torch.nn.functional.elu(first(x, edges)), edges)
    actual = model(x, graph)
    torch.testing.assert_close(actual, expected)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (actual * weights).sum().backward()
    for theirs, ours in pairs:
        torch.testing.assert_close(ours.grad, theirs.grad.view_as(ours), rtol=1e-4, atol=1e-5)


def test_a_batch_is_one_model_after_another(graph: Graph) -> None:
    model, z = build(), torch.randn(40, 5, 8)
    expected = torch.stack([model.convolve(each, graph) for each in z.unbind(1)], dim=1)
    torch.testing.assert_close(model.convolve(z, graph), expected)


def test_sparse_features_give_the_same_scores(graph: Graph) -> None:
    model = build(in_channels=30)
    x = torch.rand(40, 30) * (torch.rand(40, 30) < 0.05)
    thin = sparse_when_small(x)
    assert isinstance(thin, Graph)
    torch.testing.assert_close(model(thin, graph), model(x, graph))


def test_dropout_is_for_training(graph: Graph) -> None:
    model, x = build(), torch.randn(40, 6)
    assert torch.equal(model(x, graph), model(x, graph))
    model.train()
    assert not torch.equal(model(x, graph), model(x, graph))


def test_wrong_options() -> None:
    with pytest.raises(InputError, match="out_heads=0 must be at least 1"):
        build(out_heads=0)
