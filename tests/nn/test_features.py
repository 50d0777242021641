"""Sparse features are the same matrix: product, gradient, dropout, and what is refused."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.nn import FeatureLinear, feature_dropout
from neighborgraph.nn.features import dense_features, drop_nodes, normalize_rows


def sparse(x: torch.Tensor) -> Graph:
    row, column = x.nonzero(as_tuple=True)
    size = (x.shape[1], x.shape[0])
    return Graph.from_edge_index(torch.stack([column, row]), size, weight=x[row, column])


def matrix() -> torch.Tensor:
    """20 x 12, mostly zero, with an empty row and an empty column."""
    x = torch.randn(20, 12) * (torch.rand(20, 12) < 0.2)
    x[3], x[:, 5] = 0, 0
    return x


@pytest.mark.parametrize("bias", [True, False])
def test_sparse_product_and_gradients_equal_the_dense_ones(bias: bool) -> None:
    x, layer = matrix(), FeatureLinear(12, 7, bias=bias)
    seen = torch.randn(20, 7)
    results = []
    for features in (x, sparse(x)):
        layer.zero_grad()
        out = layer(features)
        (out * seen).sum().backward()
        results.append([out, *(p.grad for p in layer.parameters())])
    for dense, thin in zip(*results, strict=True):
        torch.testing.assert_close(thin, dense)


def test_parameters_are_those_of_torch() -> None:
    torch.manual_seed(1)
    ours = FeatureLinear(4, 3).state_dict()
    torch.manual_seed(1)
    theirs = torch.nn.Linear(4, 3).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("form", [lambda x: x, sparse])
def test_dropout_drops_the_stated_fraction_and_scales_the_rest(form) -> None:
    dropped = feature_dropout(form(torch.ones(200, 100)), 0.8, training=True)
    values = dropped.weight if isinstance(dropped, Graph) else dropped
    assert values is not None
    kept = values[values != 0]
    assert torch.allclose(kept, torch.tensor(5.0))
    # 20,000 draws: the fraction is within five standard deviations of 0.2.
    assert abs(kept.numel() / 20_000 - 0.2) < 0.015


def test_dropout_outside_of_training_changes_nothing() -> None:
    x = sparse(matrix())
    assert feature_dropout(x, 0.5, training=False) is x
    assert feature_dropout(x, 0.0, training=True) is x


@pytest.mark.parametrize("form", [lambda x: x, sparse])
def test_drop_nodes_drops_whole_rows_and_leaves_the_rest(form) -> None:
    x = torch.rand(5000, 4) + 1
    left = dense_features(drop_nodes(form(x), 0.2, training=True))
    dropped = (left == 0).all(1)
    assert torch.equal(left[~dropped], x[~dropped])
    # 5,000 draws: the fraction is within five standard deviations of 0.2.
    assert abs(dropped.float().mean() - 0.2) < 0.03


@pytest.mark.parametrize("form", [lambda x: x, sparse])
def test_drop_nodes_outside_of_training_is_what_is_kept_on_average(form) -> None:
    x = form(matrix())
    kept = dense_features(drop_nodes(x, 0.2, training=False))
    torch.testing.assert_close(kept, dense_features(x) * 0.8)
    assert drop_nodes(x, 0.0, training=True) is x


def test_dense_features() -> None:
    x = matrix()
    assert dense_features(x) is x
    assert torch.equal(dense_features(sparse(x)), x)
    twice = torch.tensor([[1, 1, 0], [2, 2, 0]])
    graph = Graph.from_edge_index(twice, (2, 3), weight=torch.tensor([1.0, 2.0, 4.0]))
    assert dense_features(graph).tolist() == [[4, 0], [0, 0], [0, 3]]


def test_another_width_is_refused() -> None:
    with pytest.raises(InputError, match=r"12 columns.*in_features=11"):
        FeatureLinear(11, 2)(sparse(matrix()))


def test_a_graph_without_values_is_refused() -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [0]]), (12, 20))
    with pytest.raises(InputError, match="values as edge weights"):
        FeatureLinear(12, 2)(graph)


def test_rows_are_divided_by_their_sum() -> None:
    x = torch.tensor([[1.0, 3.0], [0.0, 0.0], [2.0, -2.0]])
    assert normalize_rows(x).tolist() == [[0.25, 0.75], [0.0, 0.0], [2.0, -2.0]]
