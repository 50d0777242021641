"""LightGCN against its equations, PyG's model and the published loss."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from neighborgraph.errors import InputError
from neighborgraph.models import LightGCN

USERS, ITEMS, NODES = 12, 20, 32
LAYERS = pytest.mark.parametrize(
    ("num_layers", "alpha"),
    [(0, None), (1, None), (3, None), (4, [0.1, 0.0, 0.5, -0.3, 0.2])],
)


def build(pairs: torch.Tensor, **options: Any) -> LightGCN:
    return LightGCN(USERS, ITEMS, pairs, embedding_dim=6, **options).double()


def pyg_twin(ours: LightGCN, pairs: torch.Tensor) -> tuple[Any, torch.Tensor]:
    """PyG's model with the same parameters, and the edges it wants with every call."""
    from torch_geometric.nn import LightGCN as Theirs

    theirs = Theirs(NODES, 6, ours.num_layers, torch.tensor(ours.alpha, dtype=torch.float64))
    theirs.double().load_state_dict(ours.state_dict(), strict=False)
    forth = torch.stack([pairs[0], USERS + pairs[1]])
    return theirs, torch.cat([forth, forth.flip(0)], dim=1)


def normalised(pairs: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """The dense matrix, with weights [n] of the interactions that degrees do not know."""
    dense = torch.zeros(NODES, NODES, dtype=torch.float64)
    dense[pairs[0], USERS + pairs[1]] = 1
    dense += dense.t().clone()
    scale = dense.sum(1).rsqrt().nan_to_num(posinf=0.0)
    if weight is not None:
        dense[pairs[0], USERS + pairs[1]] = weight
        dense[USERS + pairs[1], pairs[0]] = weight
    return scale[:, None] * dense * scale


def layers(matrix: torch.Tensor, x: torch.Tensor, alpha: tuple[float, ...]) -> torch.Tensor:
    out = torch.zeros_like(x)
    for weight in alpha:
        out, x = out + weight * x, matrix @ x
    return out


def gradient(loss: torch.Tensor, model: torch.nn.Module) -> torch.Tensor:
    (grad,) = torch.autograd.grad(loss, list(model.parameters()))
    return grad


def test_by_hand() -> None:
    # One user with items 0 and 1, of degree 1 each: entries of the matrix are 1 / sqrt(2).
    # Item 2 is alone, and keeps half of its embedding.
    model = LightGCN(1, 3, torch.tensor([[0, 0], [0, 1]]), embedding_dim=1, num_layers=1)
    model.embedding.weight.data = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    users, items = model.embeddings()
    torch.testing.assert_close(users, torch.tensor([[(1 + 6 / 2**0.5) / 2]]))
    expected = torch.tensor([[2 + 1 / 2**0.5], [4 + 1 / 2**0.5], [8.0]]) / 2
    torch.testing.assert_close(items, expected)


@LAYERS
def test_equations(pairs, num_layers: int, alpha: list[float] | None) -> None:
    model = build(pairs, num_layers=num_layers, alpha=alpha)
    assert sum(model.alpha) == pytest.approx(1 if alpha is None else sum(alpha))
    expected = layers(normalised(pairs), model.embedding.weight, model.alpha)
    torch.testing.assert_close(torch.cat(model.embeddings()), expected)
    torch.testing.assert_close(model.get_embedding(), expected)


@LAYERS
def test_scores_and_losses_are_those_of_pyg(pairs, num_layers: int, alpha) -> None:
    ours = build(pairs, num_layers=num_layers, alpha=alpha)
    theirs, edges = pyg_twin(ours, pairs)
    torch.testing.assert_close(ours.get_embedding(), theirs.get_embedding(edges))
    torch.testing.assert_close(ours(), theirs(edges))
    chosen = torch.randint(NODES, (2, 40))
    torch.testing.assert_close(ours(chosen), theirs(edges, chosen))
    for prob in (False, True):
        actual = ours.predict_link(chosen, prob=prob)
        torch.testing.assert_close(actual, theirs.predict_link(edges, chosen, prob=prob))

    nodes = chosen.unique()
    for node_id in (None, nodes):
        losses = []
        for model, scores in ((ours, ours(chosen)), (theirs, theirs(edges, chosen))):
            options: dict[str, Any] = {"node_id": node_id, "lambda_reg": 0.3}
            loss = model.recommendation_loss(*scores.chunk(2), **options)
            losses.append((loss, gradient(loss, model)))
        torch.testing.assert_close(*losses)

    labels = torch.randint(2, (40,))
    losses = []
    for model, scores in ((ours, ours(chosen)), (theirs, theirs(edges, chosen))):
        loss = model.link_pred_loss(scores, labels, reduction="sum")
        losses.append((loss, gradient(loss, model)))
    torch.testing.assert_close(*losses)


def test_recommendations_are_those_of_pyg(pairs) -> None:
    ours = build(pairs, num_layers=2)
    theirs, edges = pyg_twin(ours, pairs)
    users, items = torch.arange(USERS), torch.arange(USERS, NODES)
    chosen: list[dict[str, Any]] = [
        {},
        {"k": 3},
        {"src_index": users[3:7], "dst_index": items.flip(0), "k": 5},
    ]
    for options in chosen:
        assert torch.equal(ours.recommend(**options), theirs.recommend(edges, **options))


def test_the_published_loss(pairs) -> None:
    model = build(pairs, num_layers=2, reg=0.3)
    batch = pairs[:, torch.tensor([0, 5, 5, 9])]
    negatives = torch.tensor([19, 3, 3, 0])
    loss = model.loss(batch, negatives)

    table = model.embedding.weight.detach().clone().requires_grad_()
    final = layers(normalised(pairs), table, model.alpha)
    expected = torch.zeros((), dtype=torch.float64)
    for user, item, other in zip(*batch.tolist(), negatives.tolist(), strict=True):
        rows = [user, USERS + item, USERS + other]
        positive, negative = (final[rows[0]] @ final[row] for row in rows[1:])
        expected += (-F.logsigmoid(positive - negative)) / 4
        expected += 0.3 * 0.5 * table[rows].square().sum() / 4
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient(loss, model), torch.autograd.grad(expected, table)[0])


def test_no_negative_is_a_training_item(pairs) -> None:
    model = build(pairs)
    batch = pairs.repeat(1, 50)
    seen = {tuple(pair) for pair in pairs.t().tolist()}
    assert not seen & set(zip(batch[0].tolist(), model.draw(batch).tolist(), strict=True))


def test_edge_dropout_takes_both_directions_of_an_interaction(pairs) -> None:
    model = build(pairs, num_layers=2, edge_dropout=0.4)
    generator = torch.random.get_rng_state()
    out = model.get_embedding()
    torch.random.set_rng_state(generator)
    kept = torch.rand(pairs.shape[1]) >= 0.4
    assert 0 < kept.sum() < pairs.shape[1]
    matrix = normalised(pairs, kept.double() / 0.6)
    expected = layers(matrix, model.embedding.weight, model.alpha)
    torch.testing.assert_close(out, expected)
    weights = torch.randn(NODES, 6, dtype=torch.float64)
    actual_grad = gradient((out * weights).sum(), model)
    torch.testing.assert_close(actual_grad, gradient((expected * weights).sum(), model))

    whole = layers(normalised(pairs), model.embedding.weight, model.alpha)
    torch.testing.assert_close(model.eval().get_embedding(), whole)


def test_inits(pairs) -> None:
    normal = LightGCN(USERS, ITEMS, pairs, embedding_dim=2000).embedding.weight
    assert normal.std().item() == pytest.approx(0.1, rel=0.02)
    model = LightGCN(USERS, ITEMS, pairs, embedding_dim=40, num_layers=0, init="xavier")
    for table in model.embeddings():
        bound = (6 / (len(table) + 40)) ** 0.5
        assert 0.95 * bound < table.abs().max() <= bound


def test_a_copy_and_a_saved_model_score_alike(pairs) -> None:
    model = build(pairs)
    loaded = build(pairs)
    loaded.load_state_dict(model.state_dict())
    for other in (copy.deepcopy(model), loaded):
        assert torch.equal(other.get_embedding(), model.get_embedding())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_dim": 0}, "embedding_dim=0 must be at least 1"),
        ({"num_layers": -1}, "num_layers=-1 is negative; 0 or more"),
        ({"num_layers": 2, "alpha": [1.0, 0.5]}, "alpha has 2 layer weights, .* needs 3"),
        ({"alpha": [1.0, 0.5, float("nan"), 0.1]}, r"alpha\[2\]=nan must be a finite number"),
        ({"num_layers": 0, "alpha": ["1"]}, r"alpha\[0\]='1' must be a finite number"),
        ({"reg": -0.1}, "reg=-0.1 must be finite and 0 or more"),
        ({"edge_dropout": 1.0}, r"edge_dropout=1.0 is outside \[0, 1\)"),
        ({"init": "xaver"}, "init='xaver' must be one of normal, xavier; did you mean 'xavier'"),
    ],
)
def test_wrong_options(pairs, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LightGCN(USERS, ITEMS, pairs, **options)


def test_it_prints_its_sizes(pairs) -> None:
    assert "12, 20, embedding_dim=64, num_layers=3" in repr(LightGCN(USERS, ITEMS, pairs))
