"""DAGNN against its equations in fp64, with sparse features, and with no hop at all."""

import torch

from neighborgraph import models
from neighborgraph.models import DAGNN
from neighborgraph.tasks.node_classification import sparse_when_small
from neighborgraph.tasks.recipe import load_recipe


def build(hops: int) -> DAGNN:
    return DAGNN(in_channels=30, hidden_channels=8, out_channels=3, hops=hops, dropout=0.5).eval()


def test_equations(graph, normalised) -> None:
    model, x = build(hops=4), torch.randn(40, 30)
    hop = model.transform(x).double()
    score = model.gate.score
    expected = torch.zeros_like(hop)
    for _ in range(5):
        gate = (hop @ score.weight.double().t() + score.bias.double()).sigmoid()
        expected += gate * hop
        hop = normalised @ hop
    torch.testing.assert_close(model(x, graph).double(), expected, rtol=1e-5, atol=1e-5)


def test_sparse_features_give_the_same_scores(graph) -> None:
    model, x = build(hops=3), torch.rand(40, 30) * (torch.rand(40, 30) < 0.05)
    thin = sparse_when_small(x)
    assert not isinstance(thin, torch.Tensor)
    torch.testing.assert_close(model(thin, graph), model(x, graph))


def test_without_hops_it_is_a_gated_mlp(graph) -> None:
    model, x = build(hops=0), torch.randn(40, 30)
    z = model.transform(x)
    torch.testing.assert_close(model(x, graph), model.gate.score(z).sigmoid() * z)


def test_size_of_the_published_model_of_ogbn_arxiv() -> None:
    options = load_recipe("dagnn", "ogbn-arxiv").model
    model = models.build("dagnn", 128, 40, **options)
    assert sum(p.numel() for p in model.parameters()) == 43_857


def test_number_of_parameters() -> None:
    count = sum(p.numel() for p in build(hops=10).parameters())
    assert count == (30 + 1) * 8 + (8 + 1) * 3 + (3 + 1)
