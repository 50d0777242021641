"""Splits worked by hand, and laws that hold for every seed: disjoint, complete, repeatable."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neighborgraph.data import InteractionLog, Interactions
from neighborgraph.data.interaction_log import log_of, newest, rank_in_group
from neighborgraph.errors import InputError


def make(*rows: tuple) -> InteractionLog:
    """A log of (user, item, time)."""
    users, items, times = zip(*rows, strict=True)
    return log_of("hand", users, items, np.array(times, dtype=np.float64), "by hand")


def as_sets(split: Interactions) -> list[set[tuple]]:
    """Train, validation and test by original ids."""
    return [
        {(split.user_ids[u].item(), split.item_ids[i].item()) for u, i in part.t().tolist()}
        for part in (split.train, split.val, split.test)
    ]


FOUR = make(
    *[("ann", item, time) for time, item in enumerate("abcde")],
    ("bob", "a", 9.0),
    ("bob", "b", 7.0),
    ("bob", "c", 8.0),
    ("eve", "a", 1.0),
    ("eve", "e", 2.0),
    ("joe", "d", 5.0),
)


def test_ids_are_mapped_and_kept() -> None:
    log = make((2**40, "x", 0.0), (-5, "y", 1.0), (2**40, "y", 2.0))
    assert log.user_ids.tolist() == [-5, 2**40]
    assert log.item_ids.tolist() == ["x", "y"]
    assert log.pairs.tolist() == [[0, 1, 1], [1, 0, 1]]
    assert log.times is not None
    assert log.times.tolist() == [1.0, 0.0, 2.0]


def test_a_repeated_pair_counts_once_with_its_newest_time() -> None:
    log = make(("u", "i", 3.0), ("u", "i", 7.0), ("u", "i", 5.0))
    assert log.pairs.tolist() == [[0], [0]]
    assert log.times is not None
    assert log.times.tolist() == [7.0]


def test_leave_one_out_takes_the_newest_of_users_with_three() -> None:
    train, val, test = as_sets(FOUR.split(0, method="leave-one-out"))
    assert test == {("ann", "e"), ("bob", "a")}
    assert val == {("ann", "d"), ("bob", "c")}
    assert len(train) == 7
    assert {("eve", "a"), ("eve", "e"), ("joe", "d")} <= train


def test_leave_one_out_draws_where_there_are_no_times() -> None:
    log = replace(FOUR, times=None)
    drawn = {frozenset(as_sets(log.split(s, method="leave-one-out"))[2]) for s in range(20)}
    assert len(drawn) > 3
    assert all({user for user, _ in test} == {"ann", "bob"} for test in drawn)


def test_time_takes_the_newest_of_all() -> None:
    # 11 pairs: the newest 2 of all, then the newest 3 of the other 9.
    train, val, test = as_sets(FOUR.split(0, method="time", test=0.2, val=0.3))
    assert test == {("bob", "a"), ("bob", "c")}
    assert val == {("bob", "b"), ("joe", "d"), ("ann", "e")}
    assert len(train) == 6


def test_equal_times_stay_together() -> None:
    assert newest(torch.tensor([1.0, 2.0, 2.0, 2.0, 3.0]), 0.4).tolist() == [0, 1, 1, 1, 1]
    assert newest(torch.tensor([1.0, 2.0]), 0.0).tolist() == [0, 0]


@given(st.integers(0, 2**32), st.floats(0.05, 0.5), st.floats(0.05, 0.5), st.booleans())
def test_ratio_leaves_every_user_one_and_loses_nothing(
    seed: int, test: float, val: float, published: bool
) -> None:
    random = torch.Generator().manual_seed(seed)
    users = torch.cat([torch.arange(9), torch.randint(9, (200,), generator=random)])
    items = torch.randint(50, (209,), generator=random)
    log = log_of("drawn", users.numpy(), items.numpy(), None, "drawn")
    protocol = "published" if published else "validation"
    split = log.split(seed, protocol=protocol, test=test, val=val)
    assert torch.equal(split.known, log.pairs)
    assert split.train[0].unique().numel() == 9
    again = log.split(seed, protocol=protocol, test=test, val=val)
    assert again.digest == split.digest
    # Each user's share, rounded, but never its last pair.
    count = torch.bincount(log.pairs[0])
    wanted = torch.minimum((count * test + 0.5).floor().long(), count - 1)
    assert torch.equal(torch.bincount(split.test[0], minlength=9), wanted)


def test_another_seed_is_another_split() -> None:
    digests = {FOUR.split(seed, test=0.4, val=0.4).digest for seed in range(8)}
    assert len(digests) > 4


def test_a_published_test_part_stays_and_validation_is_carved_from_train() -> None:
    log = replace(FOUR, test=torch.tensor([[0, 3], [0, 0]]), pairs=FOUR.pairs[:, 1:], times=None)
    log = replace(log, pairs=log.pairs[:, :-1])
    for seed in range(3):
        split = log.split(seed, method="time", test=0.9, val=0.25)
        assert torch.equal(split.test, torch.tensor([[0, 3], [0, 0]]))
        assert split.val[0].tolist() == [0, 1, 2]  # a quarter of 4, 3 and 2, rounded
    split = log.split(0, protocol="published")
    assert torch.equal(split.train, log.pairs)
    assert torch.equal(split.val, split.test)


def test_core_by_hand() -> None:
    # bob has two pairs; without them item c has only two, and without c ann has only two.
    log = make(
        *[(user, item, 0.0) for user in ("ann", "eve", "joe") for item in "ab"],
        ("ann", "c", 0.0),
        ("eve", "d", 0.0),
        ("bob", "c", 0.0),
        ("joe", "e", 0.0),
    )
    assert log.core(1) is log
    core = log.core(2)
    assert core.user_ids.tolist() == ["ann", "eve", "joe"]
    assert core.item_ids.tolist() == ["a", "b"]
    assert core.pairs.shape == (2, 6)
    assert core.times is not None
    assert core.times.shape == (6,)
    assert core.source == "by hand, 2-core"
    assert log.split(0, k_core=2, val=0.5, test=0.5, protocol="published").num_users == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k_core": 9}, "no user and item have 9 pairs each"),
        ({"method": "ratios"}, "method 'ratios' must be one of ratio, leave-one-out, time"),
        ({"test": 0.0}, "the test part is empty; there are 11 pairs"),
        ({"val": 0.0}, "the validation part is empty"),
        ({"method": "time", "test": 1.0}, "the validation part is empty"),
        ({"method": "time", "val": 1.0}, "the train part is empty"),
    ],
)
def test_splits_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FOUR.split(0, **options)


def test_time_without_times_says_which_option() -> None:
    with pytest.raises(InputError, match=r"no times .*--time-column, or use --set split\.method"):
        replace(FOUR, times=None).split(0, method="time")


def test_a_published_test_has_no_core() -> None:
    with pytest.raises(InputError, match="published test part, which a 5-core would change"):
        replace(FOUR, test=torch.tensor([[0], [0]]), pairs=FOUR.pairs[:, 1:]).split(0, k_core=5)


@pytest.mark.parametrize("rows", [[("u", "i", 0.0)], [("u", "i", 0.0), ("v", "i", 0.0)]])
def test_one_user_or_one_item_is_too_little_to_split(rows: list) -> None:
    with pytest.raises(InputError, match="the test part is empty"):
        make(*rows).split(0)


def test_rank_in_group() -> None:
    group = torch.tensor([1, 0, 1, 1, 0])
    order = torch.tensor([5.0, 1.0, 3.0, 3.0, 0.0])
    assert rank_in_group(group, order).tolist() == [2, 1, 0, 1, 0]
