"""UltraGCN against the published loss written out pair by pair, in both ways to score negatives."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from neighborgraph.errors import InputError
from neighborgraph.models import UltraGCN, ultragcn
from neighborgraph.models.cooccurrence import co_occurring_items

USERS, ITEMS, NEGATIVES = 12, 20, 7
OPTIONS = {
    "embedding_dim": 6,
    "num_negatives": NEGATIVES,
    "negative_weight": 5.0,
    "w1": 0.3,
    "w2": 0.7,
    "w3": 0.2,
    "w4": 1.3,
    "num_neighbors": 3,
    "item_weight": 0.4,
    "reg": 0.01,
    "init_std": 1.0,
}


def build(pairs: torch.Tensor, **options: Any) -> UltraGCN:
    return UltraGCN(USERS, ITEMS, pairs, **{**OPTIONS, **options}).double()


def published(
    model: UltraGCN, pairs: torch.Tensor, batch: torch.Tensor, negatives: torch.Tensor
) -> torch.Tensor:
    """The loss of the paper and its code for OPTIONS, term by term."""
    users, items = model.embeddings()
    user_degree = torch.bincount(pairs[0], minlength=USERS).double()
    item_degree = torch.bincount(pairs[1], minlength=ITEMS).double()
    near, omega = co_occurring_items(USERS, ITEMS, pairs, 3)

    def beta(u: int, i: int) -> torch.Tensor:
        return ((user_degree[u] + 1) / (item_degree[i] + 1)).sqrt() / user_degree[u]

    def loss(u: int, i: int, sign: float) -> torch.Tensor:
        return -F.logsigmoid(sign * (users[u] @ items[i]))

    total = torch.zeros((), dtype=torch.float64)
    for u, i, others in zip(*batch.tolist(), negatives.tolist(), strict=True):
        total += (0.3 + 0.7 * beta(u, i)) * loss(u, i, 1.0)
        for j in others:
            total += 5.0 / NEGATIVES * (0.2 + 1.3 * beta(u, j)) * loss(u, j, -1.0)
        for j, weight in zip(near[i].tolist(), omega[i], strict=True):
            total += 0.4 * weight * loss(u, j, 1.0)
    return total + 0.01 / 2 * (users.square().sum() + items.square().sum())


@pytest.mark.parametrize(("limit", "entries"), [(0, 1), (50, 1), (50, 45), (50, 2**25)])
def test_the_published_loss(pairs, monkeypatch, limit: int, entries: int) -> None:
    monkeypatch.setattr(ultragcn, "DENSE_ITEMS_PER_NEGATIVE", limit)
    monkeypatch.setattr(ultragcn, "MATRIX_ENTRIES", entries)
    model = build(pairs)
    batch = pairs[:, torch.tensor([0, 5, 5, 9, 30])]
    negatives = torch.randint(ITEMS, (5, NEGATIVES))
    negatives[0] = negatives[0, 0]  # one item, again and again
    loss = model.loss(batch, negatives)
    # The factors are kept in float32.
    expected = published(model, pairs, batch, negatives)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    parameters = list(model.parameters())
    actual_grads = torch.autograd.grad(loss, parameters)
    expected_grads = torch.autograd.grad(expected, parameters)
    torch.testing.assert_close(actual_grads, expected_grads, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("num_items", "dense"), [(50 * NEGATIVES, True), (50 * NEGATIVES + 1, False)]
)
def test_how_negatives_are_scored_depends_on_how_many_there_are(
    num_items: int, dense: bool, monkeypatch
) -> None:
    model = UltraGCN(1, num_items, torch.tensor([[0], [0]]), num_negatives=NEGATIVES)
    way = "dense_scores" if dense else "gathered_scores"
    called = []
    original = getattr(model, way)
    monkeypatch.setattr(model, way, lambda *args: called.append(args[1].shape) or original(*args))
    batch = torch.tensor([[0], [0]])
    model.loss(batch, model.draw(batch))
    assert (1, NEGATIVES) in called


def test_negatives_are_uniform_over_all_items(pairs) -> None:
    model = build(pairs, num_negatives=4000)
    drawn = model.draw(pairs[:, :10], torch.Generator().manual_seed(1))
    assert drawn.shape == (10, 4000)
    expected = 40_000 / ITEMS
    statistic = ((drawn.view(-1).bincount(minlength=ITEMS) - expected) ** 2 / expected).sum()
    assert abs(float(statistic) - 19) < 5 * 38**0.5


def test_the_norm_is_of_all_parameters_and_its_gradient_is_themselves() -> None:
    weight = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    half = ultragcn.HalfSquares.apply(weight)
    torch.testing.assert_close(half, weight.square().sum() / 2)
    assert torch.autograd.gradcheck(ultragcn.HalfSquares.apply, (weight,))
    (grad,) = torch.autograd.grad(3 * half, weight)
    assert torch.equal(grad, 3 * weight)


def test_a_user_without_items_weighs_nothing(pairs) -> None:
    assert build(pairs).user_factor[11] == 0
    assert build(pairs).item_factor[19] == 1


def test_embeddings_are_the_parameters(pairs) -> None:
    model = build(pairs)
    assert [id(table) for table in model.embeddings()] == [id(p) for p in model.parameters()]
    model = UltraGCN(USERS, ITEMS, pairs, embedding_dim=2000)
    for table in model.embeddings():
        assert table.std().item() == pytest.approx(1e-4, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_dim": 0}, "embedding_dim=0 must be at least 1"),
        ({"num_negatives": 0}, "num_negatives=0 must be at least 1"),
        ({"num_neighbors": 0}, "num_neighbors=0 must be at least 1"),
        *(
            ({name: -1.0}, f"{name}=-1.0 must be finite and 0 or more")
            for name in ("negative_weight", "w1", "w2", "w3", "w4", "item_weight", "reg")
        ),
        ({"init_std": float("nan")}, "init_std=nan must be finite"),
    ],
)
def test_wrong_options(pairs, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        UltraGCN(USERS, ITEMS, pairs, **options)
