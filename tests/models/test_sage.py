"""GraphSAGE against its equation in fp64, against PyG with gradients, and under a permutation."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models import SAGE
from neighborgraph.tasks.node_classification import sparse_when_small


def build() -> SAGE:
    return SAGE(in_channels=6, hidden_channels=8, out_channels=3, dropout=0.5).eval()


def test_equation(graph) -> None:
    model, x = build().double(), torch.randn(40, 6, dtype=torch.float64)
    source, receiver = graph.edge_index
    mean = torch.zeros(40, 40, dtype=torch.float64)
    mean[receiver, source] = 1
    mean /= mean.sum(1, keepdim=True)
    hidden = (model.hidden(x) + mean @ x @ model.hidden_neighbors.weight.t()).relu()
    expected = model.out(hidden) + mean @ hidden @ model.out_neighbors.weight.t()
    torch.testing.assert_close(model(x, graph), expected)


def test_equals_pyg_with_gradients(graph) -> None:
    from torch_geometric.nn import SAGEConv

    model, x = build(), torch.randn(40, 6)
    first, second = SAGEConv(6, 8), SAGEConv(8, 3)
    pairs = [
        (first.lin_l.weight, model.hidden_neighbors.weight),
        (first.lin_l.bias, model.hidden.bias),
        (first.lin_r.weight, model.hidden.weight),
        (second.lin_l.weight, model.out_neighbors.weight),
        (second.lin_l.bias, model.out.bias),
        (second.lin_r.weight, model.out.weight),
    ]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    expected = second(first(x, graph.edge_index).relu(), graph.edge_index)
    actual = model(x, graph)
    torch.testing.assert_close(actual, expected)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (actual * weights).sum().backward()
    for theirs, ours in pairs:
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_sparse_features_give_the_same_scores(graph) -> None:
    model = SAGE(in_channels=30, hidden_channels=8, out_channels=3, dropout=0.5).eval()
    x = torch.rand(40, 30) * (torch.rand(40, 30) < 0.05)
    thin = sparse_when_small(x)
    assert isinstance(thin, Graph)
    torch.testing.assert_close(model(thin, graph), model(x, graph))


def test_permuting_nodes_permutes_the_output(graph) -> None:
    model, x, order = build(), torch.randn(40, 6), torch.randperm(40)
    moved = Graph.from_edge_index(order.argsort()[graph.edge_index], 40)
    torch.testing.assert_close(model(x[order], moved), model(x, graph)[order])


def test_more_layers_and_whole_features(graph) -> None:
    from torch_geometric.nn import GraphSAGE

    sizes = {"in_channels": 6, "hidden_channels": 8, "out_channels": 3}
    model = SAGE(**sizes, dropout=0.0, layers=4, drop_features=False)
    theirs = GraphSAGE(6, 8, num_layers=4, out_channels=3)
    own = ["hidden", "middle.0", "middle.1", "out"]
    with torch.no_grad():
        for conv, name in zip(theirs.convs, own, strict=True):
            first, *number = name.split(".")
            neighbors = ".".join([f"{first}_neighbors", *number])
            for part, ours in (
                ("lin_r.weight", f"{name}.weight"),
                ("lin_l.bias", f"{name}.bias"),
                ("lin_l.weight", f"{neighbors}.weight"),
            ):
                conv.get_parameter(part).copy_(model.get_parameter(ours))
    x = torch.randn(40, 6)
    torch.testing.assert_close(model(x, graph), theirs(x, graph.edge_index))
    spoiled = SAGE(**sizes, dropout=0.9, layers=2, drop_features=False)
    seen = []
    spoiled.hidden.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    spoiled(x, graph)
    assert torch.equal(seen[0], x)
    with pytest.raises(InputError, match="layers=1 must be at least 2"):
        SAGE(in_channels=6, hidden_channels=8, out_channels=3, dropout=0.0, layers=1)
