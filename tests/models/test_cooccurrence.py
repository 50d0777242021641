"""Items that occur together, against the dense formula in fp64."""

import numpy as np
import pytest
import torch

from neighborgraph.models import cooccurrence
from neighborgraph.models.cooccurrence import co_occurring_items, largest


def dense_weights(num_users: int, num_items: int, pairs: torch.Tensor) -> torch.Tensor:
    seen = torch.zeros(num_users, num_items, dtype=torch.float64)
    seen[pairs[0], pairs[1]] = 1
    together = seen.t() @ seen
    total = together.sum(1)
    left = ((total + 1).sqrt() / total).nan_to_num(posinf=0.0)
    return together * (left[:, None] * (1 / (total + 1).sqrt()))


def test_by_hand() -> None:
    # User 0 has items 0 and 1, user 1 has 1: G = [[1, 1], [1, 2]] and g = [2, 3]; item 2 is alone.
    pairs = torch.tensor([[0, 0, 1], [0, 1, 1]])
    ids, weights = co_occurring_items(2, 3, pairs, 3)
    root = 3**0.5  # of g + 1 for item 0; it is 2 for item 1
    expected = [[root / 2 / root, root / 2 / 2, 0], [2 * 2 / 3 / 2, 2 / 3 / root, 0], [0, 0, 0]]
    torch.testing.assert_close(weights, torch.tensor(expected))
    assert ids.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("entries", [1, 60, 2**25])
def test_equals_the_dense_formula(entries: int, monkeypatch, pairs) -> None:
    monkeypatch.setattr(cooccurrence, "BLOCK_ENTRIES", entries)
    dense = dense_weights(12, 20, pairs)
    ids, weights = co_occurring_items(12, 20, pairs, 6)
    # A stable sort of the falling weights leaves equal ones by id.
    expected, order = dense.sort(dim=1, descending=True, stable=True)
    torch.testing.assert_close(weights, expected[:, :6].float())
    assert torch.equal(ids, order[:, :6].masked_fill(expected[:, :6] == 0, 0))


def test_equal_weights_go_by_id() -> None:
    pairs = torch.stack([torch.zeros(9, dtype=torch.int64), torch.arange(9)])
    ids, weights = co_occurring_items(1, 9, pairs, 4)
    assert ids.tolist() == [[0, 1, 2, 3]] * 9
    assert (weights == weights[0, 0]).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_largest_is_a_full_sort(count: int) -> None:
    values, ids = np.array([3.0, 1, 3, 2, 3, 1, 2]), np.array([9, 8, 1, 4, 5, 2, 3])
    order = sorted(range(7), key=lambda i: (-values[i], ids[i]))
    assert largest(values, ids, count).tolist() == order[:count]
