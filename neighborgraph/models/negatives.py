r"""Items that a user has not seen, drawn uniformly without rejection.

Let :math:`s_0 < s_1 < \dots` be the items that user u has seen, and r a number drawn uniformly from
the :math:`I - \deg(u)` unseen ones. The r-th unseen item is r + t, where t counts the seen items
that come before it:

.. math::

    t = |\{ j : s_j - j \le r \}|

because :math:`s_j - j` is the number of unseen items below :math:`s_j`. It never falls along a row
and stays below I + 1, so the keys :math:`u (I + 1) + s_j - j` are sorted over all users, and one
binary search among them finds t for a whole batch.
"""

import torch
from torch import Tensor, nn

from neighborgraph.errors import InputError


class UnseenItems(nn.Module):
    """The training items of every user, in the form that draws from the others."""

    keys: Tensor
    first: Tensor
    unseen: Tensor

    def __init__(self, num_users: int, num_items: int, train_pairs: Tensor):
        """Make the keys.

        Args:
            num_users: U.
            num_items: I.
            train_pairs: [2, n] int64, users above items, sorted by (user, item), each pair once.

        Raises:
            InputError: A user has seen every item.
        """
        super().__init__()
        users, items = train_pairs
        degree = torch.bincount(users, minlength=num_users)
        if (degree == num_items).any():
            user = int((degree == num_items).nonzero()[0])
            raise InputError(
                f"train_pairs has all {num_items} items for user {user}, so no negative item can "
                "be drawn; leave the user out or hold some of the pairs back"
            )
        first = degree.cumsum(0) - degree
        place = torch.arange(users.numel(), device=users.device) - first[users]
        self.stride = num_items + 1
        self.register_buffer("keys", users * self.stride + items - place, persistent=False)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("unseen", num_items - degree, persistent=False)

    def draw(self, users: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One unseen item for each user.

        Args:
            users: [B] int64 user ids; they may repeat.
            generator: Of the device of ``users``; None takes Torch's own.

        Returns:
            [B] int64 item ids.
        """
        # float64: with the 2^24 values of float32 some items would come more often than others.
        uniform = torch.rand(
            users.shape, generator=generator, device=users.device, dtype=torch.float64
        )
        # Below the count: the largest value of rand is 1 - 2^-53, and the product rounds down.
        rank = (uniform * self.unseen[users]).long()
        key = users * self.stride + rank
        return rank + torch.searchsorted(self.keys, key, right=True) - self.first[users]
