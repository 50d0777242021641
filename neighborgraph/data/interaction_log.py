"""InteractionLog: user-item pairs as they were read, and the splits that can be made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from neighborgraph.data.interactions import Interactions, digest_of
from neighborgraph.errors import InputError

METHODS = ("ratio", "leave-one-out", "time")
"""Ways to make a test part where the data set has none of its own."""


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """Pairs before any split; positions stand for ids.

    Attributes:
        name: The name on the command line.
        pairs: [2, n] int64 users and items, sorted by (user, item), no pair twice.
        times: [n] float64 time of each pair, or None.
        test: [2, m] a published test part, disjoint from ``pairs``; None when there is none.
        user_ids: [U] original ids, int64 or text.
        item_ids: [I] original ids, int64 or text.
        source: Where the pairs came from, for the reader of a record.
    """

    name: str
    pairs: Tensor
    times: Tensor | None
    test: Tensor | None
    user_ids: np.ndarray
    item_ids: np.ndarray
    source: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 over pairs, times and original ids."""
        parts = (self.pairs, self.times, self.test)
        arrays = tuple(part.numpy() for part in parts if part is not None)
        return digest_of({"parts": len(arrays)}, arrays, (self.user_ids, self.item_ids))

    def core(self, k: int) -> "InteractionLog":
        """What is left when users and items with fewer than ``k`` pairs are dropped until none is.

        Raises:
            InputError: Nothing is left, or the test part is published and must stay as it is.
        """
        if k <= 1:
            return self
        if self.test is not None:
            raise InputError(
                f"data set {self.name} has a published test part, which a {k}-core would change; "
                "use --set split.k_core=0"
            )
        kept = torch.ones(self.pairs.shape[1], dtype=torch.bool)
        while True:
            users, items = self.pairs[:, kept]
            few = torch.bincount(users, minlength=len(self.user_ids))[self.pairs[0]] < k
            few |= torch.bincount(items, minlength=len(self.item_ids))[self.pairs[1]] < k
            if not bool((kept & few).any()):
                break
            kept &= ~few
        if not bool(kept.any()):
            raise InputError(
                f"data set {self.name}: no user and item have {k} pairs each; use a smaller "
                "--set split.k_core"
            )
        user, users = self.pairs[0, kept].unique(return_inverse=True)
        item, items = self.pairs[1, kept].unique(return_inverse=True)
        return replace(
            self,
            pairs=torch.stack([users, items]),
            times=None if self.times is None else self.times[kept],
            user_ids=self.user_ids[user.numpy()],
            item_ids=self.item_ids[item.numpy()],
            source=f"{self.source}, {k}-core",
        )

    def split(
        self,
        seed: int,
        *,
        protocol: str = "validation",
        method: str = "ratio",
        test: float = 0.2,
        val: float = 0.1,
        k_core: int = 0,
    ) -> Interactions:
        """Parts to train on, to select by and to test.

        A published test part is taken as it is, and then ``method`` and ``test`` play no role.
        The validation part is carved out of what is left by the same method; a published test has
        no times, so its validation part is drawn by ratio. ``ratio`` draws from each user's pairs
        and leaves every user at least one to train on; ``leave-one-out`` takes the newest pair of
        each user, or one drawn at random where there are no times, and leaves users with fewer than
        three pairs alone; ``time`` takes the newest pairs of all, and pairs of one time stay
        together.

        Args:
            seed: Of all draws.
            protocol: ``validation``, or ``published``, which selects by the test part.
            method: ``ratio``, ``leave-one-out`` or ``time``.
            test: Fraction for the test.
            val: Fraction for the validation, of what the test leaves.
            k_core: Least number of pairs a user and an item must have; 0 keeps all.

        Raises:
            InputError: A part that is needed is empty, or times are needed and absent.
        """
        log = self.core(k_core)
        random = torch.Generator().manual_seed(seed)
        left = torch.ones(log.pairs.shape[1], dtype=torch.bool)
        test_pairs = log.test
        if test_pairs is None:
            held = log.hold_out(method, test, left, random)
            test_pairs, left = log.pairs[:, held], left & ~held
        held = torch.zeros_like(left)
        if protocol == "validation":
            carved = "ratio" if log.test is not None else method
            held = log.hold_out(carved, val, left, random)
        train_pairs = log.pairs[:, left & ~held]
        val_pairs = log.pairs[:, held] if protocol == "validation" else test_pairs
        parts = {"test": test_pairs, "validation": val_pairs, "train": train_pairs}
        for part, pairs in parts.items():
            if pairs.shape[1] == 0:
                raise InputError(
                    f"data set {log.name}: the {part} part is empty; there are "
                    f"{log.pairs.shape[1]} pairs to split by {method}, with test = {test} and "
                    f"val = {val}"
                )
        return Interactions(
            name=log.name,
            num_users=len(log.user_ids),
            num_items=len(log.item_ids),
            train=train_pairs,
            val=val_pairs,
            test=test_pairs,
            user_ids=log.user_ids,
            item_ids=log.item_ids,
            protocol=protocol,
            source=log.source,
        )

    def hold_out(
        self, method: str, fraction: float, left: Tensor, random: torch.Generator
    ) -> Tensor:
        """[n] which of the pairs in ``left`` are held out."""
        if method not in METHODS:
            raise InputError(f"method {method!r} must be one of {', '.join(METHODS)}")
        held = torch.zeros_like(left)
        where = left.nonzero().flatten()
        users = self.pairs[0, where]
        if method == "time":
            held[where] = newest(self.expect_times()[where], fraction)
        elif method == "leave-one-out":
            order = torch.rand(where.numel(), generator=random, dtype=torch.float64)
            if self.times is not None:
                order = self.times[where]
            count = torch.bincount(self.pairs[0], minlength=len(self.user_ids))
            held[where] = (rank_in_group(users, -order) == 0) & (count[users] >= 3)
        else:
            order = torch.rand(where.numel(), generator=random, dtype=torch.float64)
            count = torch.bincount(users, minlength=len(self.user_ids))
            # Half a pair is rounded up, and the last one stays.
            wanted = torch.minimum((count * fraction + 0.5).floor().long(), (count - 1).clamp(0))
            held[where] = rank_in_group(users, order) < wanted[users]
        return held

    def expect_times(self) -> Tensor:
        """The times, or an error that says how to give them."""
        if self.times is None:
            raise InputError(
                f"data set {self.name} has no times to split by; name their column with "
                "--time-column, or use --set split.method=ratio"
            )
        return self.times


def newest(times: Tensor, fraction: float) -> Tensor:
    """[n] whether each pair is among the newest ``fraction``; equal times are on one side."""
    count = round(fraction * times.numel())
    if count == 0:
        return torch.zeros_like(times, dtype=torch.bool)
    return times >= times.sort().values[times.numel() - count]


def rank_in_group(group: Tensor, order: Tensor) -> Tensor:
    """[n] how many entries of the same group come before each, by ``order``, then by position."""
    by_order = order.argsort(stable=True)
    by_group = by_order[group[by_order].argsort(stable=True)]
    sizes = torch.bincount(group)
    starts = (sizes.cumsum(0) - sizes)[group[by_group]]
    rank = torch.empty_like(group)
    rank[by_group] = torch.arange(group.numel()) - starts
    return rank


def log_of(
    name: str,
    users: np.ndarray | Sequence,
    items: np.ndarray | Sequence,
    times: np.ndarray | None,
    source: str,
) -> InteractionLog:
    """A log of pairs given by original ids; a repeated pair counts once, with its newest time.

    Args:
        name: The name on the command line.
        users: [n] original ids, int64 or text.
        items: [n] original ids, int64 or text.
        times: [n] float64, or None.
        source: Where the pairs came from.
    """
    user_ids, user = np.unique(np.asarray(users), return_inverse=True)
    item_ids, item = np.unique(np.asarray(items), return_inverse=True)
    keys, place = np.unique(user * np.int64(len(item_ids)) + item, return_inverse=True)
    newest_times = None
    if times is not None:
        newest_times = np.full(len(keys), -np.inf)
        np.maximum.at(newest_times, place, times)
    return InteractionLog(
        name=name,
        pairs=torch.from_numpy(np.stack([keys // len(item_ids), keys % len(item_ids)])),
        times=None if newest_times is None else torch.from_numpy(newest_times),
        test=None,
        user_ids=user_ids,
        item_ids=item_ids,
        source=source,
    )
