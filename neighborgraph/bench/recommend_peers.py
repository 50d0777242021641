"""What recommenders are timed beside: PyG's LightGCN, and UltraGCN's batch as it was published.

PyG's model has the loss and the random negatives of PyG's own example. The published batch is a
plain transcription: an embedding is gathered for every negative.
"""

import importlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.models import UltraGCN


class PygLightGCN(nn.Module):
    """PyG's LightGCN as PyG's example trains it."""

    def __init__(
        self, num_users: int, num_items: int, pairs: Tensor, channels: int, layers: int
    ) -> None:
        """Take the edges, in both directions."""
        super().__init__()
        # Imported here: PyG takes seconds, and only a benchmark with peers needs it.
        theirs: Any = importlib.import_module("torch_geometric.nn.models")
        self.num_users, self.num_items = num_users, num_items
        self.model = theirs.LightGCN(num_users + num_items, channels, layers)
        forth = torch.stack([pairs[0], num_users + pairs[1]])
        self.edge_index = torch.cat([forth, forth.flip(0)], dim=1)

    def draw(self, pairs: Tensor) -> Tensor:
        """Any item for each pair, [B]."""
        return torch.randint(self.num_items, pairs[0].shape, device=pairs.device)

    def embeddings(self) -> Tensor:
        """Of all nodes."""
        return self.model.get_embedding(self.edge_index)

    def loss(self, pairs: Tensor, negatives: Tensor) -> Tensor:
        """PyG's BPR loss of a batch."""
        users, items = pairs
        targets = torch.cat([items, negatives]) + self.num_users
        edges = torch.stack([users.repeat(2), targets])
        positive, negative = self.model(self.edge_index, edges).chunk(2)
        return self.model.recommendation_loss(positive, negative, node_id=edges.unique())


class PublishedUltraGCN(nn.Module):
    """The batch of UltraGCN as its paper writes it, in plain Torch."""

    def __init__(self, ours: UltraGCN) -> None:
        """Take the sizes, weights and tables of our model; the parameters are copies."""
        super().__init__()
        self.ours = [ours]  # in a list, so that it is no sub-module
        self.users = nn.Embedding.from_pretrained(ours.users.weight.detach().clone(), freeze=False)
        self.items = nn.Embedding.from_pretrained(ours.items.weight.detach().clone(), freeze=False)

    def draw(self, pairs: Tensor) -> Tensor:
        """Any items, [B, R]."""
        return self.ours[0].draw(pairs)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """The parameters."""
        return self.users.weight, self.items.weight

    def loss(self, pairs: Tensor, negatives: Tensor) -> Tensor:
        """The sum over the batch."""
        (ours,) = self.ours
        users, items = pairs
        user = self.users(users)
        factor = ours.user_factor[users]
        entropy = F.binary_cross_entropy_with_logits

        scores = (user * self.items(items)).sum(-1)
        weight = ours.w1 + ours.w2 * factor * ours.item_factor[items]
        loss = entropy(scores, torch.ones_like(scores), weight, reduction="sum")

        scores = (user[:, None] * self.items(negatives)).sum(-1)
        weight = ours.w3 + ours.w4 * factor[:, None] * ours.item_factor[negatives]
        each = entropy(scores, torch.zeros_like(scores), weight, reduction="none")
        loss = loss + ours.negative_weight * each.mean(-1).sum()

        scores = (user[:, None] * self.items(ours.neighbors[items])).sum(-1)
        loss = loss - ours.item_weight * (ours.omega[items] * scores.sigmoid().log()).sum()
        norm = sum(parameter.square().sum() for parameter in self.parameters())
        return loss + ours.reg / 2 * norm
