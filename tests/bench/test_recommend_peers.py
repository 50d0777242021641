"""The peers of recommenders compute what ours do."""

import pytest
import torch

from neighborgraph.bench.recommend_peers import PublishedUltraGCN, PygLightGCN
from neighborgraph.models import LightGCN, UltraGCN

Sizes = tuple[int, int, torch.Tensor]


@pytest.fixture
def sizes() -> Sizes:
    """Users, items and pairs."""
    pairs = torch.stack([torch.randint(0, 300, (6000,)), torch.randint(0, 400, (6000,))])
    return 300, 400, pairs.unique(dim=1)


def test_the_published_batch_has_the_same_loss_and_gradients(sizes: Sizes) -> None:
    ours = UltraGCN(*sizes, init_std=0.3)
    theirs = PublishedUltraGCN(ours)
    assert sum(p.numel() for p in theirs.parameters()) == 700 * 64
    batch = sizes[2][:, :64]
    negatives = theirs.draw(batch)
    losses = [model.loss(batch, negatives) for model in (ours, theirs)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)
    ours_grads, theirs_grads = (
        torch.autograd.grad(loss, list(model.parameters()))
        for loss, model in zip(losses, (ours, theirs), strict=True)
    )
    torch.testing.assert_close(ours_grads, theirs_grads, rtol=1e-4, atol=1e-6)


def test_pyg_trains_on_the_same_scores(sizes: Sizes) -> None:
    theirs = PygLightGCN(*sizes, 64, 3)
    ours = LightGCN(*sizes)
    ours.embedding.weight.data = theirs.model.embedding.weight.data
    actual = theirs.model.get_embedding(theirs.edge_index)
    torch.testing.assert_close(actual, ours.get_embedding(), rtol=1e-5, atol=1e-6)
    batch = sizes[2][:, torch.arange(0, 600, 100)]  # no node twice, so the penalties agree
    negatives = torch.tensor([i for i in range(400) if i not in batch[1]][:6])
    assert batch[0].unique().numel() == batch[1].unique().numel() == 6
    ours.reg = 2e-4
    losses = [model.loss(batch, negatives) for model in (ours, theirs)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)
