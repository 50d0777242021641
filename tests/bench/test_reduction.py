"""Every form of aggregate, and peers that compute the same."""

import pytest
import torch

from neighborgraph.bench.peers import TOLERANCES, largest_difference
from neighborgraph.bench.reduction import NAMES, Reduction, symmetric_weight
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph

PAIRS = [
    (name, peer)
    for name in NAMES
    for peer in Reduction(name).peers()
    if peer not in ("compiled", "scatter")
]


@pytest.fixture
def graph() -> Graph:
    """Rows of 0 to many edges in no order, duplicates, and more sources than receivers."""
    edge_index = torch.stack([torch.randint(40, (300,)), torch.randint(25, (300,))])
    return Graph.from_edge_index(edge_index, (40, 30))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "peer"), PAIRS)
def test_peers_agree(name: str, peer: str, dtype: torch.dtype, graph: Graph) -> None:
    form = Reduction.parse(name)
    inputs = form.inputs(graph, dtype, 2, 4, torch.Generator().manual_seed(0))
    answers = []
    for prepare in (form.peers()[peer], form.ours):
        out = prepare(graph, dtype)(**inputs)
        assert out.shape == (30, 2, 4)
        answers.append([out, *torch.autograd.grad(out.square().sum(), tuple(inputs.values()))])
    assert largest_difference(*answers) < TOLERANCES[dtype]


def test_only_sums_are_matrix_products() -> None:
    with_product = [name for name in NAMES if "sparse" in Reduction(name).peers()]
    assert with_product == ["sum", "mean", "weighted"]


def test_weights_by_hand() -> None:
    graph = Graph.from_edge_index(torch.tensor([[0, 0, 1], [0, 1, 1]]), 2)
    # Source 0 sends two edges, receiver 1 takes two.
    expected = torch.tensor([2**-0.5, 4**-0.5, 2**-0.5], dtype=torch.float64)
    assert torch.allclose(symmetric_weight(graph, torch.float64), expected)


def test_names() -> None:
    assert str(Reduction.parse("max")) == "max"
    with pytest.raises(ConfigError, match=r"unknown reduction 'som'; known are sum, .*'sum'\?"):
        Reduction.parse("som")
