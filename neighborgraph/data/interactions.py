"""Interactions: who chose what, in a part to train on, a part to select by and a part to test."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neighborgraph.errors import InputError

PROTOCOLS = ("validation", "published")
"""``validation``: a part of train selects. ``published``: the test selects, as papers have it."""
MAX_COUNT = 2**31 - 1
"""Users or items that int32 ids can number."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Split user-item pairs, checked at birth.

    Every part is [2, n] int64: row 0 the user, row 1 the item, sorted by (user, item), no pair
    twice. No pair is in two parts, except that under the protocol ``published`` the validation part
    is the test part.

    Attributes:
        name: The name on the command line.
        num_users: U; users without a pair count.
        num_items: I; items without a pair count.
        train: What a model learns from.
        val: What selects the best epoch.
        test: What is reported.
        user_ids: [U] original ids, int64 or text.
        item_ids: [I] original ids, int64 or text.
        protocol: One of ``PROTOCOLS``.
        source: Where the data came from, for the reader of a record.
    """

    name: str
    num_users: int
    num_items: int
    train: Tensor
    val: Tensor
    test: Tensor
    user_ids: np.ndarray
    item_ids: np.ndarray
    protocol: str
    source: str

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InputError(f"protocol {self.protocol!r} must be one of {', '.join(PROTOCOLS)}")
        for what, count, ids in (
            ("user", self.num_users, self.user_ids),
            ("item", self.num_items, self.item_ids),
        ):
            if not 1 <= count <= MAX_COUNT or ids.shape != (count,):
                raise InputError(
                    f"data set {self.name}: {count} {what}s with {list(ids.shape)} original ids; "
                    f"there must be 1 to {MAX_COUNT} {what}s with one id each"
                )
        parts = {"train": self.train, "val": self.val, "test": self.test}
        keys = {part: self.checked_keys(part, pairs) for part, pairs in parts.items()}
        for part, pairs in parts.items():
            if pairs.shape[1] == 0:
                raise InputError(f"data set {self.name}: the {part} part is empty")
        if self.protocol == "published":
            if not torch.equal(self.val, self.test):
                raise InputError(
                    f"data set {self.name}: under the protocol 'published' val must be test"
                )
            del keys["val"]
        key, count = torch.cat(list(keys.values())).unique(return_counts=True)
        if int(count.max()) > 1:
            twice = int(key[count.argmax()])
            raise InputError(
                f"data set {self.name}: {self.pair_in_words(twice)} is in two parts, which would "
                "let a model see what it is tested on"
            )

    def checked_keys(self, part: str, pairs: Tensor) -> Tensor:
        """One number a pair, rising; refuses a part of another form."""
        if pairs.dtype != torch.int64 or pairs.dim() != 2 or pairs.shape[0] != 2:
            raise InputError(
                f"data set {self.name}: the {part} part must be int64 of shape [2, n], got "
                f"{pairs.dtype} {list(pairs.shape)}"
            )
        for row, what, count in ((0, "user", self.num_users), (1, "item", self.num_items)):
            wrong = ((pairs[row] < 0) | (pairs[row] >= count)).nonzero()
            if wrong.numel():
                raise InputError(
                    f"data set {self.name}: {what} {int(pairs[row, wrong[0, 0]])} at position "
                    f"{int(wrong[0, 0])} of the {part} part is outside [0, {count})"
                )
        keys = pairs[0] * self.num_items + pairs[1]
        if bool((keys.diff() <= 0).any()):
            raise InputError(
                f"data set {self.name}: the {part} part is not sorted by (user, item), or has a "
                "pair twice"
            )
        return keys

    def pair_in_words(self, key: int) -> str:
        """A pair by its original ids."""
        user, item = divmod(key, self.num_items)
        return f"user {self.user_ids[user]} with item {self.item_ids[item]}"

    @property
    def known(self) -> Tensor:
        """[2, n] all pairs of all parts, sorted by (user, item)."""
        parts = (self.train, self.val, self.test)
        keys = torch.cat([pairs[0] * self.num_items + pairs[1] for pairs in parts]).unique()
        return torch.stack([keys // self.num_items, keys % self.num_items])

    @cached_property
    def digest(self) -> str:
        """SHA-256 over sizes, pairs and original ids: tells two versions of a data set apart."""
        return digest_of(
            {"num_users": self.num_users, "num_items": self.num_items, "protocol": self.protocol},
            (self.train.numpy(), self.val.numpy(), self.test.numpy()),
            (self.user_ids, self.item_ids),
        )


def digest_of(
    numbers: Mapping[str, Any], arrays: tuple[np.ndarray, ...], ids: tuple[np.ndarray, ...]
) -> str:
    """SHA-256 of named numbers, arrays, and arrays of ids that may be text."""
    digest = hashlib.sha256(str(dict(numbers)).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {list(array.shape)}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    for array in ids:
        digest.update("\n".join(map(repr, array.tolist())).encode())
    return digest.hexdigest()
