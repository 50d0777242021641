"""Ranker: lists by hand, original ids kept through a file, what is known left out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neighborgraph.data import Interactions, load_interactions
from neighborgraph.errors import CheckpointError, InputError
from neighborgraph.tasks import Ranker

DATA = Interactions(
    name="hand",
    num_users=3,
    num_items=4,
    train=torch.tensor([[0, 1, 1], [3, 0, 1]]),
    val=torch.tensor([[0], [2]]),
    test=torch.tensor([[1, 1], [2, 3]]),
    user_ids=np.array([7, 2**40, -1]),
    item_ids=np.array(["up", "alien", "brazil", "heat"]),
    protocol="validation",
    source="by hand",
)
# For every user item 3 is the best, then 2, 1 and 0.
RANKER = Ranker.of(torch.ones(3, 1), torch.arange(4.0)[:, None], DATA)


def test_known_items_are_left_out_and_short_lists_padded() -> None:
    scores, items = RANKER.recommend(torch.tensor([2, 0, 1]), 3)
    assert items.tolist() == [[3, 2, 1], [1, 0, -1], [-1, -1, -1]]
    assert scores[1].tolist() == [1.0, 0.0, float("-inf")]


def test_more_than_the_catalogue_is_the_catalogue() -> None:
    _, items = RANKER.recommend(torch.tensor([2]), 100)
    assert items.tolist() == [[3, 2, 1, 0]]


def test_blocks_do_not_change_lists(monkeypatch) -> None:
    data = load_interactions("tiny-interactions").split(0)
    random = torch.Generator().manual_seed(0)
    # Whole numbers, so that a product of matrices is exact whatever their size.
    table = torch.randint(-9, 9, (data.num_users + data.num_items, 8), generator=random).float()
    ranker = Ranker.of(table[: data.num_users], table[data.num_users :], data)
    users = torch.randperm(data.num_users, generator=random)
    whole = ranker.recommend(users, 20)
    monkeypatch.setattr("neighborgraph.tasks.ranker.BLOCK", 7)
    for one, other in zip(ranker.recommend(users, 20), whole, strict=True):
        assert torch.equal(one, other)
    known = set(map(tuple, data.known.t().tolist()))
    listed = zip(users.repeat_interleave(20).tolist(), whole[1].flatten().tolist(), strict=True)
    assert not known & set(listed)


def test_users_by_their_original_ids() -> None:
    assert RANKER.positions([str(2**40), "7", "7"]).tolist() == [1, 0, 0]
    with pytest.raises(InputError, match="user '8' is not among the 3 users"):
        RANKER.positions(["7", "8"])


def test_saved_and_loaded(tmp_path: Path) -> None:
    RANKER.save(tmp_path, 5)
    loaded = Ranker.load(tmp_path)
    assert loaded.user_ids.tolist() == [7, 2**40, -1]
    assert loaded.item_ids.tolist() == ["up", "alien", "brazil", "heat"]
    for users in (torch.tensor([0]), torch.arange(3)):
        assert torch.equal(loaded.recommend(users, 3)[1], RANKER.recommend(users, 3)[1])


def test_nothing_saved_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no finished recommender; pass the folder of"):
        Ranker.load(tmp_path)
