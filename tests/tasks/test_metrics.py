"""Accuracy, area, hits and reciprocal ranks: hand tables, scikit-learn and OGB's Evaluator."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.tasks import accuracy
from neighborgraph.tasks.metrics import (
    average_precision,
    hits,
    mean_of_parts,
    mrr,
    roc_auc,
    roc_auc_of,
)


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([[1.0, 2.0]], [1], 1.0),
        ([[1.0, 2.0]], [0], 0.0),
        ([[3.0, 2.0], [0.0, 9.0], [5.0, 4.0]], [0, 1, 1], 2 / 3),
        ([[1.0, 1.0]], [0], 1.0),  # a tie goes to the first class
    ],
)
def test_by_hand(scores, labels, expected: float) -> None:
    assert accuracy(torch.tensor(scores), torch.tensor(labels)) == pytest.approx(expected)


def test_equals_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score

    scores, labels = torch.randn(500, 7), torch.randint(0, 7, (500,))
    assert accuracy(scores, labels) == accuracy_score(labels, scores.argmax(1))


def test_no_node_has_no_accuracy() -> None:
    with pytest.raises(InputError, match="labels is empty"):
        accuracy(torch.empty(0, 3), torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.9], [0, 1], 1.0),
        ([0.9, 0.1], [0, 1], 0.0),
        ([0.5, 0.5], [0, 1], 0.5),
        ([3.0, 1.0, 2.0, 1.0], [1, 0, 0, 1], 2.5 / 4),  # wins 2, then a tie and a loss
    ],
)
def test_area_by_hand(scores, labels, expected: float) -> None:
    assert roc_auc(torch.tensor(scores)[:, None], torch.tensor(labels)[:, None]) == expected


def test_area_equals_scikit_learn_over_the_columns_that_have_one() -> None:
    from sklearn.metrics import roc_auc_score

    scores, labels = torch.randn(400, 6).round(decimals=1), torch.randint(0, 2, (400, 6))
    labels[:, 2], labels[:, 4] = 0, 1
    expected = [roc_auc_score(labels[:, t], scores[:, t]) for t in (0, 1, 3, 5)]
    assert roc_auc(scores, labels) == pytest.approx(sum(expected) / 4, rel=1e-14)


def test_no_column_has_an_area() -> None:
    with pytest.raises(InputError, match="no column with both 0 and 1"):
        roc_auc(torch.randn(3, 2), torch.ones(3, 2))


@pytest.mark.parametrize(
    ("edges", "k", "expected"),
    [
        ([5.0, 0.0], 1, 0.5),
        ([4.0, 3.5], 1, 0.0),  # a tie is no hit
        ([4.0, 3.5], 2, 1.0),
        ([3.0, 3.1, 9.0], 2, 2 / 3),
        ([-9.0], 5, 1.0),  # as the Evaluator has it for fewer negatives than k
    ],
)
def test_hits_by_hand(edges, k: int, expected: float) -> None:
    assert hits(torch.tensor(edges), torch.tensor([1.0, 4.0, 3.0, 2.0]), k) == expected


@pytest.mark.parametrize(
    ("edge", "negatives", "expected"),
    [
        (5.0, [1.0, 2.0, 3.0], 1.0),
        (2.5, [1.0, 2.0, 3.0], 0.5),
        (0.0, [1.0, 2.0, 3.0], 0.25),
        (2.0, [1.0, 2.0, 3.0], 1 / 2.5),  # a tie counts half
        (1.0, [1.0, 1.0, 1.0], 1 / 2.5),
    ],
)
def test_mrr_by_hand(edge: float, negatives, expected: float) -> None:
    found = mrr(torch.tensor([edge, 9.0]), torch.tensor([negatives, [0.0, 1.0, 2.0]]))
    assert found == pytest.approx((expected + 1) / 2, rel=1e-7)


def test_no_edge_has_no_metric() -> None:
    with pytest.raises(InputError, match="edges is empty; hits"):
        hits(torch.empty(0), torch.zeros(3), 1)
    with pytest.raises(InputError, match="edges is empty; mrr"):
        mrr(torch.empty(0), torch.empty(0, 3))


@pytest.mark.parametrize("levels", [3, 1000])
def test_average_precision_and_area_are_those_of_scikit_learn(levels: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    edges, negatives = (torch.randint(levels, (4, size)).float() for size in (30, 50))
    for row in range(4):
        y = [1] * 30 + [0] * 50
        scores = torch.cat([edges[row], negatives[row]])
        precision = average_precision(edges, negatives)[row].item()
        assert precision == pytest.approx(average_precision_score(y, scores))
        area = roc_auc_of(edges, negatives)[row].item()
        assert area == pytest.approx(roc_auc_score(y, scores))


def test_means_of_parts_with_a_short_last_one() -> None:
    edges, negatives = torch.tensor([2.0, 0, 3, 3, 0]), torch.tensor([1.0, 1, 0, 0, 1])
    expected = [(1 + 2 / 4) / 2, 1.0, 1 / 2]  # of (2, 0), (3, 3) and (0)
    found = mean_of_parts(average_precision, edges, negatives, 2)
    assert found == pytest.approx(sum(expected) / 3)
    assert mean_of_parts(average_precision, edges, negatives, 9) == pytest.approx(
        average_precision(edges, negatives).item()
    )
