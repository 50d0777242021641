"""A recommender of a few lines, so that the task is tested without any model of the package."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class Factors(nn.Module):
    """Matrix factorisation with one negative a pair, drawn from all items."""

    def __init__(self, num_users: int, num_items: int, width: int = 16) -> None:
        super().__init__()
        self.users = nn.Embedding(num_users, width)
        self.items = nn.Embedding(num_items, width)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        return self.users.weight, self.items.weight

    def draw(self, pairs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        size = (pairs.shape[1],)
        count = self.items.num_embeddings
        return torch.randint(count, size, generator=generator, device=pairs.device)

    def loss(self, pairs: Tensor, negatives: Tensor) -> Tensor:
        user = self.users(pairs[0])
        good, bad = self.items(pairs[1]), self.items(negatives)
        return softplus((user * (bad - good)).sum(1)).mean()


@pytest.fixture
def factors() -> type[Factors]:
    return Factors
