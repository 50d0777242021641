"""GCN against its equation in fp64, against PyG, and under a permutation of the nodes."""

import pytest
import torch

from neighborgraph.errors import InputError
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


def test_three_normalised_layers_equal_pyg(graph) -> None:
    from torch_geometric.nn import GCN as PygGCN

    sizes = {"in_channels": 6, "hidden_channels": 8, "out_channels": 3, "dropout": 0.0}
    model = GCN(**sizes, layers=3, batch_norm=True, drop_features=False)
    theirs = PygGCN(6, 8, 3, 3, norm="batch_norm")
    names = (("hidden", "hidden_bias"), ("middle.0", "middle_bias.0"), ("out", "out_bias"))
    state = {}
    for number, (layer, bias) in enumerate(names):
        state[f"convs.{number}.lin.weight"] = model.get_parameter(f"{layer}.weight")
        state[f"convs.{number}.bias"] = torch.nn.init.normal_(model.get_parameter(bias))
    theirs.load_state_dict(state, strict=False)
    x = torch.randn(40, 6)
    for training in (True, False):
        model.train(training)
        theirs.train(training)
        expected = theirs(x, graph.edge_index)
        torch.testing.assert_close(model(x, graph), expected, rtol=1e-4, atol=1e-5)


def test_size_of_ogbs_example() -> None:
    sizes = {"in_channels": 128, "hidden_channels": 256, "out_channels": 40, "dropout": 0.5}
    model = GCN(**sizes, layers=3, batch_norm=True)
    assert sum(p.numel() for p in model.parameters()) == 110_120


def test_features_are_kept_whole_when_asked(graph) -> None:
    model = GCN(in_channels=6, hidden_channels=8, out_channels=3, dropout=0.9, drop_features=False)
    seen = []
    model.hidden.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    x = torch.randn(40, 6)
    model(x, graph)
    assert torch.equal(seen[0], x)


def test_one_layer_is_refused() -> None:
    with pytest.raises(InputError, match="layers=1 must be at least 2"):
        GCN(in_channels=6, hidden_channels=8, out_channels=3, dropout=0.5, layers=1)


def test_permuting_nodes_permutes_the_output(graph) -> None:
    model, x, order = build(), torch.randn(40, 6), torch.randperm(40)
    moved = Graph.from_edge_index(order.argsort()[graph.edge_index], 40)
    torch.testing.assert_close(model(x[order], moved), model(x, graph)[order])
