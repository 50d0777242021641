"""GRAND against its equation in fp64, in both orders of its first layer, and in training."""

from typing import Any

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models import GRAND
from neighborgraph.nn.features import drop_nodes
from neighborgraph.tasks.node_classification import sparse_when_small


def build(hops: int = 3, **options: Any) -> GRAND:
    sizes: dict[str, Any] = {"in_channels": 6, "hidden_channels": 5, "out_channels": 3}
    return GRAND(**sizes, hops=hops, **{"dropout": 0.5, **options})


def mixed(normalised: torch.Tensor, x: torch.Tensor, hops: int) -> torch.Tensor:
    """The mean of the powers, one by one."""
    powers = [x]
    for _ in range(hops):
        powers.append(normalised @ powers[-1])
    return torch.stack(powers).mean(0)


@pytest.mark.parametrize("hops", [0, 1, 4])
def test_equation(graph: Graph, normalised: torch.Tensor, hops: int) -> None:
    model, x = build(hops).double().eval(), torch.randn(40, 6, dtype=torch.float64)
    expected = model.out(model.hidden(mixed(normalised, x / 2, hops)).relu())
    torch.testing.assert_close(model(x, graph), expected)


@pytest.mark.parametrize("input_dropout", [0.0, 1e-12])
def test_equation_and_gradients_in_training(
    graph: Graph, normalised: torch.Tensor, input_dropout: float
) -> None:
    """With a dropout of the entries that drops none, the propagation is wide."""
    model = build(dropout=0, input_dropout=input_dropout).double()
    x = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    found = model(x, graph)
    torch.manual_seed(3)
    left = x * torch.bernoulli(torch.full((40, 1), 0.5, dtype=torch.float64))
    expected = model.out(model.hidden(mixed(normalised, left, 3)).relu())
    torch.testing.assert_close(found, expected)
    seen = torch.randn_like(found)
    wanted = [x, *model.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad((found * seen).sum(), wanted),
        torch.autograd.grad((expected * seen).sum(), wanted),
    )


def test_batch_norm_stands_before_the_product_and_after_the_relu(
    graph: Graph, normalised: torch.Tensor
) -> None:
    model = build(dropout=0, node_dropout=0, batch_norm=True).double()
    x = torch.randn(40, 6, dtype=torch.float64)

    def scaled(z: torch.Tensor) -> torch.Tensor:
        return (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()

    hidden = model.hidden(scaled(mixed(normalised, x, 3))).relu()
    torch.testing.assert_close(model(x, graph), model.out(scaled(hidden)))
    before = model.eval()(x, graph)
    model(x * 3, graph)
    torch.testing.assert_close(model(x, graph), before)


@pytest.mark.parametrize("options", [{}, {"input_dropout": 0.3}, {"batch_norm": True}])
@pytest.mark.parametrize("training", [True, False])
def test_sparse_features_give_the_same_scores(graph: Graph, options: dict, training: bool) -> None:
    model = build(**options).train(training)
    x = torch.rand(40, 6) * (torch.rand(40, 6) < 0.05)
    thin = sparse_when_small(x)
    assert isinstance(thin, Graph)
    results = []
    for features in (x, thin):
        torch.manual_seed(4)
        results.append(model(features, graph))
    torch.testing.assert_close(*results)


def test_the_mean_of_augmentations_is_the_evaluation(graph: Graph) -> None:
    model, x = build(input_dropout=0.3), torch.rand(40, 6)
    with torch.no_grad():
        draws = torch.stack(
            [model.first_layer(drop_nodes(x, 0.5, training=True), graph) for _ in range(2000)]
        )
        expected = model.eval().first_layer(x / 2, graph)
    error = draws.std(0) / 2000**0.5
    assert ((draws.mean(0) - expected).abs() < 6 * error + 1e-6).all()


def test_every_call_of_training_differs(graph: Graph) -> None:
    model, x = build(dropout=0), torch.rand(40, 6)
    assert not torch.equal(model(x, graph), model(x, graph))
    model.eval()
    assert torch.equal(model(x, graph), model(x, graph))


def test_wrong_options() -> None:
    with pytest.raises(InputError, match="hops=-1 is negative"):
        build(-1)
    with pytest.raises(InputError, match=r"node_dropout=1.0 is outside \[0, 1\)"):
        build(node_dropout=1.0)
    with pytest.raises(InputError, match=r"input_dropout=-0.1 is outside \[0, 1\)"):
        build(input_dropout=-0.1)


@pytest.mark.cuda
@pytest.mark.parametrize("options", [{}, {"batch_norm": True}])
def test_equals_the_cpu_on_a_gpu(graph: Graph, options: dict) -> None:
    model, x = build(**options).eval(), torch.rand(40, 6)
    expected = model(x, graph)
    found = model.cuda()(x.cuda(), graph.to("cuda"))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
