"""Propagation: a hand-worked path, the dense matrix in fp64, and what it refuses."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, add_self_loops, to_undirected
from neighborgraph.nn import KHopPropagate, propagate, propagate_sum, symmetric_scale


def path_of_three() -> Graph:
    """0 - 1 - 2 with self-loops: degrees 2, 3, 2."""
    return add_self_loops(to_undirected(Graph.from_edge_index(torch.tensor([[0, 1], [1, 2]]), 3)))


def dense_normalised(graph: Graph) -> torch.Tensor:
    source, receiver = graph.edge_index
    dense = torch.zeros(graph.num_rows, graph.num_rows, dtype=torch.float64)
    dense.index_put_((receiver, source), torch.ones((), dtype=torch.float64), accumulate=True)
    degree = dense.sum(1)
    scale = torch.where(degree > 0, degree.rsqrt(), torch.zeros_like(degree))
    return scale[:, None] * dense * scale


def test_scale_by_hand() -> None:
    expected = torch.tensor([2.0, 3.0, 2.0]).rsqrt()
    assert torch.equal(symmetric_scale(path_of_three()), expected)


def test_scale_of_an_empty_row_is_zero() -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 2)
    assert symmetric_scale(graph).tolist() == [0.0, 1.0]


def test_one_step_by_hand() -> None:
    x = torch.tensor([[1.0], [0.0], [0.0]])
    out = propagate(path_of_three(), x)
    torch.testing.assert_close(out, torch.tensor([[1 / 2], [6**-0.5], [0.0]]))


def test_hops_are_powers_of_the_matrix() -> None:
    edges = torch.randint(0, 30, (2, 100))
    graph = add_self_loops(to_undirected(Graph.from_edge_index(edges, 30)))
    x = torch.randn(30, 5)
    expected = x.double()
    for hop in KHopPropagate(4)(graph, x):
        torch.testing.assert_close(hop.double(), expected, rtol=1e-5, atol=1e-6)
        expected = dense_normalised(graph) @ expected


def test_gradient_is_the_transposed_matrix() -> None:
    graph = path_of_three()
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: KHopPropagate(2)(graph, t)[-1], (x,))


def test_no_hops_give_the_input() -> None:
    x = torch.randn(3, 2)
    (hop,) = KHopPropagate(0)(path_of_three(), x)
    assert hop is x


def test_a_sum_of_hops_by_hand() -> None:
    x = torch.tensor([[1.0], [0.0], [0.0]])
    out = propagate_sum(path_of_three(), x, [10.0, 2.0])
    torch.testing.assert_close(out, torch.tensor([[10 + 2 / 2], [2 * 6**-0.5], [0.0]]))


@pytest.mark.parametrize("coefficients", [[0.5], [0.25] * 4, [0.0, 0.0, 1.0], [2.0, -1.0, 0.5]])
def test_a_sum_of_hops_is_the_polynomial_of_the_matrix(coefficients: list[float]) -> None:
    graph = Graph.from_edge_index(torch.randint(0, 30, (2, 100)), 30)  # directed, with empty rows
    x = torch.randn(30, 5, requires_grad=True)
    hops = KHopPropagate(len(coefficients) - 1)(graph, x)
    expected = torch.stack([c * hop for c, hop in zip(coefficients, hops, strict=True)]).sum(0)
    actual = propagate_sum(graph, x, coefficients)
    torch.testing.assert_close(actual, expected)
    grad = torch.randn(30, 5)
    (actual_grad,) = torch.autograd.grad(actual, x, grad)
    (expected_grad,) = torch.autograd.grad(expected, x, grad)
    torch.testing.assert_close(actual_grad, expected_grad)


def test_weights_are_factors_of_the_matrix_and_change_no_degree() -> None:
    graph = Graph.from_edge_index(torch.randint(0, 30, (2, 100)), 30)  # directed
    weight = torch.rand(100, dtype=torch.float64)
    source, receiver = graph.edge_index
    scale = symmetric_scale(graph, torch.float64)
    matrix = torch.zeros(30, 30, dtype=torch.float64)
    entries = scale[receiver] * weight * scale[source]
    matrix.index_put_((receiver, source), entries, accumulate=True)
    x = torch.randn(30, 5, dtype=torch.float64, requires_grad=True)
    expected = 0.5 * x + 0.3 * matrix @ x + 2.0 * matrix @ matrix @ x
    actual = propagate_sum(graph, x, [0.5, 0.3, 2.0], weight=weight)
    torch.testing.assert_close(actual, expected)
    grad = torch.randn(30, 5, dtype=torch.float64)
    gradients = [torch.autograd.grad(out, x, grad)[0] for out in (actual, expected)]
    torch.testing.assert_close(*gradients)


def test_a_sum_of_hops_is_differentiable_once() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    out = propagate_sum(path_of_three(), x, [0.5, 0.5])
    (grad,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="propagate_sum can be differentiated once, not twice"):
        grad.sum().backward()


def test_a_sum_of_hops_needs_a_transpose_for_its_gradient() -> None:
    graph = Graph.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2, transpose=False)
    propagate_sum(graph, torch.randn(2, 2), [0.5, 0.5])
    with pytest.raises(InputError, match="a gradient needs the graph's transpose"):
        propagate_sum(graph, torch.randn(2, 2, requires_grad=True), [0.5, 0.5])


def test_weights_that_would_lose_their_gradient_are_refused() -> None:
    weight = torch.ones(7, requires_grad=True)
    with pytest.raises(InputError, match=r"weight requires grad.* pass it detached"):
        propagate_sum(path_of_three(), torch.randn(3, 2), [0.5, 0.5], weight=weight)


def test_a_sum_of_no_hops_is_refused() -> None:
    with pytest.raises(InputError, match="coefficients is empty; give one for each hop"):
        propagate_sum(path_of_three(), torch.randn(3, 2), [])


def test_negative_hops_are_refused() -> None:
    with pytest.raises(InputError, match="hops=-1 is negative"):
        KHopPropagate(-1)


@pytest.mark.parametrize(
    "step", [propagate, KHopPropagate(1), lambda graph, x: propagate_sum(graph, x, [1.0, 1.0])]
)
def test_bipartite_graph_is_refused(step) -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), (3, 2))
    with pytest.raises(InputError, match=r"square graph.*3 sources and 2 receivers"):
        step(graph, torch.randn(3, 2))
