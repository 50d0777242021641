"""MLP against its formula, and its indifference to the graph."""

import torch

from neighborgraph.models import MLP


def test_formula(graph) -> None:
    model = MLP(in_channels=6, hidden_channels=8, out_channels=3, dropout=0.5).eval()
    x = torch.randn(40, 6)
    expected = model.out(model.hidden(x).relu())
    assert torch.equal(model(x, graph), expected)
    assert torch.equal(model(x), expected)


def test_dropout_only_while_training(graph) -> None:
    model = MLP(in_channels=6, hidden_channels=8, out_channels=3, dropout=0.5)
    x = torch.randn(40, 6)
    assert not torch.equal(model(x, graph), model(x, graph))


def test_normalised_hidden_layer_and_whole_features(graph) -> None:
    sizes = {"in_channels": 6, "hidden_channels": 8, "out_channels": 3, "dropout": 0.0}
    model, x = MLP(**sizes, drop_features=False, batch_norm=True), torch.randn(40, 6)
    z = model.hidden(x)
    z = (z - z.mean(dim=0)) / (z.var(dim=0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(model(x, graph), model.out(z.relu()))
    spoiled = MLP(**{**sizes, "dropout": 0.9}, drop_features=False)
    seen = []
    spoiled.hidden.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    spoiled(x, graph)
    assert torch.equal(seen[0], x)
