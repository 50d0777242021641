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
