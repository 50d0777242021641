"""UltraGCN, from "UltraGCN: Ultra Simplification of Graph Convolutional Networks" (CIKM 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.models.cooccurrence import co_occurring_items
from neighborgraph.models.options import expect_counts, expect_weights
from neighborgraph.models.recommender import Recommender
from neighborgraph.ops.registration import differentiable_once

MATRIX_ENTRIES = 2**25
"""Largest number of entries of a score matrix at a time."""
DENSE_ITEMS_PER_NEGATIVE = 50
"""Up to so many items a negative, scoring all items is faster than gathering the negatives."""


class UltraGCN(Recommender):
    r"""Train embeddings towards the limit of endless propagation (Mao et al., arXiv 2110.15114).

    No message is passed. A loss holds the embeddings where infinitely many layers would leave them:
    with :math:`\beta_{ui} = \frac{1}{d_u} \sqrt{\frac{d_u + 1}{d_i + 1}}`, the batch's pairs
    (u, i) and R items j for each of them, drawn from all items,

    .. math::

        L = \sum_{(u, i)} \Big( (w_1 + w_2 \beta_{ui}) \, \ell(s_{ui})
          + \frac{w_-}{R} \sum_j (w_3 + w_4 \beta_{uj}) \, \ell(-s_{uj})
          + \lambda \sum_{j \in N_i} \Omega_{ij} \, \ell(s_{uj}) \Big)
          + \frac{\gamma}{2} |\theta|^2, \qquad \ell(s) = \ln(1 + e^{-s})

    where :math:`N_i` are the items that most often occur with i and :math:`\theta` is every
    parameter. The loss is a sum over the batch, not a mean.
    """

    user_factor: Tensor
    item_factor: Tensor
    neighbors: Tensor
    omega: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        train_pairs: Tensor,
        *,
        embedding_dim: int = 64,
        num_negatives: int = 1500,
        negative_weight: float = 300.0,
        w1: float = 1e-6,
        w2: float = 1.0,
        w3: float = 1e-6,
        w4: float = 1.0,
        num_neighbors: int = 10,
        item_weight: float = 5e-4,
        reg: float = 1e-4,
        init_std: float = 1e-4,
    ):
        r"""Count degrees, find the items that occur together and draw the embeddings.

        The defaults are the authors' for Gowalla.

        Args:
            num_users: U.
            num_items: I.
            train_pairs: [2, n] int64, users above items, sorted by (user, item), each pair once.
            embedding_dim: d.
            num_negatives: R, drawn uniformly and with replacement for each pair; the authors do
                not leave out what the user has seen.
            negative_weight: :math:`w_-`.
            w1: Weight of a positive pair.
            w2: Weight of its :math:`\beta`.
            w3: Weight of a negative pair.
            w4: Weight of its :math:`\beta`.
            num_neighbors: Size of :math:`N_i`.
            item_weight: :math:`\lambda`.
            reg: :math:`\gamma`.
            init_std: Standard deviation of the embeddings at first.

        Raises:
            InputError: The pairs or an option are wrong.
            DtypeError: ``train_pairs`` is no int64 tensor.
        """
        super().__init__(num_users, num_items, train_pairs)
        expect_counts(
            embedding_dim=embedding_dim,
            num_negatives=num_negatives,
            num_neighbors=num_neighbors,
        )
        expect_weights(
            negative_weight=negative_weight,
            w1=w1,
            w2=w2,
            w3=w3,
            w4=w4,
            item_weight=item_weight,
            reg=reg,
            init_std=init_std,
        )
        self.num_negatives = num_negatives
        self.negative_weight = negative_weight
        self.w1, self.w2, self.w3, self.w4 = w1, w2, w3, w4
        self.item_weight = item_weight
        self.reg = reg
        self.init_std = init_std
        self.users = nn.Embedding(num_users, embedding_dim)
        self.items = nn.Embedding(num_items, embedding_dim)
        user_factor, item_factor = beta_factors(num_users, num_items, train_pairs)
        neighbors, omega = co_occurring_items(num_users, num_items, train_pairs, num_neighbors)
        self.register_buffer("user_factor", user_factor, persistent=False)
        self.register_buffer("item_factor", item_factor, persistent=False)
        self.register_buffer("neighbors", neighbors, persistent=False)
        self.register_buffer("omega", omega, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the embeddings anew."""
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=self.init_std)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """The parameters: users [U, d] and items [I, d]."""
        return self.users.weight, self.items.weight

    def draw(self, pairs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """R items for each pair, uniformly and with replacement: [B, R] int64.

        Args:
            pairs: [2, B] int64 training pairs.
            generator: Of the device of ``pairs``; None takes Torch's own.
        """
        shape = pairs.shape[1], self.num_negatives
        return torch.randint(self.num_items, shape, generator=generator, device=pairs.device)

    def loss(self, pairs: Tensor, negatives: Tensor, size: Tensor | None = None) -> Tensor:
        """The constraint loss, summed over a batch.

        Args:
            pairs: [2, B] int64 training pairs.
            negatives: [B, R] int64 item ids.
            size: Scalar, the pairs of the whole batch of which these are some; their part of it is
                their part of the parameters' norm. By default B.
        """
        users, items = pairs
        reg = self.reg if size is None else self.reg * users.numel() / size
        user, factor = self.users(users), self.user_factor[users]
        return (
            self.positive_loss(user, factor, items)
            + self.negative_loss(user, factor, negatives)
            + reg * HalfSquares.apply(self.users.weight)
            + reg * HalfSquares.apply(self.items.weight)
        )

    def positive_loss(self, user: Tensor, factor: Tensor, items: Tensor) -> Tensor:
        """Of the users [B, d] with their item, and with those that occur with it."""
        near = torch.cat([items[:, None], self.neighbors[items]], dim=1)
        own = self.w1 + self.w2 * factor * self.item_factor[items]
        weight = torch.cat([own[:, None], self.item_weight * self.omega[items]], dim=1)
        return (weight * F.softplus(-self.gathered_scores(user, near))).sum()

    def negative_loss(self, user: Tensor, factor: Tensor, negatives: Tensor) -> Tensor:
        """Of the users [B, d] with their negative items [B, R]."""
        dense = self.num_items <= DENSE_ITEMS_PER_NEGATIVE * negatives.shape[1]
        scores = (self.dense_scores if dense else self.gathered_scores)(user, negatives)
        weight = self.w3 + self.w4 * factor[:, None] * self.item_factor[negatives]
        return self.negative_weight / negatives.shape[1] * (weight * F.softplus(scores)).sum()

    def gathered_scores(self, user: Tensor, items: Tensor) -> Tensor:
        """Scores [B, R] of items [B, R], from a gathered embedding for each."""
        return (self.items(items) @ user[:, :, None]).squeeze(2)

    def dense_scores(self, user: Tensor, items: Tensor) -> Tensor:
        """Scores [B, R] of items [B, R], picked from the scores of all items.

        Two of a user's draws of one item have the same gradient, so it does not matter in which
        order a GPU adds them up, and the rest is matrix products: every run gives the same bits.
        """
        rows = max(1, MATRIX_ENTRIES // self.num_items)
        return torch.cat(
            [
                (block @ self.items.weight.t()).gather(1, chosen)
                for block, chosen in zip(user.split(rows), items.split(rows), strict=True)
            ]
        )


class HalfSquares(torch.autograd.Function):
    """Half the sum of squares, read once; its gradient is the tensor itself."""

    @staticmethod
    def forward(ctx, weight):
        """A scalar."""
        ctx.save_for_backward(weight)
        flat = weight.view(-1)
        return torch.dot(flat, flat) / 2

    @staticmethod
    @differentiable_once("HalfSquares")
    def backward(ctx, grad):
        """Gradient of the tensor."""
        (weight,) = ctx.saved_tensors
        return (grad * weight,)


def beta_factors(num_users: int, num_items: int, pairs: Tensor) -> tuple[Tensor, Tensor]:
    r"""The factors [U] and [I] of :math:`\beta_{ui}`; zero for a user without items."""
    users = torch.bincount(pairs[0], minlength=num_users).double()
    items = torch.bincount(pairs[1], minlength=num_items).double()
    user_factor = ((users + 1).sqrt() / users).masked_fill(users == 0, 0.0)
    return user_factor.float(), (items + 1).rsqrt().float()
