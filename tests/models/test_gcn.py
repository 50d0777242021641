"""GCN against its equation in fp64, against PyG, and under a permutation of the nodes."""

import torch

from neighborgraph.graph import Graph
from neighborgraph.models import GCN


def build() -> GCN:
    model = GCN(in_channels=6, hidden_channels=8, out_channels=3, dropout=0.5).eval()
    for bias in (model.hidden_bias, model.out_bias):
        torch.nn.init.normal_(bias)
    return model


def test_equation(graph, normalised) -> None:
    model, x = build(), torch.randn(40, 6)
    w1, w2 = model.hidden.weight.double(), model.out.weight.double()
    hidden = (normalised @ x.double() @ w1.t() + model.hidden_bias).relu()
    expected = normalised @ hidden @ w2.t() + model.out_bias
    torch.testing.assert_close(model(x, graph).double(), expected, rtol=1e-5, atol=1e-5)


def test_equals_pyg(graph) -> None:
    from torch_geometric.nn import GCNConv

    model, x = build(), torch.randn(40, 6)
    first, second = GCNConv(6, 8), GCNConv(8, 3)
    with torch.no_grad():
        first.lin.weight.copy_(model.hidden.weight)
        first.bias.copy_(model.hidden_bias)
        second.lin.weight.copy_(model.out.weight)
        second.bias.copy_(model.out_bias)
    expected = second(first(x, graph.edge_index).relu(), graph.edge_index)
    torch.testing.assert_close(model(x, graph), expected)


def test_permuting_nodes_permutes_the_output(graph) -> None:
    model, x, order = build(), torch.randn(40, 6), torch.randperm(40)
    moved = Graph.from_edge_index(order.argsort()[graph.edge_index], 40)
    torch.testing.assert_close(model(x[order], moved), model(x, graph)[order])
