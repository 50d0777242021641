"""Interactions: every fault of a split is refused by name and place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neighborgraph.data import Interactions
from neighborgraph.errors import InputError


def pairs(*given: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(given, dtype=torch.int64).reshape(-1, 2).t()


GOOD = Interactions(
    name="hand",
    num_users=3,
    num_items=4,
    train=pairs((0, 0), (0, 1), (2, 3)),
    val=pairs((0, 2)),
    test=pairs((0, 3), (2, 0)),
    user_ids=np.array(["ann", "bob", "eve"]),
    item_ids=np.array([10, 20, 30, 2**40]),
    protocol="validation",
    source="by hand",
)


def test_known_is_every_pair_once() -> None:
    assert GOOD.known.t().tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [2, 0], [2, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "test"}, "protocol 'test' must be one of validation, published"),
        ({"num_users": 0}, "0 users with"),
        ({"num_items": 2**31}, "must be 1 to 2147483647 items"),
        ({"user_ids": np.array(["ann"])}, r"3 users with \[1\] original ids"),
        ({"train": pairs()}, "the train part is empty"),
        ({"val": pairs()}, "the val part is empty"),
        ({"train": pairs((0, 0)).int()}, r"train part must be int64 .* got torch.int32"),
        ({"test": torch.zeros(3, 2, dtype=torch.int64)}, r"of shape \[2, n\], .* \[3, 2\]"),
        ({"test": pairs((0, 3), (3, 0))}, r"user 3 at position 1 of the test part .* \[0, 3\)"),
        ({"val": pairs((0, -1))}, r"item -1 at position 0 of the val part is outside \[0, 4\)"),
        ({"train": pairs((0, 1), (0, 0))}, "not sorted by .*, or has a pair twice"),
        ({"train": pairs((0, 1), (0, 1))}, "not sorted by .*, or has a pair twice"),
        ({"val": pairs((2, 3))}, "user eve with item 1099511627776 is in two parts"),
        ({"protocol": "published"}, "under the protocol 'published' val must be test"),
    ],
)
def test_faults(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(GOOD, **change)


def test_published_selects_by_the_test() -> None:
    published = replace(GOOD, protocol="published", val=GOOD.test)
    assert published.known.shape[1] == 5


def test_digest_tells_parts_and_ids_apart() -> None:
    assert replace(GOOD).digest == GOOD.digest
    moved = replace(GOOD, val=pairs((2, 1)))
    renamed = replace(GOOD, user_ids=np.array(["ann", "bob", "eva"]))
    assert len({GOOD.digest, moved.digest, renamed.digest}) == 3
