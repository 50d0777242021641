"""Graph.reorder: a renumbering that changes no result, and the way back."""

import pytest
import torch

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph, load_graph, save_graph
from neighborgraph.ops import aggregate, attend
from neighborgraph.testing import awkward_graphs, random_graph

SQUARE = [name for name, graph in awkward_graphs().items() if graph.num_rows == graph.num_cols]


@pytest.mark.parametrize("name", SQUARE)
def test_renumbering_keeps_edges_and_their_numbers(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    order = graph.reorder()
    nodes = torch.arange(graph.num_rows, device=device)
    assert torch.equal(order.permutation.sort().values, nodes)
    assert torch.equal(order.position[order.permutation], nodes)
    assert torch.equal(order.graph.edge_index, order.position[graph.edge_index])
    cols = order.graph.T.edge_index.flip(0)
    assert torch.equal(cols, order.graph.edge_index)


@pytest.mark.parametrize("name", SQUARE)
def test_rows_and_columns_are_walked_in_ascending_order(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name].reorder().graph
    for csr in (graph.rows, graph.expect_cols("the test")):
        row = torch.arange(graph.num_rows, device=device).repeat_interleave(csr.ptr.diff())
        assert ((row * graph.num_cols + csr.idx).diff() >= 0).all()


@pytest.mark.parametrize("name", SQUARE)
def test_attend_and_its_gradients_are_the_same(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    order = graph.reorder()
    generator = torch.Generator(device).manual_seed(0)

    def draw(rows: int, *shape: int) -> torch.Tensor:
        made = torch.randn(rows, *shape, generator=generator, device=device, dtype=torch.float64)
        return made.requires_grad_()

    q, k, v = (draw(graph.num_rows, 2, 4) for _ in range(3))
    inputs = q, k, v, draw(graph.num_edges, 2)  # the bias is in the caller's edge order
    options = {"dropout": 0.3, "seed": 5}  # the edges that are dropped are the same, too
    plain = attend(graph, q, k, v, bias=inputs[3], **options)
    moved = map(order.apply, (q, k, v))
    there = order.restore(attend(order.graph, *moved, bias=inputs[3], **options))
    torch.testing.assert_close(there, plain, rtol=1e-12, atol=1e-12)
    weight = torch.randn(plain.shape, generator=generator, device=device, dtype=torch.float64)
    expected, found = (torch.autograd.grad(out, inputs, weight) for out in (plain, there))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reduce", ["max", "min"])
def test_ties_go_to_the_same_edge(reduce: str, device: str) -> None:
    graph = random_graph(3, 40, num_edges=400).to(device)
    order = graph.reorder()
    # Three values only, so that nearly all rows have ties, and one that is not a number.
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(3, (40, 1, 3), generator=generator).double()
    x[7, 0, 1] = torch.nan
    x = x.to(device).requires_grad_()
    weight = torch.ones(400, dtype=torch.float64, device=device, requires_grad=True)
    plain = aggregate(graph, x, reduce, weight=weight)
    there = order.restore(aggregate(order.graph, order.apply(x), reduce, weight=weight))
    torch.testing.assert_close(there, plain, rtol=0, atol=0, equal_nan=True)
    grad = torch.rand(plain.shape, generator=generator, dtype=torch.float64).to(device)
    expected, found = (torch.autograd.grad(out, (x, weight), grad) for out in (plain, there))
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_weights_and_a_missing_transpose_go_along() -> None:
    edge_index = torch.tensor([[0, 3, 2, 1], [3, 1, 1, 0]])
    weight = torch.rand(4, requires_grad=True)
    graph = Graph.from_edge_index(edge_index, 4, weight=weight, transpose=False)
    order = graph.reorder()
    assert order.graph.weight is weight
    assert order.graph.cols is None
    assert torch.equal(order.graph.edge_index, order.position[edge_index])


def test_a_saved_graph_keeps_the_order(tmp_path) -> None:
    graph = random_graph(1, 30).reorder().graph
    save_graph(graph, tmp_path / "graph")
    assert torch.equal(load_graph(tmp_path / "graph").edge_index, graph.edge_index)


def test_apply_and_restore() -> None:
    order = random_graph(0, 30).reorder()
    for shape in [(30,), (30, 4), (30, 2, 3)]:
        x = torch.rand(shape)
        assert torch.equal(order.apply(x)[order.position[4]], x[4])
        assert torch.equal(order.restore(order.apply(x)), x)
        assert torch.equal(order.apply(order.restore(x)), x)


@pytest.mark.parametrize("method", ["apply", "restore"])
def test_refusals(method: str) -> None:
    order = random_graph(0, 30).reorder()
    take = getattr(order, method)
    with pytest.raises(InputError, match=r"must have shape \[30, ...\] \(one row a node\), got \["):
        take(torch.rand(29, 4))
    with pytest.raises(InputError, match=r"must have shape \[30\]"):
        take(torch.tensor(1.0))
    with pytest.raises(DtypeError, match=r"must be a torch.Tensor, got list"):
        take([1.0] * 30)


def test_a_bipartite_graph_is_refused() -> None:
    with pytest.raises(InputError, match="reorder needs a square graph, but graph has 5 sources"):
        random_graph(0, 4, 5).reorder()
