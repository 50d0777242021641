"""The normalised adjacency is PyG's ``gcn_norm``, as scalings where no weight is learned."""

from typing import Any

import pytest
import torch
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from neighborgraph.graph import Graph
from neighborgraph.nn import GCNConv
from neighborgraph.nn.conv.normalized import normalized

norm: Any = gcn_norm
EDGES = torch.tensor([[0, 1, 2, 2, 3], [1, 2, 2, 0, 0]])


def as_matrix(adjacency) -> torch.Tensor:
    return adjacency.propagate(torch.eye(4).double())


def gcn_matrix(weight: torch.Tensor | None, loops: bool, fill: bool) -> torch.Tensor:
    edges, values = norm(EDGES, weight, 4, fill, loops, dtype=torch.float64)
    return torch.zeros(4, 4).double().index_put((edges[1], edges[0]), values, accumulate=True)


@pytest.mark.parametrize("improved", [False, True])
@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("learned", [None, False, True])
def test_equals_gcn_norm(loops: bool, learned: bool | None, improved: bool) -> None:
    weight = None if learned is None else torch.rand(5).double().requires_grad_(learned)
    layer, x = GCNConv(4, 4), torch.eye(4).double()
    made = normalized(
        layer,
        EDGES,
        weight,
        x,
        self_loops=loops,
        fill=2.0 if improved else 1.0,
        transpose=True,
    )
    assert (made.scale is None) is bool(learned)
    assert (made.weight is None) is (learned is None)
    torch.testing.assert_close(as_matrix(made), gcn_matrix(weight, loops, improved))
    if weight is not None and learned:
        ours, wanted = (
            torch.autograd.grad((m * torch.arange(16.0).view(4, 4)).sum(), weight)[0]
            for m in (as_matrix(made), gcn_matrix(weight, loops, improved))
        )
        torch.testing.assert_close(ours, wanted)


def test_the_gradient_of_a_replaced_loop_is_that_of_its_weight() -> None:
    # PyG writes the weight of the old loop into the new one; the old edge itself is gone.
    weight = torch.tensor([1.0, 1.0, 3.0, 1.0, 1.0]).double().requires_grad_()
    made = normalized(
        GCNConv(4, 4), EDGES, weight, torch.eye(4).double(), self_loops=True, transpose=True
    )
    made.propagate(torch.eye(4).double())[2, 2].backward()
    assert weight.grad is not None
    assert weight.grad[2] > 0
    assert weight.grad.isfinite().all()


def test_propagate_scales_and_adds() -> None:
    x = torch.randn(4, 3).double()
    plain = normalized(GCNConv(4, 4), EDGES, None, x, self_loops=True, transpose=False)
    once = plain.propagate(x)
    torch.testing.assert_close(plain.propagate(x, 0.5, x, 2.0), 0.5 * once + 2 * x)
    bare = normalized(
        GCNConv(4, 4, normalize=False), EDGES, None, x, self_loops=False, transpose=False
    )
    assert bare.scale is None
    torch.testing.assert_close(bare.propagate(x, 0.5), 0.5 * bare.propagate(x))


def test_a_graph_with_weights() -> None:
    weight = torch.rand(5).double()
    graph = Graph.from_edge_index(EDGES, 4, weight=weight)
    made = normalized(
        GCNConv(4, 4), graph, None, torch.eye(4).double(), self_loops=True, transpose=False
    )
    torch.testing.assert_close(as_matrix(made), gcn_matrix(weight, True, False))
