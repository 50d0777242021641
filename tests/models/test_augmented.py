"""Augmented models: the first layer against separate ones, samples, dropout and options."""

import pytest
import torch

from neighborgraph import models
from neighborgraph.errors import ConfigError, InputError
from neighborgraph.graph import Graph
from neighborgraph.models import GAT, GCN, GCNII, GRAND, LAGCN, LAGRAND, SAGE, Augmented
from neighborgraph.models.augmented import dropped
from neighborgraph.tasks.node_classification import sparse_when_small

OPTIONS = {"hidden_channels": 4, "dropout": 0.5, "concat": 2}
EXTRA = {"la-gat": {"heads": 2}, "la-gcnii": {"layers": 3}}
PLAIN = {"la-gcn": GCN, "la-gat": GAT, "la-sage": SAGE, "la-gcnii": GCNII}
FIRST = ("hidden.weight", "hidden_neighbors.weight")
EACH = pytest.mark.parametrize("name", list(PLAIN))


def build(name: str) -> Augmented:
    model = models.build(name, 6, 3, **OPTIONS, **EXTRA.get(name, {}))
    assert isinstance(model, Augmented)
    return model.eval()


def plain_scores(model: Augmented, x: torch.Tensor, graph: Graph) -> torch.Tensor:
    """What the plain model says with the same parameters."""
    plain = next(kind for kind in PLAIN.values() if isinstance(model, kind))
    return plain.forward(model, x, graph)  # pyright: ignore[reportArgumentType]


@EACH
def test_equal_sets_give_the_plain_model(name: str, graph: Graph) -> None:
    model, x = build(name), torch.rand(40, 6)
    found = model(x, graph, x.expand(2, 3, 40, 6))
    torch.testing.assert_close(found, plain_scores(model, x, graph)[:, None].expand(40, 3, 3))


@EACH
def test_a_set_is_seen_by_its_own_block_alone(name: str, graph: Graph) -> None:
    model, x, sets = build(name), torch.rand(40, 6), torch.rand(2, 2, 40, 6)
    weights = [p for key, p in model.named_parameters() if key in FIRST]
    with torch.no_grad():
        for weight in weights:
            weight.chunk(3)[1].zero_()
    before = model(x, graph, sets)
    sets[0] = torch.rand(2, 40, 6)
    torch.testing.assert_close(model(x, graph, sets), before)
    sets[1, 1] = torch.rand(40, 6)
    after = model(x, graph, sets)
    torch.testing.assert_close(after[:, 0], before[:, 0])
    assert not torch.allclose(after[:, 1], before[:, 1])


def test_first_layer_is_that_of_separate_convolutions(
    graph: Graph, normalised: torch.Tensor
) -> None:
    model = LAGCN(in_channels=6, out_channels=3, **OPTIONS).double().eval()
    x, sets = torch.rand(40, 6).double(), torch.rand(2, 2, 40, 6).double()
    for sample in range(2):
        inputs = (x, sets[0, sample], sets[1, sample])
        blocks = zip(inputs, model.hidden.weight.chunk(3), strict=True)
        hidden = torch.cat([normalised @ each @ w.t() for each, w in blocks], dim=1).relu()
        expected = normalised @ hidden @ model.out.weight.t() + model.out_bias
        torch.testing.assert_close(model(x, graph, sets)[:, sample], expected)


@EACH
def test_gradients_reach_every_block(name: str, graph: Graph) -> None:
    model = build(name).train()
    model(torch.rand(40, 6), graph, torch.rand(2, 2, 40, 6)).square().sum().backward()
    for key, parameter in model.named_parameters():
        if key in FIRST:
            assert parameter.grad is not None
            assert all(block.abs().sum() > 0 for block in parameter.grad.chunk(3))
        assert (parameter.grad is None) == key.startswith("augmentation.")


def test_sparse_features_give_the_same_scores(graph: Graph) -> None:
    model = models.build("la-gcn", 30, 3, **OPTIONS).eval()
    x = torch.rand(40, 30) * (torch.rand(40, 30) < 0.05)
    thin, sets = sparse_when_small(x), torch.rand(2, 2, 40, 30)
    assert isinstance(thin, Graph)
    torch.testing.assert_close(model(thin, graph, sets), model(x, graph, sets))


def test_samples_differ_in_training_and_the_sets_stay(graph: Graph) -> None:
    model, x, sets = build("la-gcn").train(), torch.rand(40, 6), torch.rand(2, 1, 40, 6)
    same = sets.expand(2, 4, 40, 6).contiguous()
    kept = same.clone()
    first, *others = model(x, graph, same).unbind(1)
    assert not any(torch.equal(first, other) for other in others)
    assert torch.equal(same, kept)


def test_samples_lose_entries_of_the_true_features_of_their_own() -> None:
    model = build("la-gcn").train()
    (z,) = model.products([model.hidden], torch.rand(40, 6) + 1, torch.zeros(2, 4, 40, 6))
    first, *others = z.unbind(1)
    assert not any(torch.equal(first, other) for other in others)


def test_dropped() -> None:
    x = torch.ones(300, 300)
    assert dropped(x, 0) is x
    left = dropped(x, 0.2)
    assert set(left.unique().tolist()) == {0.0, 1.25}
    assert left.mean().item() == pytest.approx(1, abs=0.02)


def test_la_grand_is_grand_with_a_generator(graph: Graph) -> None:
    options = {"hidden_channels": 5, "hops": 3, "dropout": 0.5}
    model, plain = models.build("la-grand", 6, 3, **options), models.build("grand", 6, 3, **options)
    assert isinstance(model, LAGRAND)
    assert isinstance(plain, GRAND)
    learned = {key for key, p in model.named_parameters() if p.requires_grad}
    assert learned == set(plain.state_dict())
    assert model.augmentation.in_channels == 6
    plain.load_state_dict({key: model.state_dict()[key] for key in learned})
    x = torch.rand(40, 6)
    assert torch.equal(model.eval()(x, graph), plain.eval()(x, graph))
    with pytest.raises(ConfigError, match="concat=0 must be at least 1"):
        models.build("la-grand", 6, 3, **options, concat=0)


@EACH
def test_wrong_options(name: str, graph: Graph) -> None:
    with pytest.raises(ConfigError, match="concat=0 must be at least 1"):
        models.build(name, 6, 3, **{**OPTIONS, "concat": 0}, **EXTRA.get(name, {}))
    with pytest.raises(ConfigError, match="reconstruction='l2' must be one of"):
        models.build(name, 6, 3, **OPTIONS, **EXTRA.get(name, {}), reconstruction="l2")
    with pytest.raises(InputError, match="sets"):
        build(name)(torch.rand(40, 6), graph, torch.rand(1, 2, 40, 6))


@pytest.mark.cuda
@EACH
def test_equals_the_cpu_on_a_gpu(name: str, graph: Graph) -> None:
    model, x, sets = build(name), torch.rand(40, 6), torch.rand(2, 3, 40, 6)
    expected = model(x, graph, sets)
    found = model.cuda()(x.cuda(), graph.to("cuda"), sets.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
