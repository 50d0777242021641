"""Gradients of aggregate by finite differences, and what it keeps when things are rearranged."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neighborgraph.graph import Csr, Graph
from neighborgraph.graph.schedule import schedule
from neighborgraph.ops import aggregate
from neighborgraph.ops.aggregate import reference
from neighborgraph.testing import assert_close, from_degrees, from_pairs, random_graph

REDUCTIONS = ["sum", "mean", "max", "min"]


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("wanted", ["x", "weight", "both"])
@pytest.mark.parametrize("scaled", [False, True])
def test_finite_differences(device: str, reduce: str, wanted: str, scaled: bool) -> None:
    options = {"dtype": torch.float64, "device": device}
    for seed in range(5):
        graph = random_graph(seed, 5, 6, 14).to(device)
        x = torch.randn(6, 3, **options).requires_grad_(wanted != "weight")
        weight = torch.randn(14, **options).requires_grad_(wanted != "x")
        scales = {}
        if scaled:
            scales["row_scale"] = torch.randn(5, **options)
            scales["col_scale"] = torch.randn(6, **options)

        def reduced(x, weight, graph=graph, scales=scales):
            return aggregate(graph, x, reduce, weight=weight, **scales)

        assert torch.autograd.gradcheck(reduced, (x, weight), eps=1e-6, atol=1e-5, rtol=1e-3)
        if not scaled and wanted == "x":
            assert torch.autograd.gradcheck(lambda x, g=graph: aggregate(g, x, reduce), x)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_a_row_of_thousands(device: str, reduce: str) -> None:
    graph = from_pairs([(t % 50, t % 2) for t in range(2400)], 50, 2).to(device)
    x = torch.randn(50, 2, dtype=torch.float64, device=device, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: aggregate(graph, x, reduce), x)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_a_second_derivative_is_refused_by_name(device: str, reduce: str) -> None:
    graph = random_graph(2, 5, 5, 12).to(device)
    x = torch.randn(5, 3, device=device, requires_grad=True)
    weight = torch.randn(12, device=device, requires_grad=True)
    # The gradient of a sum does not require grad, but depends on the weights all the same.
    loss = aggregate(graph, x, reduce, weight=weight).sum()
    (grad,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="aggregate can be differentiated once, not twice"):
        (grad.square().sum() + weight.sum()).backward()


sizes = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 60))
seeds = st.integers(0, 2**20)


@given(sizes, seeds, st.sampled_from(REDUCTIONS))
@settings(max_examples=100)
def test_permuting_receivers_permutes_the_rows_bit_for_bit(size, seed, reduce) -> None:
    graph = random_graph(seed, *size, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(graph.num_cols, 5, generator=generator)
    order = torch.randperm(graph.num_rows, generator=generator)
    source, receiver = graph.edge_index
    moved = Graph.from_edge_index(
        torch.stack([source, order.argsort()[receiver]]), (graph.num_cols, graph.num_rows)
    )
    expected = aggregate(graph, x, reduce, weight=graph.weight)
    assert torch.equal(aggregate(moved, x, reduce, weight=graph.weight), expected[order])


@given(sizes, seeds, st.sampled_from(REDUCTIONS))
@settings(max_examples=100)
def test_permuting_sources_and_edges_changes_rounding_alone(size, seed, reduce) -> None:
    graph = random_graph(seed, *size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(graph.num_cols, 5, generator=generator, dtype=torch.float64)
    order = torch.randperm(graph.num_cols, generator=generator)
    edges = torch.randperm(graph.num_edges, generator=generator)
    source, receiver = graph.edge_index[:, edges]
    moved = Graph.from_edge_index(
        torch.stack([order.argsort()[source], receiver]), (graph.num_cols, graph.num_rows)
    )
    assert graph.weight is not None
    actual = aggregate(moved, x[order], reduce, weight=graph.weight[edges])
    expected = aggregate(graph, x, reduce, weight=graph.weight)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_equal_copies_of_every_edge(device: str, reduce: str) -> None:
    graph = random_graph(5, 15, 12, 60).to(device)
    twice = Graph.from_edge_index(
        graph.edge_index.repeat_interleave(2, 1), (graph.num_cols, graph.num_rows)
    )
    # Whole numbers, so that no sum is rounded.
    x = torch.randint(-50, 50, (12, 4), device=device).float()
    expected = aggregate(graph, x, reduce) * (2 if reduce == "sum" else 1)
    actual = aggregate(twice, x, reduce)
    if reduce == "mean":
        torch.testing.assert_close(actual, expected)
    else:
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("max_item_edges", [1, 7, 64, 4096])
def test_cutting_rows_elsewhere(device: str, reduce: str, max_item_edges: int) -> None:
    graph = from_degrees([3, 0, 700, 64, 1, 2000], 90, seed=4).to(device)

    def cut(csr: Csr) -> Csr:
        return Csr(*csr[:3], *schedule(csr.ptr, max_item_edges))

    assert graph.cols is not None
    other = Graph(cut(graph.rows), cut(graph.cols), graph.num_rows, graph.num_cols)
    x = torch.randn(90, 6, device=device)
    weight = torch.randn(graph.num_edges, device=device)
    actual = aggregate(other, x, reduce, weight=weight)
    if reduce in ("max", "min"):
        assert torch.equal(actual, aggregate(graph, x, reduce, weight=weight))
    plain = reference.aggregate(graph, x, reduce, weight=weight)
    exact = reference.aggregate(graph, x.double(), reduce, weight=weight.double())
    assert_close(actual, exact, plain, factor=3)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_a_row_does_not_depend_on_the_others(device: str, reduce: str) -> None:
    graph = from_degrees([5, 0, 40, 700, 3, 31, 1200], 50, seed=4).to(device)
    x = torch.randn(50, 8, device=device)
    out = aggregate(graph, x, reduce)
    source, receiver = graph.edge_index
    for kept in range(graph.num_rows):
        mine = source[receiver == kept]
        alone = Graph.from_edge_index(torch.stack([mine, torch.zeros_like(mine)]), (50, 1))
        assert torch.equal(aggregate(alone, x, reduce)[0], out[kept])
