"""Local augmentation: pairs, exactness by seed, transforms of PyG, and bad inputs."""

from typing import Any

import pytest
import torch

from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.models import LocalAugmentation
from neighborgraph.models.local_augmentation import endpoints, shuffled_edges, treated

TINY = load_tiny()
X = TINY.x
TRAIN = TINY.split(0).train
FAST: dict[str, Any] = {"epochs": 2, "warm_up": 5, "predictions": 5, "score_every": 3}


def fitted(graph: Graph | torch.Tensor = TINY.graph, **options: Any) -> LocalAugmentation:
    return LocalAugmentation(16).fit(X, graph, TINY.y, TRAIN, **{**FAST, **options})


def same(a: LocalAugmentation, b: LocalAugmentation) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_pairs_are_the_edges() -> None:
    edges = shuffled_edges(TINY.graph)
    neighbor, center = endpoints(TINY.graph, edges)
    found = torch.stack([neighbor, center])
    expected = TINY.graph.edge_index
    assert torch.equal(found.unique(dim=1), expected.unique(dim=1))
    assert not torch.equal(edges, shuffled_edges(TINY.graph))


def test_pairs_skip_isolated_nodes() -> None:
    graph = Graph.from_edge_index(torch.tensor([[4, 0], [1, 3]]), 6)
    neighbor, center = endpoints(graph, torch.tensor([1, 0]))
    assert (neighbor.tolist(), center.tolist()) == ([0, 4], [3, 1])


def test_equal_seeds_give_equal_generators_and_leave_torchs_alone() -> None:
    first, second = fitted(), LocalAugmentation(16)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    second.fit(X, TINY.graph.edge_index, TINY.y, TRAIN, **FAST)
    assert torch.equal(torch.rand(3), expected)
    assert same(first, second)
    assert not same(first, fitted(seed=1))
    assert same(first.fit(X, TINY.graph, TINY.y, TRAIN, **FAST), second)


def test_labels_off_the_training_nodes_are_not_looked_at() -> None:
    hidden = torch.full_like(TINY.y, -1)
    hidden[TRAIN] = TINY.y[TRAIN]
    mask = torch.zeros(120, dtype=torch.bool)
    mask[TRAIN] = True
    blind = LocalAugmentation(16).fit(X, TINY.graph, hidden, mask, **FAST)
    assert torch.equal(blind.vae.out.weight, fitted().vae.out.weight)


def test_the_generator_with_the_highest_score_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([-0.5, -0.1, -0.3, -0.2])
    states: list[torch.Tensor] = []
    augmentation = LocalAugmentation(16)

    def score(judge: object, smooth: torch.Tensor, predictions: int) -> float:
        states.append(augmentation.vae.out.weight.detach().clone())
        return next(scores, -1.0)

    monkeypatch.setattr("neighborgraph.models.judge.Judge.score", score)
    augmentation.fit(X, TINY.graph, TINY.y, TRAIN, **{**FAST, "warm_up": 2})
    assert len(states) > 4
    assert torch.equal(augmentation.vae.out.weight, states[1])


def test_draws_are_new_and_follow_their_generator() -> None:
    augmentation = fitted()
    first, second = augmentation.draw(X, 2)
    assert first.shape == (120, 16)
    assert not torch.equal(first, second)
    assert not torch.equal(augmentation.draw(X)[0], first)
    again = [augmentation.draw(X, 2, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*again)
    assert 0 <= first.min() <= first.max() <= 1
    assert not first.requires_grad
    assert not any(parameter.requires_grad for parameter in augmentation.parameters())


def test_a_node_without_neighbours_is_drawn_too() -> None:
    graph = Graph.from_edge_index(TINY.graph.edge_index[:, TINY.graph.edge_index.amin(0) > 0], 120)
    assert (graph.degree == 0).any()
    assert fitted(graph).draw(X).isfinite().all()


def test_it_draws_neighbours() -> None:
    augmentation = fitted(epochs=20)
    drawn = augmentation.draw(X, 50).mean(0)
    source, receiver = TINY.graph.edge_index
    mean = torch.zeros(120, 16).index_add(0, receiver, X[source]) / TINY.graph.degree[:, None]
    assert (drawn - mean).square().mean() < (X - mean).square().mean() / 2


def test_a_transform_of_pyg() -> None:
    from torch_geometric.data import Data
    from torch_geometric.nn.models import GCN

    edges = TINY.graph.edge_index
    data = Data(x=X, edge_index=edges, y=TINY.y)
    augmentation = LocalAugmentation(16, concat=2).fit(X, edges, TINY.y, TRAIN, **FAST)
    wide = augmentation(data)
    assert data.x is X
    assert torch.equal(wide.x[:, :16], X)
    assert torch.equal(wide.y, TINY.y)
    assert not torch.equal(wide.x, augmentation(data).x)
    assert augmentation(X).shape == (120, augmentation.out_channels) == (120, 48)
    assert GCN(augmentation.out_channels, 8, 2, 4)(wide.x, wide.edge_index).shape == (120, 4)


def test_rows_divided_by_their_sum() -> None:
    x = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    assert treated(x.clone(), False).tolist() == x.tolist()
    assert treated(x, True).tolist() == [[0.25, 0.75], [0.0, 0.0]]


NAN = X.clone()
NAN[3, 5] = float("nan")
EMPTY = Graph.from_edge_index(torch.empty(2, 0, dtype=torch.int64), 120)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": NAN}, "x is nan at node 3, column 5; features must be finite, so fill in"),
        ({"x": X * 4}, r"x lies in \[.*\], but the cross entropy needs \[0, 1\]; scale the fea"),
        ({"x": X - 1}, "or use reconstruction='squared-error'"),
        ({"x": X[:, :5]}, r"x has shape \[120, 5\], but the augmentation was built for"),
        ({"graph": EMPTY}, "graph has no edges"),
        ({"y": TINY.y[:7]}, r"y has shape \[7\]"),
        ({"y": TINY.y - 9}, "y has a negative label at a node of train"),
        ({"train": TRAIN[:0]}, "train is empty"),
        ({"train": torch.tensor([120])}, r"train holds node ids outside \[0, 120\)"),
        ({"train": torch.ones(3, dtype=torch.bool)}, r"the mask train has shape \[3\]"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
    ],
)
def test_bad_inputs(change: dict, message: str) -> None:
    inputs = {"x": X, "graph": TINY.graph, "y": TINY.y, "train": TRAIN, **FAST, **change}
    with pytest.raises(InputError, match=message):
        LocalAugmentation(16).fit(**inputs)


def test_squared_error_takes_any_range() -> None:
    augmentation = LocalAugmentation(16, reconstruction="squared-error")
    augmentation.fit(X * 4 - 1, TINY.graph, TINY.y, TRAIN, **FAST)
    assert augmentation.draw(X * 4 - 1).isfinite().all()


def test_not_fitted_or_of_another_type() -> None:
    with pytest.raises(InputError, match="not fitted; call fit"):
        LocalAugmentation(16).draw(X)
    with pytest.raises(DtypeError, match="x must be one of float32"):
        fitted()(X.double())
    with pytest.raises(InputError, match="concat=0 must be at least 1"):
        LocalAugmentation(16, concat=0)


def test_a_fitted_state_can_be_loaded() -> None:
    other = LocalAugmentation(16)
    other.load_state_dict(fitted().state_dict())
    assert other.draw(X).shape == (1, 120, 16)


@pytest.mark.cuda
def test_equal_seeds_give_equal_generators_on_a_gpu() -> None:
    inputs = X.cuda(), TINY.graph.to("cuda"), TINY.y.cuda(), TRAIN.cuda()
    first, second = (LocalAugmentation(16).cuda().fit(*inputs, **FAST) for _ in range(2))
    assert same(first, second)
    assert first.draw(inputs[0], 2).shape == (2, 120, 16)
