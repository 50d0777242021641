"""Which user-item pairs an epoch trains on, drawn on the device in one go."""

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor


class PairSampler(ABC):
    """Draws the pairs of an epoch.

    Attributes:
        pairs: [2, n] training pairs, sorted by user.
    """

    def __init__(self, pairs: Tensor) -> None:
        self.pairs = pairs

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Tensor:
        """[2, n] pairs, as many as there are training pairs, on the device of these."""


@final
class UserSampler(PairSampler):
    """A user uniformly, then one of its items uniformly: LightGCN's way.

    Pairs of users with few items come up more often than those of users with many.
    """

    def __init__(self, pairs: Tensor) -> None:
        """Keep where each user's items begin.

        Args:
            pairs: [2, n] training pairs, sorted by user.
        """
        super().__init__(pairs)
        # Users without an item cannot be drawn.
        _, counts = pairs[0].unique_consecutive(return_counts=True)
        self.counts = counts
        self.starts = counts.cumsum(0) - counts

    def draw(self, generator: torch.Generator) -> Tensor:
        """[2, n] pairs; n is the number of training pairs."""
        size, device = (self.pairs.shape[1],), self.pairs.device
        user = torch.randint(self.counts.numel(), size, generator=generator, device=device)
        # float64: in float32, u * count could be rounded up to count.
        u = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
        place = self.starts[user] + (u * self.counts[user]).long()
        return self.pairs[:, place]


@final
class EdgeSampler(PairSampler):
    """Every pair once, in random order: UltraGCN's way."""

    def draw(self, generator: torch.Generator) -> Tensor:
        """[2, n] the training pairs, shuffled."""
        n, device = self.pairs.shape[1], self.pairs.device
        return self.pairs[:, torch.randperm(n, generator=generator, device=device)]


SAMPLERS: dict[str, type[PairSampler]] = {"users": UserSampler, "edges": EdgeSampler}
"""The word in a recipe to the class."""
