"""Negatives: every rank by hand, never a seen item, and uniform by a chi-square test."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.models.negatives import UnseenItems


def unseen_of(rows: list[list[int]], num_items: int) -> list[list[int]]:
    return [[i for i in range(num_items) if i not in row] for row in rows]


def items_of(rows: list[list[int]], num_items: int) -> UnseenItems:
    pairs = [(user, item) for user, row in enumerate(rows) for item in row]
    return UnseenItems(len(rows), num_items, torch.tensor(pairs).t())


ROWS = [[], [0], [5], [0, 1, 2], [3, 4, 5], [0, 2, 4], [1, 2, 4, 5], [0, 1, 2, 3, 4], [], [2]]


def test_every_rank_is_the_unseen_item_of_that_rank(monkeypatch) -> None:
    unseen = items_of(ROWS, 6)
    for user, expected in enumerate(unseen_of(ROWS, 6)):
        ranks = torch.arange(len(expected), dtype=torch.float64)
        for inside in (0.0, 0.999999):  # anywhere between two ranks is the lower one
            uniform = (ranks + inside) / len(expected)
            monkeypatch.setattr(torch, "rand", lambda *_, uniform=uniform, **__: uniform)
            drawn = unseen.draw(torch.full((len(expected),), user))
            assert drawn.tolist() == expected


def test_the_largest_random_number_is_no_rank_too_many(monkeypatch) -> None:
    largest = torch.tensor([1 - 2**-53], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: largest)
    for num_items in (2, 3, 7, 40_981, 91_599, 2**31 - 1):
        unseen = items_of([[0]], num_items)
        assert unseen.draw(torch.tensor([0])).item() == num_items - 1


def test_a_draw_is_uniform_over_what_is_unseen() -> None:
    unseen, generator = items_of(ROWS, 6), torch.Generator().manual_seed(3)
    count = 20_000
    users = torch.arange(len(ROWS)).repeat(count)
    drawn = unseen.draw(users, generator)
    table = torch.bincount(users * 6 + drawn, minlength=6 * len(ROWS)).view(-1, 6).double()
    statistic, freedom = 0.0, 0
    for row, allowed in zip(table, unseen_of(ROWS, 6), strict=True):
        assert row.sum() == row[allowed].sum() == count
        expected = count / len(allowed)
        statistic += float(((row[allowed] - expected) ** 2 / expected).sum())
        freedom += len(allowed) - 1
    # Five standard deviations of the chi-square distribution, on either side.
    assert abs(statistic - freedom) < 5 * (2 * freedom) ** 0.5


def test_never_a_seen_item_in_a_large_set() -> None:
    num_users, num_items = 300, 2_000
    seen = torch.rand(num_users, num_items) < torch.rand(num_users, 1)
    unseen = UnseenItems(num_users, num_items, seen.nonzero().t())
    users = torch.randint(num_users, (100_000,))
    drawn = unseen.draw(users)
    assert not seen[users, drawn].any()
    assert drawn.min() >= 0
    assert drawn.max() < num_items


def test_every_item_of_many_can_be_drawn() -> None:
    # Of 2^26 items a random number of 24 bits would only reach every fourth.
    drawn = items_of([[0]], 2**26).draw(torch.zeros(10_000, dtype=torch.int64))
    assert (torch.bincount(drawn % 4, minlength=4) > 2_000).all()


def test_keys_beyond_int32() -> None:
    unseen = UnseenItems(3_000_000, 3_000, torch.tensor([[7, 2_999_999], [0, 2_999]]))
    drawn = unseen.draw(torch.full((10_000,), 2_999_999))
    assert (drawn.min() >= 0) and (drawn.max() < 2_999)
    assert (unseen.draw(torch.full((10_000,), 7)) > 0).all()


def test_a_generator_repeats_the_draw() -> None:
    unseen, users = items_of(ROWS, 6), torch.arange(10)
    first, second = (unseen.draw(users, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_user_who_has_seen_everything_is_refused() -> None:
    message = "train_pairs has all 3 items for user 1, so no negative item can be drawn"
    with pytest.raises(InputError, match=message):
        items_of([[0], [0, 1, 2]], 3)
