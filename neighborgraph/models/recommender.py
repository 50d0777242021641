"""Recommender: what every model that ranks items for users offers its task."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_dtype, expect_shape
from neighborgraph.errors import InputError
from neighborgraph.graph.structure import expect_ids, expect_size, expect_values
from neighborgraph.models.options import expect_counts


class Recommender(nn.Module, ABC):
    """A model whose score of an item for a user is the inner product of their embeddings.

    Letters used everywhere: U users, I items, n training pairs, B pairs of a batch, R negatives of
    a pair, d channels of an embedding.

    What a model derives from the training pairs moves between devices with it and is not part of
    its ``state_dict``: whoever loads one builds the model from the same pairs.
    """

    def __init__(self, num_users: int, num_items: int, train_pairs: Tensor):
        """Check the training pairs and keep the sizes.

        Args:
            num_users: U, at least 1.
            num_items: I, at least 1.
            train_pairs: [2, n] int64, users above items, sorted by (user, item), each pair once.

        Raises:
            InputError: A size, an id or the order is wrong; names the position.
            DtypeError: ``train_pairs`` is no int64 tensor.
        """
        super().__init__()
        expect_train_pairs(num_users, num_items, train_pairs)
        self.num_users = num_users
        self.num_items = num_items

    @abstractmethod
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """What ranking multiplies: users [U, d] and items [I, d]."""

    @abstractmethod
    def draw(self, pairs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw negative items for a batch, on its device and without waiting for it.

        Args:
            pairs: [2, B] int64 training pairs.
            generator: Of the device of ``pairs``; None takes Torch's own.

        Returns:
            [B] or [B, R] int64 item ids.
        """

    @abstractmethod
    def loss(self, pairs: Tensor, negatives: Tensor, size: Tensor | None = None) -> Tensor:
        """The loss of one training step, a scalar.

        Where processes share a batch, each has some of its pairs, and the losses of all processes
        add up to that of the whole batch.

        Args:
            pairs: [2, B] int64 training pairs.
            negatives: What `draw` returned for them.
            size: Scalar, the pairs of the whole batch; by default B. B may be 0 beside it.
        """


def expect_train_pairs(num_users: int, num_items: int, pairs: Tensor) -> None:
    """Refuse sizes and ids out of range, and pairs that repeat or are out of order."""
    for name, size in (("num_users", num_users), ("num_items", num_items)):
        expect_size(name, size)
        expect_counts(**{name: size})
    expect_size("num_users + num_items", num_users + num_items)
    expect_values("train_pairs", pairs)
    expect_dtype("train_pairs", pairs, (torch.int64,))
    expect_shape("train_pairs", pairs, (2, "n"), "users above items")
    if pairs.shape[1] == 0:
        raise InputError("train_pairs is empty; there is nothing to learn from")
    users, items = pairs
    expect_ids("train_pairs[0]", users, num_users, "num_users")
    expect_ids("train_pairs[1]", items, num_items, "num_items")
    falls = (users * num_items + items).diff() <= 0
    if falls.any():
        position = int(falls.nonzero()[0]) + 1
        pair = pairs[:, position].tolist()
        raise InputError(
            f"train_pairs[:, {position}] = {pair} does not come after the pair before it; "
            "sort the pairs by (user, item) and drop those that repeat"
        )
