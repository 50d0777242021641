"""Accuracy: a hand table and scikit-learn."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.tasks import accuracy


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
