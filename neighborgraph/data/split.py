"""Rules that turn a seed into a split."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from neighborgraph.data.dataset import Split

SplitRule = Callable[[int], Split]


def fixed(split: Split) -> SplitRule:
    """The same split for every seed: only the model's randomness differs between runs."""
    return lambda seed: split


def cycle(splits: Sequence[Split]) -> SplitRule:
    """Published splits, one a seed, starting again after the last."""
    return lambda seed: splits[seed % len(splits)]


def random_per_class(
    y: Tensor, *, train: int, val: int, val_per_class: bool = False, test: int | None = None
) -> SplitRule:
    """Labels drawn anew for every seed.

    Args:
        y: [n] labels.
        train: Training nodes a class.
        val: Validation nodes, in all or a class.
        val_per_class: Whether ``val`` counts a class.
        test: Number of test nodes among the rest; None takes all of the rest.
    """

    def draw(seed: int) -> Split:
        order = torch.randperm(y.numel(), generator=torch.Generator().manual_seed(seed))
        rank = rank_in_class(y[order])
        training = rank < train
        validation = ~training
        if val_per_class:
            validation &= rank < train + val
        else:
            validation &= (~training).cumsum(0) <= val
        rest = order[~training & ~validation]
        return Split(order[training], order[validation], rest[:test])

    return draw


def rank_in_class(y: Tensor) -> Tensor:
    """How many earlier entries of ``y`` have the same label, for each entry."""
    rank = torch.zeros_like(y)
    for label in y.unique():
        members = y == label
        rank[members] = torch.arange(int(members.sum()))
    return rank
