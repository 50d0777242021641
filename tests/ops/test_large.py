"""Features with more than 2^31 elements: the last nodes get what they get in a small graph."""

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.ops import aggregate, attend
from neighborgraph.testing import random_graph

HEADS, WIDTH = 2, 32
NODES = 2**31 // (HEADS * WIDTH) + 1000
USED = 500
"""The edges are among the last nodes, whose rows begin beyond 2^31 elements."""


@pytest.fixture
def graphs() -> tuple[Graph, Graph]:
    """A small graph, and the same among the last nodes of a large one."""
    if torch.cuda.mem_get_info()[0] < 60 * 2**30:
        pytest.fail("this test needs 60 GiB of free GPU memory")
    small = random_graph(0, USED, USED, 4000).to("cuda")
    edge_index = small.edge_index + (NODES - USED)
    return small, Graph.from_edge_index(edge_index, NODES)


def large(rows: Tensor) -> Tensor:
    """Zeros but for the last rows."""
    whole = rows.new_zeros(NODES, *rows.shape[1:])
    whole[-USED:] = rows
    return whole.requires_grad_()


@pytest.mark.cuda
def test_attend_beyond_2_to_the_31_elements(graphs: tuple[Graph, Graph]) -> None:
    small, big = graphs
    q, k, v, grad = (
        torch.randn(USED, HEADS, WIDTH, device="cuda", dtype=torch.float16) for _ in range(4)
    )
    few = [x.clone().requires_grad_() for x in (q, k, v)]
    out = attend(small, *few)
    expected = [out, *torch.autograd.grad(out, few, grad)]
    many = [large(x) for x in (q, k, v)]
    out = attend(big, *many)
    actual = [out, *torch.autograd.grad(out, many, large(grad).detach())]
    for a, e in zip(actual, expected, strict=True):
        assert torch.equal(a[-USED:], e)
        assert not a[:-USED].any()


@pytest.mark.cuda
@pytest.mark.parametrize("reduce", ["sum", "max"])
def test_aggregate_beyond_2_to_the_31_elements(graphs: tuple[Graph, Graph], reduce: str) -> None:
    small, big = graphs
    x, grad = (torch.randn(USED, HEADS * WIDTH, device="cuda").half() for _ in range(2))
    few, many = x.clone().requires_grad_(), large(x)
    out = aggregate(small, few, reduce)
    expected = out, *torch.autograd.grad(out, few, grad)
    out = aggregate(big, many, reduce)
    actual = out, *torch.autograd.grad(out, many, large(grad).detach())
    for a, e in zip(actual, expected, strict=True):
        assert torch.equal(a[-USED:], e)
        assert not a[:-USED].any()
