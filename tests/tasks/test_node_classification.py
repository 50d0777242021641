"""The task's loss and metrics against the written-out formulas, and how features enter."""

from dataclasses import replace

import pytest
import torch

from neighborgraph.data import BinaryDataset, MultiLabelDataset
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.graph import Graph
from neighborgraph.tasks import NodeClassification
from neighborgraph.tasks.metrics import roc_auc
from neighborgraph.tasks.node_classification import sparse_when_small

TINY = load_tiny()


class Constant(torch.nn.Module):
    """Scores that do not depend on the input."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.scores = torch.nn.Parameter(torch.randn(120, classes))

    def forward(self, x, graph) -> torch.Tensor:
        return self.scores


def test_loss_and_metrics() -> None:
    model, task, split = Constant(), NodeClassification(TINY, seed=3), TINY.split(3)
    log_p = model.scores.log_softmax(1)
    assert task.loss(model).item() == pytest.approx(
        -log_p[split.train, TINY.y[split.train]].mean().item()
    )
    evaluation = task.evaluate(model)
    assert evaluation.val_loss == pytest.approx(-log_p[split.val, TINY.y[split.val]].mean().item())
    right = model.scores.argmax(1) == TINY.y
    for part, ids in vars(split).items():
        assert evaluation.metrics[f"{part}_acc"] == pytest.approx(right[ids].float().mean().item())


def test_two_classes() -> None:
    y = (torch.rand(120) < 0.3).long()
    binary = BinaryDataset("binary", TINY.graph, TINY.x, y, 2, TINY.split_rule, "made up")
    task, split = NodeClassification(binary, seed=3), TINY.split(3)
    model = Constant(classes=2)
    scores = model.scores.detach()
    evaluation = task.evaluate(model)
    entropy = torch.nn.functional.cross_entropy(scores[split.val], y[split.val]).item()
    assert evaluation.val_loss == pytest.approx(entropy)
    for part, ids in vars(split).items():
        ones, zeros = ((scores[ids] @ torch.tensor([-1.0, 1.0]))[y[ids] == c] for c in (1, 0))
        won = (ones[:, None] > zeros).double().mean().item()
        assert evaluation.metrics == evaluation.metrics | {f"{part}_rocauc": pytest.approx(won)}


def test_several_labels() -> None:
    y = (torch.rand(120, 4) < 0.4).long()
    several = MultiLabelDataset(
        "several", TINY.graph, TINY.x, y, 4, TINY.split_rule, "made up", lambda y, s: s.sum().item()
    )
    model, task, split = Constant(), NodeClassification(several, seed=3), TINY.split(3)
    p = model.scores.sigmoid()
    wanted = -(y * p.log() + (1 - y) * (1 - p).log())
    assert task.loss(model).item() == pytest.approx(wanted[split.train].mean().item(), rel=1e-5)
    evaluation = task.evaluate(model)
    assert evaluation.val_loss == pytest.approx(wanted[split.val].mean().item(), rel=1e-5)
    for part, ids in vars(split).items():
        area = roc_auc(model.scores[ids], y[ids])
        assert evaluation.metrics[f"{part}_rocauc"] == area
        given = task.official_metrics(model)[f"{part}_rocauc"]
        assert given == pytest.approx(model.scores[ids].sum().item())  # the scores, not classes


def test_own_evaluator_is_given_labels_and_classes() -> None:
    model = Constant()
    assert NodeClassification(TINY).official_metrics(model) == {}
    judged = replace(TINY, official=lambda y, classes: (y + 10 * classes).float().mean().item())
    found = NodeClassification(judged, seed=3).official_metrics(model)
    for part, ids in vars(TINY.split(3)).items():
        expected = (TINY.y[ids] + 10 * model.scores[ids].argmax(1)).float().mean().item()
        assert found[f"{part}_acc"] == pytest.approx(expected)


def test_loss_sees_training_labels_only() -> None:
    model, task = Constant(), NodeClassification(TINY, seed=0)
    task.loss(model).backward()
    assert model.scores.grad is not None
    touched = model.scores.grad.abs().sum(1).nonzero().view(-1)
    assert torch.equal(touched, TINY.split(0).train.sort().values)


def test_model_gets_self_loops() -> None:
    source, receiver = NodeClassification(TINY).graph.edge_index
    assert torch.equal(source[source == receiver].sort().values, torch.arange(120))


def test_only_a_sparse_matrix_becomes_a_graph() -> None:
    assert isinstance(sparse_when_small(torch.ones(4, 4)), torch.Tensor)
    x = torch.zeros(10, 30)
    x[2, 7], x[9, 0] = 5.0, -1.0
    thin = sparse_when_small(x)
    assert isinstance(thin, Graph)
    assert (thin.num_rows, thin.num_cols) == (10, 30)
    assert thin.weight is not None
    assert thin.weight.tolist() == [5.0, -1.0]
    assert thin.edge_index.tolist() == [[7, 0], [2, 9]]
