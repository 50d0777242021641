"""Mowst by hand, against the paper's equations node by node, and around modules of other makes."""

import math

import pytest
import torch
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models import GCN, MLP, MowstModel, MowstStarModel, Opinions

BOTH = pytest.mark.parametrize("kind", [MowstModel, MowstStarModel])
NO_GRAPH = torch.empty(2, 0, dtype=torch.int64)


class Fixed(nn.Module):
    """Scores, or confidences, that do not depend on the input."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, *unused: object) -> Tensor:
        return self.values


def fixed(kind: type[MowstModel], p: Tensor, q: Tensor, confidence: Tensor) -> MowstModel:
    return kind(Fixed(p), Fixed(q), Fixed(confidence))


def build(kind: type[MowstModel] = MowstModel) -> MowstModel:
    widths = {"in_channels": 6, "hidden_channels": 8, "out_channels": 3, "dropout": 0.5}
    weak = MLP(**widths)
    with torch.no_grad():
        # Scores far enough from each other for a softmax to be far from uniform.
        weak.out.weight.mul_(8)
    return kind(weak, GCN(**widths)).double().eval()


def features() -> Tensor:
    return torch.randn(40, 6, dtype=torch.float64)


def random_opinions(confidence: Tensor | None = None) -> Opinions:
    p, q = (torch.randn(10, 4, dtype=torch.float64) for _ in range(2))
    return Opinions(p, q, torch.rand(10, dtype=torch.float64) if confidence is None else confidence)


# Two nodes of two classes. Node 0: P = (3/4, 1/4), Q = (1/5, 4/5), C = 1/4. Node 1: P = (1/2, 1/2),
# Q = (1/10, 9/10), C = 1. Labels 0 and 1. Scores with these softmaxes: logs of odds, and 0.
P = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]], dtype=torch.float64)
Q = torch.tensor([[-math.log(4), 0.0], [-math.log(9), 0.0]], dtype=torch.float64)
C = torch.tensor([0.25, 1.0], dtype=torch.float64)
Y = torch.tensor([0, 1])


def test_mowst_by_hand() -> None:
    model = fixed(MowstModel, P, Q, C).eval()
    opinions = model.opinions(P, NO_GRAPH)
    losses = [0.25 * -math.log(0.75) + 0.75 * -math.log(0.2), math.log(2)]
    assert model.node_losses(opinions, Y).tolist() == pytest.approx(losses)
    # Node 0: the weak expert is right, the strong one wrong. Node 1: of equal scores the first.
    assert model.node_accuracies(opinions, Y).tolist() == [0.25, 0.0]
    mixed = [[0.25 * 0.75 + 0.75 * 0.2, 0.25 * 0.25 + 0.75 * 0.8], [0.5, 0.5]]
    torch.testing.assert_close(
        model(P, NO_GRAPH).exp(), torch.tensor(mixed, dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_mowst_star_by_hand() -> None:
    model = fixed(MowstStarModel, P, Q, C).eval()
    opinions = model.opinions(P, NO_GRAPH)
    z = 0.25 * math.log(3) - 0.75 * math.log(4)
    expected = torch.tensor([[z, 0.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(model(P, NO_GRAPH), expected)
    losses = [math.log(1 + math.exp(-z)), math.log(2)]
    assert model.node_losses(opinions, Y).tolist() == pytest.approx(losses)
    assert model.node_accuracies(opinions, Y).tolist() == [0.0, 0.0]


def oracle(model: MowstModel, x: Tensor, graph: Graph, node: int) -> tuple[float, list, list]:
    """Confidence and both predictions of one node, from the paper's equations, in plain numbers."""
    p = model.weak(x)[node].tolist()
    q = model.strong(x, graph)[node].tolist()
    exponentials = [math.exp(s) for s in p]
    probabilities = [e / sum(exponentials) for e in exponentials]
    classes = len(p)
    mean = 1 / classes
    variance = sum((r - mean) ** 2 for r in probabilities)
    variance /= (1 - mean) ** 2 + (classes - 1) * mean**2
    entropy = -sum(r * math.log(r) for r in probabilities)
    d = [variance, 1 - entropy / math.log(classes)]
    gate = model.gate
    total = gate.out.bias.item()  # pyright: ignore
    for v, b, u in zip(gate.hidden.weight, gate.hidden.bias, gate.out.weight[0], strict=True):  # pyright: ignore
        activation = sum(abs(w) * e for w, e in zip(v.tolist(), d, strict=True)) + b.item()
        total += abs(u.item()) * max(activation, 0.0)
    return 1 / (1 + math.exp(-total)), p, q


def negative_log_likelihood(scores: list[float], label: int) -> float:
    return math.log(sum(math.exp(s - scores[label]) for s in scores))


@BOTH
def test_equations_of_the_paper(kind: type[MowstModel], graph: Graph) -> None:
    model, x, y = build(kind), features(), torch.randint(0, 3, (40,))
    opinions = model.opinions(x, graph)
    losses = model.node_losses(opinions, y)
    for node in range(40):
        confidence, p, q = oracle(model, x, graph, node)
        label = int(y[node])
        if kind is MowstStarModel:
            mixed = [confidence * a + (1 - confidence) * b for a, b in zip(p, q, strict=True)]
            expected = negative_log_likelihood(mixed, label)
        else:
            expected = confidence * negative_log_likelihood(p, label)
            expected += (1 - confidence) * negative_log_likelihood(q, label)
        assert opinions.confidence[node].item() == pytest.approx(confidence, rel=1e-10)
        assert losses[node].item() == pytest.approx(expected, rel=1e-10)


@BOTH
@pytest.mark.parametrize("trust", [0.0, 1.0])
def test_full_confidence_is_one_expert(kind: type[MowstModel], trust: float) -> None:
    opinions = random_opinions(torch.full((10,), trust, dtype=torch.float64))
    model = fixed(kind, opinions.weak, opinions.strong, opinions.confidence)
    chosen, y = opinions.weak if trust else opinions.strong, torch.randint(0, 4, (10,))
    expected = nn.functional.cross_entropy(chosen, y, reduction="none")
    torch.testing.assert_close(model.node_losses(opinions, y), expected, rtol=0, atol=0)
    right = (chosen.argmax(1) == y).double()
    assert torch.equal(model.node_accuracies(opinions, y), right)
    torch.testing.assert_close(model(chosen, NO_GRAPH).softmax(1), chosen.softmax(1))
    assert torch.equal(model.sample(chosen, NO_GRAPH), chosen.argmax(1))


@BOTH
def test_gradcheck_of_scores_and_confidence(kind: type[MowstModel]) -> None:
    model, y = fixed(kind, P, Q, C), torch.randint(0, 4, (10,))

    def losses(p: Tensor, q: Tensor, confidence: Tensor) -> Tensor:
        return model.node_losses(Opinions(p, q, confidence), y)

    opinions = random_opinions()
    inputs = (opinions.weak, opinions.strong, opinions.confidence)
    assert torch.autograd.gradcheck(losses, [t.requires_grad_() for t in inputs])


@BOTH
def test_confidence_passes_no_gradient_to_the_weak_expert(
    kind: type[MowstModel], graph: Graph
) -> None:
    model = build(kind)
    opinions = model.opinions(features(), graph)
    opinions.confidence.sum().backward()
    assert all(p.grad is None for p in model.weak.parameters())
    assert any(bool((p.grad != 0).any()) for p in model.gate.parameters() if p.grad is not None)


@BOTH
def test_permuting_nodes_permutes_the_output(kind: type[MowstModel], graph: Graph) -> None:
    model, x, order = build(kind), features(), torch.randperm(40)
    moved = Graph.from_edge_index(order.argsort()[graph.edge_index], 40)
    torch.testing.assert_close(model(x[order], moved), model(x, graph)[order])
    ours, theirs = model.opinions(x[order], moved), model.opinions(x, graph)
    torch.testing.assert_close(ours.confidence, theirs.confidence[order])


def test_drawn_answers_follow_the_expected_distribution(graph: Graph) -> None:
    model, x, y = build(), features(), torch.randint(0, 3, (40,))
    random = torch.Generator().manual_seed(0)
    drawn = torch.stack([model.sample(x, graph, random) for _ in range(2000)])
    found = (drawn == y).double().mean(0)
    expected = model.node_accuracies(model.opinions(x, graph), y)
    # Five standard deviations of a mean of 2,000.
    assert bool(((found - expected).abs() <= 5 * 0.5 / math.sqrt(2000)).all())
    assert bool(((expected > 0) & (expected < 1)).any())
    again = model.sample(x, graph, torch.Generator().manual_seed(0))
    assert torch.equal(again, drawn[0])


@BOTH
def test_released_evaluation_takes_the_softmax_twice(kind: type[MowstModel], graph: Graph) -> None:
    paper, x, y = build(kind), features(), torch.randint(0, 3, (40,))
    released = kind(paper.weak, paper.strong, paper.gate, evaluation="released").eval()
    p, q = paper.weak(x), paper.strong(x, graph)
    twice = p.softmax(1).softmax(1)
    variance = (3 * twice.square().sum(1) - 1) / 2
    entropy = 1 + (twice * twice.log()).sum(1) / math.log(3)
    confidence = paper.gate(torch.stack([variance, entropy], dim=1), x)
    opinions = released.opinions(x, graph)
    torch.testing.assert_close(opinions.confidence, confidence)
    # A second softmax is nearer to uniform, so the gate trusts the weak expert less.
    assert bool((confidence < paper.opinions(x, graph).confidence).any())
    mixed = confidence[:, None] * p.softmax(1) + (1 - confidence[:, None]) * q.softmax(1)
    torch.testing.assert_close(released(x, graph), mixed.log())
    if kind is MowstStarModel:
        losses = -mixed[torch.arange(40), y].log()
        torch.testing.assert_close(released.node_losses(opinions, y), losses)


@BOTH
def test_released_training_is_the_papers(kind: type[MowstModel], graph: Graph) -> None:
    paper, x = build(kind), features()
    released = kind(paper.weak, paper.strong, paper.gate, evaluation="released").train()
    for part in (paper.weak, paper.strong, paper.gate):
        part.eval()  # no dropout, so that both calls see the same
    assert torch.equal(released(x, graph), paper(x, graph))


def test_turns() -> None:
    model, star = build(), build(MowstStarModel)
    assert model.turns == ((model.weak, model.gate), (model.strong,))
    assert star.turns == ((star.weak, star.strong, star.gate),)


def test_wraps_models_of_pyg(graph: Graph) -> None:
    from torch_geometric.nn.models import GCN as PygGCN

    weak = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    strong = PygGCN(6, 8, num_layers=2, out_channels=3)
    model, x = MowstStarModel(weak, strong).eval(), torch.randn(40, 6)
    opinions = model.opinions(x, graph)
    assert torch.equal(opinions.weak, weak(x))
    assert torch.equal(opinions.strong, strong(x, graph.edge_index))
    assert torch.equal(model(x, graph.edge_index), model(x, graph))
    model.node_losses(opinions, torch.randint(0, 3, (40,))).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_experts_of_different_widths_are_refused(graph: Graph) -> None:
    model = MowstModel(nn.Linear(6, 3), nn.Linear(6, 4))
    with pytest.raises(InputError, match=r"weak .* \[40, 3\] and the strong one \[40, 4\]"):
        model(torch.randn(40, 6), graph)


def test_unknown_evaluation_is_refused() -> None:
    with pytest.raises(InputError, match="evaluation='code' must be one of paper, released"):
        MowstModel(nn.Linear(6, 3), nn.Linear(6, 3), evaluation="code")
