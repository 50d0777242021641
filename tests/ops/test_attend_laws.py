"""What attend must keep when nodes, edges or rows are rearranged."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neighborgraph.graph import Csr, Graph
from neighborgraph.graph.schedule import schedule
from neighborgraph.ops import attend_with_lse
from neighborgraph.ops.attend import reference
from neighborgraph.testing import assert_close, from_degrees, random_graph

HEADS, WIDTH = 2, 8


def draw(graph: Graph, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = (graph.num_rows, graph.num_cols, graph.num_cols)
    tensors = [torch.randn(size, HEADS, WIDTH, generator=generator) for size in sizes]
    return [t.to(graph.device, dtype).requires_grad_() for t in tensors]


def both_passes(function, graph: Graph, inputs: list[Tensor], grad: Tensor) -> list[Tensor]:
    """Output, log-sum-exp, and the gradients of q, k, v."""
    leaves = [t.detach().clone().requires_grad_() for t in inputs]
    out, lse, *_ = function(graph, *leaves)
    return [out.detach(), lse.detach(), *torch.autograd.grad(out, leaves, grad.to(out.dtype))]


def assert_all_close(actual: list[Tensor], graph: Graph, inputs: list[Tensor], grad: Tensor):
    """The error rule for the results on ``graph``."""
    exact = both_passes(reference.attend, graph, [t.double() for t in inputs], grad)
    plain = both_passes(reference.attend, graph, inputs, grad)
    for name, a, e, p in zip(("out", "lse", "q", "k", "v"), actual, exact, plain, strict=True):
        # Half a dozen extra units: gradients find every weight again, which plain has kept.
        slack = p + 6 * torch.finfo(p.dtype).eps * e.abs().nan_to_num(posinf=0).max().to(p.dtype)
        assert_close(a, e, slack.to(a.dtype), factor=3, name=name)


sizes = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 60))
seeds = st.integers(0, 2**20)


@given(sizes, seeds)
@settings(max_examples=100)
def test_permuting_receivers_permutes_the_rows_bit_for_bit(size, seed) -> None:
    graph = random_graph(seed, *size)
    inputs = draw(graph, seed=seed)
    order = torch.randperm(graph.num_rows, generator=torch.Generator().manual_seed(seed))
    source, receiver = graph.edge_index
    moved = Graph.from_edge_index(
        torch.stack([source, order.argsort()[receiver]]), (graph.num_cols, graph.num_rows)
    )
    out, lse = attend_with_lse(graph, *inputs)
    moved_out, moved_lse = attend_with_lse(moved, inputs[0][order], *inputs[1:])
    assert torch.equal(moved_out, out[order])
    assert torch.equal(moved_lse, lse[order])


@given(sizes, seeds)
@settings(max_examples=100)
def test_permuting_sources_and_edges_changes_rounding_alone(size, seed) -> None:
    graph = random_graph(seed, *size)
    generator = torch.Generator().manual_seed(seed)
    q, k, v = draw(graph, torch.float64, seed)
    order = torch.randperm(graph.num_cols, generator=generator)
    edges = torch.randperm(graph.num_edges, generator=generator)
    source, receiver = graph.edge_index[:, edges]
    moved = Graph.from_edge_index(
        torch.stack([order.argsort()[source], receiver]), (graph.num_cols, graph.num_rows)
    )
    for expected, actual in zip(
        attend_with_lse(graph, q, k, v), attend_with_lse(moved, q, k[order], v[order]), strict=True
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@given(sizes, seeds)
@settings(max_examples=100)
def test_disjoint_edges_merge_through_the_log_sum_exp(size, seed) -> None:
    graph = random_graph(seed, *size)
    inputs = draw(graph, torch.float64, seed)
    inputs = [t.detach() for t in inputs]
    first = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(seed)) < 0.4
    sizes = graph.num_cols, graph.num_rows
    parts = [
        attend_with_lse(Graph.from_edge_index(graph.edge_index[:, mask], sizes), *inputs)
        for mask in (first, ~first)
    ]
    outs, lses = (torch.stack(t) for t in zip(*parts, strict=True))
    lse = lses.logsumexp(0)
    shares = (lses - lse).exp().nan_to_num()[..., None]  # both are -inf in an empty row
    out, whole = attend_with_lse(graph, *inputs)
    torch.testing.assert_close((shares * outs).sum(0), out, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(lse, whole, rtol=1e-12, atol=1e-12)


def test_equal_copies_of_every_edge_change_rounding_alone(device: str) -> None:
    for seed in range(10):
        graph = random_graph(seed, 15, 12, 60).to(device)
        sizes = graph.num_cols, graph.num_rows
        twice = Graph.from_edge_index(graph.edge_index.repeat(1, 2), sizes)
        inputs = draw(graph, seed=seed)
        grad = torch.randn_like(inputs[0])
        out, lse, *grads = both_passes(attend_with_lse, twice, inputs, grad)
        lse = lse - torch.log(torch.tensor(2.0, device=device))
        assert_all_close([out, lse, *grads], graph, inputs, grad)


@pytest.mark.parametrize("max_item_edges", [1, 7, 64, 4096])
def test_cutting_rows_elsewhere_changes_rounding_alone(device: str, max_item_edges: int) -> None:
    graph = from_degrees([3, 0, 700, 64, 1, 2000], 90, seed=4).to(device)

    def cut(csr: Csr) -> Csr:
        return Csr(*csr[:3], *schedule(csr.ptr, max_item_edges))

    assert graph.cols is not None
    other = Graph(cut(graph.rows), cut(graph.cols), graph.num_rows, graph.num_cols)
    inputs = draw(graph)
    grad = torch.randn_like(inputs[0])
    results = both_passes(attend_with_lse, other, inputs, grad)
    assert_all_close(results, graph, inputs, grad)


def test_a_row_does_not_depend_on_the_others(device: str) -> None:
    graph = from_degrees([5, 0, 40, 700, 3, 31, 1200], 50, seed=4).to(device)
    q, k, v = draw(graph)
    out, lse = attend_with_lse(graph, q, k, v)
    source, receiver = graph.edge_index
    for kept in ([3], [0, 2], [1, 4, 5, 6]):
        number = torch.full((graph.num_rows,), -1, device=device)
        number[kept] = torch.arange(len(kept), device=device)
        mine = number[receiver] >= 0
        edge_index = torch.stack([source[mine], number[receiver[mine]]])
        alone = Graph.from_edge_index(edge_index, (graph.num_cols, len(kept)))
        alone_out, alone_lse = attend_with_lse(alone, q[kept], k, v)
        assert torch.equal(alone_out, out[kept])
        assert torch.equal(alone_lse, lse[kept])
