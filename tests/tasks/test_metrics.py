"""Accuracy and the area under the ROC curve: hand tables and scikit-learn."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.tasks import accuracy
from neighborgraph.tasks.metrics import roc_auc


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
